// What storage.hpp promises, of the real storage and of the fake one.
#include <algorithm>
#include <sys/stat.h>

#include "tests/contract/storage/fixtures.hpp"
#include "tests/support/skip.hpp"

namespace axle::test {
namespace {

#define BOTH RealRoom, FakeRoom

TEST_CASE_TEMPLATE("a new pool is made, and is usable", R, BOTH) {
    R room;
    const auto seen = room.open(room.pool(1));
    CHECK(seen.usable);
    CHECK(seen.why == "");
    CHECK(seen.size > 0);
    CHECK(seen.free > 0);
    CHECK(room.open(room.pool(1)).usable);
    CHECK(room.open(room.pool(1), true).usable);
    CHECK(room.list(room.pool(1))->empty());
}

TEST_CASE_TEMPLATE("a known pool whose disk isn't mounted isn't usable, and nothing is done in its place", R, BOTH) {
    R room;
    const PoolDocument pool = room.opened();
    REQUIRE(room.create(pool, volume(1)));
    const ImageDocument image = room.image();
    REQUIRE(room.fetch(pool, image));
    room.unmount(pool);
    const auto seen = room.open(pool, true);
    CHECK_FALSE(seen.usable);
    CHECK(seen.why.find("axle-pool.json") != std::string::npos);
    CHECK(seen.why.find("mount the disk") != std::string::npos);
    for (const auto& result : {room.create(pool, volume(2)), room.destroy(pool, 1), room.check(pool, volume(1)),
                               room.fetch(pool, image), room.remove_image(pool, image.digest)}) {
        REQUIRE_FALSE(result);
        CHECK(result.error().code == Code::unavailable);
    }
    CHECK(room.list(pool).error().code == Code::unavailable);
    CHECK(room.observe(pool, volume(1)).error().code == Code::unavailable);
    CHECK(room.sweep({pool}));
}

TEST_CASE_TEMPLATE("a pool that belongs to another pool or cluster isn't usable", R, BOTH) {
    R room;
    const PoolDocument pool = room.opened();
    PoolDocument other = pool;
    SUBCASE("another pool") {
        other.id = PoolId(uuid(77));
    }
    SUBCASE("another cluster") {
        other.cluster = "c2";
    }
    const auto seen = room.open(other);
    CHECK_FALSE(seen.usable);
    CHECK(seen.why.find("belongs to pool " + pool.id.str() + " of cluster c1") != std::string::npos);
    CHECK(room.create(other, volume(1)).error().code == Code::unavailable);
    CHECK(room.create(pool, volume(1)));
}

TEST_CASE_TEMPLATE("a volume is made once; what is there with other properties is a conflict", R, BOTH) {
    R room;
    const PoolDocument pool = room.opened();
    CHECK_FALSE(room.observe(pool, volume(1))->exists);
    REQUIRE(room.create(pool, volume(1, 10 * kGiB)));
    REQUIRE(room.create(pool, volume(1, 10 * kGiB)));
    const auto seen = room.observe(pool, volume(1, 10 * kGiB));
    REQUIRE(seen);
    CHECK(seen->exists);
    CHECK(seen->size == 10 * kGiB);
    CHECK(seen->allocated < kMiB);
    CHECK(seen->image_digest == "");
    const auto other = room.create(pool, volume(1, 20 * kGiB));
    REQUIRE_FALSE(other);
    CHECK(other.error().code == Code::conflict);
    CHECK(room.observe(pool, volume(1))->size == 10 * kGiB);
    REQUIRE(room.create(pool, volume(2)));
    CHECK(*room.list(pool) == std::vector{VolumeId(uuid(1)), VolumeId(uuid(2))});
    VolumeDocument raw = volume(3, kMiB);
    raw.format = DiskFormat::raw;
    REQUIRE(room.create(pool, raw));
    const auto files = room.files(pool);
    REQUIRE(files);
    CHECK(std::ranges::find(*files, VolumeFile{VolumeId(uuid(1)), DiskFormat::qcow2}) != files->end());
    CHECK(std::ranges::find(*files, VolumeFile{VolumeId(uuid(3)), DiskFormat::raw}) != files->end());
    CHECK(room.check(pool, volume(1, 10 * kGiB)));
    CHECK(room.temporary_files(pool) == 0);
}

TEST_CASE_TEMPLATE("a volume grows and never shrinks, and what it holds stays", R, BOTH) {
    for (const DiskFormat format : {DiskFormat::qcow2, DiskFormat::raw}) {
        CAPTURE(text_of(format));
        R room;
        const PoolDocument pool = room.opened();
        VolumeDocument v = volume(1, 8 * kMiB);
        v.format = format;
        CHECK(room.grow(pool, v).error().code == Code::not_found);
        REQUIRE(room.create(pool, v));
        v.size = 24 * kMiB;
        for (int i = 0; i < 2; ++i) {
            const auto grown = room.grow(pool, v);
            CHECK_MESSAGE(grown, grown.error().message);
        }
        CHECK(room.observe(pool, v)->size == 24 * kMiB);
        if (format == DiskFormat::raw) CHECK(room.observe(pool, v)->allocated >= 24 * kMiB);
        CHECK(room.check(pool, v));
        v.size = 8 * kMiB;
        CHECK(room.grow(pool, v));
        CHECK(room.observe(pool, v)->size == 24 * kMiB);
        v.size = std::int64_t{1} << 62;
        CHECK_FALSE(room.grow(pool, v));
    }
}

TEST_CASE_TEMPLATE("a volume that a guest has open is not changed behind its back", R, BOTH) {
    R room;
    const PoolDocument pool = room.opened();
    VolumeDocument v = volume(1, 8 * kMiB);
    REQUIRE(room.create(pool, v));
    v.size = 16 * kMiB;
    room.while_open(pool, v, [&] {
        const auto grown = room.grow(pool, v);
        REQUIRE_FALSE(grown);
        CHECK(grown.error().code == Code::busy);
    });
    CHECK(room.observe(pool, v)->size == 8 * kMiB);
    CHECK(room.grow(pool, v));
}

TEST_CASE("volumes and seeds are QEMU's from the beginning, images nobody's, and a start puts right what was changed") {
    if (::geteuid() != 0) SKIP_TEST("needs root, to give files away");
    RealRoom room;
    const PoolDocument pool = room.opened();
    const ImageDocument image = room.image();
    const auto owner = [](const std::string& path) {
        struct stat st {};
        REQUIRE(::stat(path.c_str(), &st) == 0);
        return st.st_uid;
    };
    REQUIRE(room.fetch(pool, image));
    VolumeDocument v = volume(1, kGiB);
    v.image_digest = image.digest;
    REQUIRE(room.create(pool, v));
    const std::string path = room.storage().volume_path(pool, v);
    CHECK(owner(path) == kGuests);
    CHECK(owner(image_path(pool, image.digest)) == 0);
    REQUIRE(::chown(path.c_str(), 0, 0) == 0);
    CHECK(room.check(pool, v));
    CHECK(owner(path) == kGuests);
    const auto seed = room.seed({.id = VmId(uuid(7)), .seed = {.instance_id = "i", .hostname = "h"}});
    REQUIRE_MESSAGE(seed, seed.error().message);
    CHECK(owner(*seed) == kGuests);
}

TEST_CASE_TEMPLATE("a raw volume takes its size", R, BOTH) {
    R room;
    const PoolDocument pool = room.opened();
    VolumeDocument raw = volume(3, 8 * kMiB);
    raw.format = DiskFormat::raw;
    REQUIRE(room.create(pool, raw));
    const auto seen = room.observe(pool, raw);
    REQUIRE(seen);
    CHECK(seen->size == 8 * kMiB);
    CHECK(seen->allocated >= 8 * kMiB);
    CHECK(room.storage().volume_path(pool, raw).ends_with(".raw"));
    CHECK(room.check(pool, raw));
    REQUIRE(room.destroy(pool, 3));
    CHECK_FALSE(room.observe(pool, raw)->exists);
    raw.image_digest = room.image().digest;
    CHECK(room.create(pool, raw).error().code == Code::invalid);
}

TEST_CASE_TEMPLATE("destroy removes a volume, and none is a success", R, BOTH) {
    R room;
    const PoolDocument pool = room.opened();
    REQUIRE(room.destroy(pool, 1));
    REQUIRE(room.create(pool, volume(1)));
    REQUIRE(room.create(pool, volume(2)));
    REQUIRE(room.destroy(pool, 1));
    REQUIRE(room.destroy(pool, 1));
    CHECK(*room.list(pool) == std::vector{VolumeId(uuid(2))});
    const auto checked = room.check(pool, volume(1));
    REQUIRE_FALSE(checked);
    CHECK(checked.error().code == Code::not_found);
}

TEST_CASE_TEMPLATE("a volume that was made and is missing isn't made anew", R, BOTH) {
    R room;
    const PoolDocument pool = room.opened();
    VolumeDocument made = volume(1);
    made.made = true;
    const auto lost = room.create(pool, made);
    REQUIRE_FALSE(lost);
    CHECK(lost.error().code == Code::conflict);
    CHECK(lost.error().reason == "lost");
    REQUIRE(room.create(pool, volume(1)));
    CHECK(room.create(pool, made));
}

TEST_CASE_TEMPLATE("a volume of an image overlays it, and the image stays as long as it is overlaid", R, BOTH) {
    R room;
    const PoolDocument pool = room.opened();
    const ImageDocument image = room.image();
    VolumeDocument overlay = volume(1);
    overlay.image_digest = image.digest;
    const auto early = room.create(pool, overlay);
    REQUIRE_FALSE(early);
    CHECK(early.error().code == Code::not_found);
    REQUIRE(room.fetch(pool, image));
    REQUIRE(room.fetch(pool, image));
    REQUIRE(room.create(pool, overlay));
    CHECK(room.observe(pool, overlay)->image_digest == image.digest);
    CHECK(room.check(pool, overlay));
    CHECK(room.create(pool, volume(1)).error().code == Code::conflict);  // blank is another thing
    const auto refused = room.remove_image(pool, image.digest);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::conflict);
    CHECK(refused.error().message.find(uuid(1).str()) != std::string::npos);
    REQUIRE(room.destroy(pool, 1));
    REQUIRE(room.remove_image(pool, image.digest));
    REQUIRE(room.remove_image(pool, image.digest));
    CHECK(room.create(pool, overlay).error().code == Code::not_found);
}

TEST_CASE_TEMPLATE("a volume smaller than its image's disk is refused with both sizes", R, BOTH) {
    R room;
    const PoolDocument pool = room.opened();
    const ImageDocument image = room.image();
    REQUIRE(room.fetch(pool, image));
    VolumeDocument overlay = volume(1, 32 * kMiB);
    overlay.image_digest = image.digest;
    const auto refused = room.create(pool, overlay);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::invalid);
    CHECK(refused.error().message.find("32 MiB") != std::string::npos);
    CHECK(refused.error().message.find("64 MiB") != std::string::npos);
}

TEST_CASE_TEMPLATE("an image that is missing, or isn't what its digest says, is refused and leaves nothing", R, BOTH) {
    R room;
    const PoolDocument pool = room.opened();
    const ImageDocument image = room.image();
    Code expected{};
    SUBCASE("missing") {
        room.remove_source(image);
        expected = Code::not_found;
    }
    SUBCASE("other bytes") {
        room.spoil_source(image);
        expected = Code::corrupt;
    }
    const auto refused = room.fetch(pool, image);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == expected);
    CHECK(refused.error().message.find(image.digest) != std::string::npos);
    CHECK(room.temporary_files(pool) == 0);
    VolumeDocument overlay = volume(1);
    overlay.image_digest = image.digest;
    CHECK(room.create(pool, overlay).error().code == Code::not_found);
}

TEST_CASE_TEMPLATE("a document that can't be is refused", R, BOTH) {
    R room;
    const PoolDocument pool = room.opened();
    for (const std::int64_t size : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{513}, 65 * kTiB}) {
        CAPTURE(size);
        CHECK(room.create(pool, volume(1, size)).error().code == Code::invalid);
    }
    VolumeDocument overlay = volume(1);
    overlay.image_digest = "../../etc/shadow";
    CHECK(room.create(pool, overlay).error().code == Code::invalid);
    CHECK(room.list(pool)->empty());
}

TEST_CASE_TEMPLATE("without room nothing is begun, and the numbers are told", R, BOTH) {
    R room;
    const PoolDocument pool = room.opened();
    VolumeDocument raw = volume(1, 64 * kTiB);
    raw.format = DiskFormat::raw;
    const auto refused = room.create(pool, raw);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::no_space);
    CHECK(refused.error().message.find("64 TiB") != std::string::npos);
    CHECK(room.list(pool)->empty());
    CHECK(room.temporary_files(pool) == 0);
}

TEST_CASE_TEMPLATE("seeds are made, kept and removed", R, BOTH) {
    R room;
    VmDocument vm{.id = VmId(uuid(5)), .seed = {.instance_id = "i1", .hostname = "web1"}};
    const auto path = room.seed(vm);
    REQUIRE(path);
    CHECK(path->find(vm.id.str()) != std::string::npos);
    CHECK(*room.seed(vm) == *path);
    vm.seed.hostname = "web2";
    CHECK(*room.seed(vm) == *path);
    const auto remove = [&] {
        return room.template wait<void>([&](auto done) { room.storage().remove_guest_files(vm.id, done); });
    };
    CHECK(remove());
    CHECK(remove());
}

TEST_CASE("of a guest that is gone no log stays, nor what was rotated away from it, nor a socket; others keep theirs") {
    RealRoom room;
    const VmId gone(uuid(5)), other(uuid(6));
    REQUIRE(make_directories(room / "guests"));
    for (const std::string& name : {gone.str() + ".log", gone.str() + ".log.0", gone.str() + ".log.1",
                                    gone.str() + ".vnc", other.str() + ".log", other.str() + ".log.0"})
        REQUIRE(write_file_durably(room / "guests/" + name, "what the guest said"));
    REQUIRE(room.wait<void>([&](auto done) { room.storage().remove_guest_files(gone, done); }));
    CHECK(*list_directory(room / "guests") == std::vector<std::string>{other.str() + ".log", other.str() + ".log.0"});
}

TEST_CASE_TEMPLATE("a sweep takes temporary files of ours, never volumes or images", R, BOTH) {
    R room;
    const PoolDocument pool = room.opened();
    const ImageDocument image = room.image();
    REQUIRE(room.fetch(pool, image));
    REQUIRE(room.create(pool, volume(1)));
    room.leave_temporary_files(pool);
    REQUIRE(room.temporary_files(pool) > 0);
    room.restart();
    REQUIRE(room.sweep({pool, room.pool(2)}));
    CHECK(room.temporary_files(pool) == 0);
    CHECK(*room.list(pool) == std::vector{VolumeId(uuid(1))});
    VolumeDocument overlay = volume(2);
    overlay.image_digest = image.digest;
    CHECK(room.create(pool, overlay));
}

}  // namespace
}  // namespace axle::test
