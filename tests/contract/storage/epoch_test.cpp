// The epoch file beside a volume on a shared pool, as storage.hpp promises it, of the real storage and of the fake one.
#include "tests/contract/storage/fixtures.hpp"

namespace axle::test {
namespace {

#define BOTH RealRoom, FakeRoom

VolumeDocument at(Epoch epoch, int n = 1) {
    VolumeDocument document = volume(n);
    document.epoch = epoch;
    return document;
}

// A shared pool with a volume that nobody has taken yet.
PoolDocument with_volume(Room& room) {
    const PoolDocument pool = room.opened(1, true);
    REQUIRE(room.create(pool, volume(1)));
    REQUIRE_FALSE(room.epoch_file(pool, 1));
    return pool;
}

TEST_CASE_TEMPLATE("a disk without an epoch file is taken, and the file says by whom, over restarts too", R, BOTH) {
    R room;
    const PoolDocument pool = with_volume(room);
    REQUIRE(room.claim(pool, at({3, 4711})));
    CHECK(*room.epoch_file(pool, 1) == "axle-epoch 1 " + uuid(1).str() + " 3 4711\n");
    room.restart();
    REQUIRE(room.claim(pool, at({3, 4711})));  // the same placement again
    CHECK(parse_epoch_file(*room.epoch_file(pool, 1), VolumeId(uuid(1))) == Epoch{3, 4711});
    CHECK(room.temporary_files(pool) == 0);
}

TEST_CASE_TEMPLATE("a later placement takes the disk, and an earlier one is refused with both epochs and a remedy", R,
                   BOTH) {
    R room;
    const PoolDocument pool = with_volume(room);
    REQUIRE(room.claim(pool, at({3, 100})));
    REQUIRE(room.claim(pool, at({3, 101})));
    REQUIRE(room.claim(pool, at({4, 7})));  // a later incarnation counts more than any revision
    for (const Epoch earlier : {Epoch{3, 101}, Epoch{4, 6}, Epoch{}}) {
        const auto refused = room.claim(pool, at(earlier));
        REQUIRE_FALSE(refused);
        const Error& why = refused.error();
        CHECK(why.code == Code::conflict);
        CHECK(why.reason == "EpochLower");
        CHECK(why.message.find("4.7") != std::string::npos);
        CHECK(why.message.find(fmt::format("{}.{}", earlier.incarnation, earlier.revision)) != std::string::npos);
        CHECK(why.hint.find(epoch_path(pool, VolumeId(uuid(1)))) != std::string::npos);
    }
    CHECK(parse_epoch_file(*room.epoch_file(pool, 1), VolumeId(uuid(1))) == Epoch{4, 7});
}

TEST_CASE_TEMPLATE("what isn't an epoch file of this volume is refused and stays as it is", R, BOTH) {
    R room;
    const PoolDocument pool = with_volume(room);
    const std::string whole = epoch_file_text(VolumeId(uuid(1)), {3, 4711});
    std::vector<std::string> garbage = {"",
                                        "garbage",
                                        std::string(whole.size(), '\0'),
                                        whole + "x",
                                        whole + whole,
                                        std::string(5'000, 'x'),
                                        epoch_file_text(VolumeId(uuid(2)), {3, 4711}),
                                        "axle-epoch 2 " + uuid(1).str() + " 3 4711\n",
                                        "axle-epoch 1 " + uuid(1).str() + " 3 -1\n",
                                        "axle-epoch 1 " + uuid(1).str() + " 3 04711\n",
                                        "axle-epoch 1 " + uuid(1).str() + " 3 18446744073709551616\n"};
    for (std::size_t torn = 1; torn < whole.size(); ++torn) garbage.push_back(whole.substr(0, torn));
    for (const std::string& text : garbage) {
        CAPTURE(text);
        room.put_epoch_file(pool, 1, text);
        const auto refused = room.claim(pool, at({9, 9}));
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == Code::corrupt);
        CHECK(refused.error().message.find("9.9") != std::string::npos);
        CHECK(refused.error().hint.find("remove " + epoch_path(pool, VolumeId(uuid(1)))) != std::string::npos);
        CHECK(*room.epoch_file(pool, 1) == text);
    }
    room.put_epoch_file(pool, 1, whole);
    CHECK(room.claim(pool, at({9, 9})));
}

TEST_CASE_TEMPLATE("an epoch file is no volume, and goes with its own volume alone", R, BOTH) {
    R room;
    const PoolDocument pool = with_volume(room);
    REQUIRE(room.create(pool, volume(2)));
    REQUIRE(room.claim(pool, at({1, 1})));
    REQUIRE(room.claim(pool, at({1, 2}, 2)));
    CHECK(*room.list(pool) == std::vector{VolumeId(uuid(1)), VolumeId(uuid(2))});
    REQUIRE(room.destroy(pool, 1));
    CHECK_FALSE(room.epoch_file(pool, 1));
    CHECK(room.epoch_file(pool, 2));
    REQUIRE(room.destroy(pool, 1));
    CHECK(room.claim(pool, at({1, 3})).error().code == Code::not_found);
    CHECK_FALSE(room.epoch_file(pool, 1));
    room.put_epoch_file(pool, 1, "left by a crash between the two");
    REQUIRE(room.destroy(pool, 1));
    CHECK_FALSE(room.epoch_file(pool, 1));
}

TEST_CASE_TEMPLATE("a pool that isn't shared has no epoch files, and one that isn't there is not touched", R, BOTH) {
    R room;
    const PoolDocument local = room.opened(2);
    REQUIRE(room.create(local, volume(1)));
    REQUIRE(room.claim(local, at({1, 1})));
    CHECK_FALSE(room.epoch_file(local, 1));
    const PoolDocument pool = with_volume(room);
    room.unmount(pool);
    CHECK(room.claim(pool, at({1, 1})).error().code == Code::unavailable);
}

TEST_CASE("an epoch file that comes up between look and writing is not written over") {
    RealRoom room;
    const PoolDocument pool = with_volume(room);
    const std::string path = epoch_path(pool, VolumeId(uuid(1)));
    std::filesystem::create_symlink("nowhere", path);  // read it is not there, and its name is taken
    const auto refused = room.claim(pool, at({1, 1}));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::unavailable);
    CHECK(std::filesystem::is_symlink(path));
    CHECK(room.temporary_files(pool) == 0);
}

TEST_CASE("of what an agent takes while the power fails, one whole epoch is left, and what was answered is it") {
    int lower = 0;
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
        CAPTURE(seed);
        FakeRoom room;
        room.random = SeededRandom{seed};
        const PoolDocument pool = with_volume(room);
        REQUIRE(room.claim(pool, at({1, 1})));
        room.storage().claim_volume(pool, at({1, 2}), [](Result<>) {});
        const int steps = static_cast<int>(seed % 4);
        room.run_until([left = steps]() mutable { return left-- == 0; });
        room.restart();
        room.disks.power_cut(room.random);
        const auto there = parse_epoch_file(room.epoch_file(pool, 1).value_or(""), VolumeId(uuid(1)));
        REQUIRE(there);
        CHECK((*there == Epoch{1, 1} || *there == Epoch{1, 2}));
        lower += *there == Epoch{1, 1} ? 1 : 0;
        CHECK(room.claim(pool, at({1, 2})));
    }
    CHECK(lower > 0);
}

}  // namespace
}  // namespace axle::test
