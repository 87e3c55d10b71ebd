// What an import may take: room on the disk, time of a slow server; and contents that come and go at the same time.
#include <algorithm>

#include "common/base/space.hpp"
#include "common/fetch/download.hpp"
#include "tests/contract/images/fixtures.hpp"
#include "tests/support/small_disk.hpp"

namespace axle::test {
namespace {

std::string file_of(const Room& room, const char* name, std::size_t mib) {
    std::string noise(mib << 20, '\0');
    std::uint32_t x = 1;
    for (char& c : noise) c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
    noise.replace(0, 512, std::string(510, '\0') + "\x55\xaa");
    noise[446] = '\x80';
    noise[450] = '\x83';
    REQUIRE(write_file_durably(room.dir / name, noise, 0644));
    return room.dir / name;
}

TEST_CASE("a download stops before it takes the room that is kept, keeps what came, and goes on when there is room") {
    Room room;
    const SmallDisk disk("48m");
    if (!disk.mounted) SKIP_TEST("a small file system can only be mounted by root");
    Server server(room.dir.path());
    (void)file_of(room, "noise", 20);
    const std::string filler = disk.dir / "filler";
    REQUIRE(write_file_durably(filler, std::string(24 << 20, 'x')));
    DownloadSpec spec{.url = server / "noise",
                      .path = disk.dir / "file",
                      .size_max = 64 << 20,
                      .keep_free = 16 << 20,
                      .from_this_machine = true};
    const auto refused = download(spec);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::no_space);
    CHECK(refused.error().message.find("16 MiB") != std::string::npos);
    CHECK_FALSE(refused.error().hint.empty());
    CHECK(*free_bytes(disk.dir.path()) >= spec.keep_free);
    REQUIRE(remove_file_durably(filler));
    CHECK(download(spec) == 20 << 20);
}

TEST_CASE("an import that has no room to convert says so, and leaves the room and what came") {
    NEEDS_TOOLS();
    const SmallDisk disk("64m");
    if (!disk.mounted) SKIP_TEST("a small file system can only be mounted by root");
    Room room;
    const std::string noise = file_of(room, "noise.raw", 24);
    room.settings.directory = disk.dir / "images";
    room.settings.keep_free = 24 << 20;
    room.restart();
    room.upload(noise);
    const auto refused = room.import_and_keep({});
    REQUIRE_FALSE(refused);
    CAPTURE(refused.error().message);
    CHECK(refused.error().code == Code::no_space);
    CHECK(*free_bytes(disk.dir.path()) >= room.settings.keep_free);
    CHECK(room.leftovers() == std::vector<std::string>{upload_name(Room::image())});
    room.settings.keep_free = 4 << 20;
    room.restart();
    CHECK(room.import({}));
    CHECK(room.leftovers().empty());
}

TEST_CASE("a server that sends next to nothing is given up") {
    Room room;
    (void)file_of(room, "noise", 1);
    Server server(room.dir.path());
    const auto refused = download({.url = server / "trickle/noise",
                                   .path = room.dir / "file",
                                   .size_max = 64 << 20,
                                   .from_this_machine = true,
                                   .stall_limit = seconds{2}});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::unavailable);  // and tried again later
}

TEST_CASE("an import tells its steps in order, in lanes of its project for the network and for the processor") {
    NEEDS_TOOLS();
    Room room;
    room.make_disk();
    Server server(room.dir.path());
    std::vector<std::string> lanes;
    room.library = std::make_unique<ImageLibrary>(
        room.core,
        [&](const std::string& lane, std::function<void()> job) {
            lanes.push_back(lane);
            room.core.post(std::move(job));
            return true;
        },
        room.settings);
    REQUIRE(room.import({.url = server / "disk.qcow2", .checksum = file_sum(room.dir / "disk.qcow2", "sha256")}));
    const std::string project = Uuid{}.str();
    REQUIRE(lanes.size() == 3);
    CHECK(lanes[0] == "receive/" + project);
    CHECK(lanes[1] == "convert/" + project);
    REQUIRE_FALSE(room.told.empty());
    CHECK(room.told.front().step == ImportStep::downloading);
    CHECK(std::ranges::is_sorted(room.told, {}, &ImportProgress::step));
    CHECK(std::ranges::count(room.told, ImportStep::checking, &ImportProgress::step) > 0);
}

// Jobs of "remove" wait until they are called.
struct Shop {
    Room room;
    std::vector<std::function<void()>> removals;
    Shop() {
        room.make_disk();
        room.library = std::make_unique<ImageLibrary>(
            room.core,
            [this](const std::string& lane, std::function<void()> job) {
                if (lane == "remove")
                    removals.push_back(std::move(job));
                else
                    room.core.post(std::move(job));
                return true;
            },
            room.settings);
    }
    std::string import() {
        room.upload(room.dir / "disk.qcow2");
        const auto imported = room.import({});
        REQUIRE(imported);
        return imported->digest;
    }
    void remove_now() {
        for (auto& job : std::exchange(removals, {})) job();
    }
};

TEST_CASE("a content that comes again while its removal waits stays, and goes when that is asked for anew") {
    NEEDS_TOOLS();
    Shop shop;
    const std::string digest = shop.import();
    shop.room.library->remove(digest, [](const Result<>&) {});
    CHECK(shop.import() == digest);
    shop.remove_now();
    CHECK(file_exists(shop.room.library->path(digest)));
    shop.room.library->remove(digest, [](const Result<>&) {});
    shop.remove_now();
    CHECK_FALSE(file_exists(shop.room.library->path(digest)));
}

TEST_CASE("a content is not removed between its publication and its record") {
    const TempDir dir;
    const std::string path = dir / "file";
    REQUIRE(write_file_durably(path, "x"));
    Shelf shelf;
    shelf.claim("a");        // an import publishes it
    shelf.ask_removal("a");  // the core, which doesn't know of it yet, lets another one of the same content go
    REQUIRE(shelf.remove("a", path));
    CHECK(file_exists(path));
    shelf.release("a");
    REQUIRE(shelf.remove("a", path));  // nobody asks for it any more
    CHECK(file_exists(path));
    shelf.ask_removal("a");
    REQUIRE(shelf.remove("a", path));
    CHECK_FALSE(file_exists(path));
}

}  // namespace
}  // namespace axle::test
