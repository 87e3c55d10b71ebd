// Images from anywhere: what is sound comes in whole, what is not what was asked for is refused in words.
#include <algorithm>

#include "tests/contract/images/fixtures.hpp"

namespace axle::test {
namespace {

TEST_CASE("an upload comes in, whatever way it is packed") {
    NEEDS_TOOLS();
    Room room;
    room.make_disk();
    for (const char* tool : {"xz", "gzip", "zstd"})
        REQUIRE(run_checked({.program = tool, .arguments = {"-q", "-k", room.dir / "disk.qcow2"}}));
    REQUIRE(run_checked({.program = "gzip", .arguments = {"-k", room.dir / "disk.raw"}}));
    for (const char* name :
         {"disk.qcow2", "disk.raw", "disk.qcow2.xz", "disk.qcow2.gz", "disk.qcow2.zst", "disk.raw.gz"}) {
        CAPTURE(name);
        const std::string file = room.dir / name;
        room.upload(file);
        const auto imported = room.import({.checksum = file_sum(file, "sha512")});
        check_imported(room, imported);
        CHECK(
            imported->source_format.starts_with(std::string(name).find("raw") != std::string::npos ? "raw" : "qcow2"));
    }
    CHECK(room.images() == 1);  // of the same content there is one
}

TEST_CASE("a download comes in with its checksum, and one that broke off goes on where it stopped") {
    NEEDS_TOOLS();
    Room room;
    room.make_disk();
    Server server(room.dir.path());
    const std::string sum = file_sum(room.dir / "disk.qcow2", "sha256");
    check_imported(room, room.import({.url = server / "disk.qcow2", .checksum = sum}));
    check_imported(room, room.import({.url = server / "to?/to%3F/disk.qcow2", .checksum = sum}));
    const auto away = room.import({.url = server / "away/disk.qcow2"});
    REQUIRE_FALSE(away);
    CHECK(away.error().code == Code::unavailable);
    CHECK(away.error().message.find("HTTP 503") != std::string::npos);
    const std::string broken = server / "drop/1000000/disk.qcow2";
    const auto first = room.import({.url = broken, .checksum = sum});
    REQUIRE_FALSE(first);
    CHECK(first.error().code == Code::unavailable);
    CHECK(first.error().message.find(broken) != std::string::npos);
    room.restart();
    for (int i = 0; i < 20 && room.import({.url = broken, .checksum = sum}).has_value() == false; ++i) {
    }
    CHECK(server.was_asked("/drop/1000000/disk.qcow2 bytes=1000000-"));
    CHECK(server.was_asked("/drop/1000000/disk.qcow2 bytes=2000000-"));
    CHECK(room.leftovers().empty());
    CHECK(room.images() == 1);
}

TEST_CASE("a partial download of a file that has changed since begins anew") {
    NEEDS_TOOLS();
    Room room;
    room.make_disk();
    Server server(room.dir.path());
    const std::string path = room.dir / "part";
    CHECK_FALSE(room.import({.url = server / "drop/1000000/disk.qcow2"}));
    // The same address, another ETag: as the server would say after a new release.
    const std::string incoming = room.library->upload_directory();
    for (const auto& entry : std::filesystem::directory_iterator(incoming)) {
        if (entry.path().extension() != ".json") continue;
        auto text = *read_file(entry.path());
        text.replace(text.find("drop/1000000"), 12, "changed");
        REQUIRE(write_file_durably(entry.path(), text));
    }
    check_imported(room, room.import({.url = server / "changed/disk.qcow2",
                                      .checksum = file_sum(room.dir / "disk.qcow2", "sha256")}));
    CHECK(server.was_asked("/changed/disk.qcow2 bytes=1000000-"));
}

TEST_CASE("a source that isn't what was asked for is refused with the reason, and leaves nothing") {
    NEEDS_TOOLS();
    Room room;
    room.make_disk();
    Server server(room.dir.path());
    REQUIRE(write_file_durably(room.dir / "empty", ""));
    std::filesystem::resize_file(room.dir / "empty", 0);
    REQUIRE(run_checked({.program = "truncate", .arguments = {"-s", "100M", room.dir / "large"}}));
    struct Row {
        std::string url, checksum, reason;
        Code code;
    };
    const Row rows[] = {
        {server / "disk.qcow2", "sha256:" + std::string(64, 'a'), "expected was aaaa", Code::invalid},
        {server / "disk.qcow2", "md5:" + std::string(32, 'a'), "is no checksum", Code::invalid},
        {server / "disk.qcow2", "sha256:xyz", "is no checksum", Code::invalid},
        {server / "nothing", "", "isn't there (HTTP 404)", Code::not_found},
        {server / "empty", "", "is empty", Code::invalid},
        {server / "large", "", "at most 64 MiB are taken", Code::too_large},
        {server / "to?file%3A///etc/shadow", "", "something else than http or https", Code::invalid},
        {server / "to?ftp%3A//127.0.0.1/x", "", "something else than http or https", Code::invalid},
        {server /
             ("to?" + std::string("/to%3F/to%253F/to%25253F/to%2525253F/to%252525253F/to%25252525253F/disk.qcow2")),
         "", "more than 5 redirects", Code::invalid},
        {"file:///etc/shadow", "", "no http or https URL", Code::invalid},
        {"/etc/shadow", "", "no http or https URL", Code::invalid},
        {"no-such-image", "", "no name of the catalogue", Code::invalid},
        {"http://127.0.0.1:1/x", "", "can't be downloaded", Code::unavailable},
    };
    for (const Row& row : rows) {
        CAPTURE(row.url);
        const auto refused = room.import({.url = row.url, .checksum = row.checksum});
        REQUIRE_FALSE(refused);
        CAPTURE(refused.error().message);
        CHECK(refused.error().code == row.code);
        CHECK(refused.error().message.find(row.reason) != std::string::npos);
        if (row.code != Code::unavailable) CHECK(room.leftovers().empty());
        room.library->cancel(Room::image());
        room.core.run();
        CHECK(room.leftovers().empty());
    }
    CHECK(room.images() == 0);
}

TEST_CASE("a cancel ends an import in words and leaves nothing") {
    NEEDS_TOOLS();
    Room room;
    room.make_disk();
    Server server(room.dir.path());
    Uuid id;
    id.bytes[0] = 9;
    std::optional<Result<Imported>> answer;
    std::vector<std::jthread> workers;
    ImageLibrary library(
        room.core,
        [&](const std::string&, std::function<void()> job) {
            workers.emplace_back(std::move(job));
            return true;
        },
        room.settings);
    library.import({.image = id, .url = server / "slow/disk.qcow2", .from_this_machine = true}, nullptr,
                   [&](Result<Imported> r) { answer = r; });
    const BootTime deadline = boot_now() + seconds{30};
    while (!server.was_asked("/slow") && boot_now() < deadline) std::this_thread::yield();
    library.import({.image = id, .url = server / "disk.qcow2", .from_this_machine = true}, nullptr,
                   [](const Result<Imported>& r) {
                       REQUIRE_FALSE(r);
                       CHECK(r.error().code == Code::busy);
                   });
    library.cancel(id);
    REQUIRE(room.core.run_until([&] { return answer.has_value(); }));
    REQUIRE_FALSE(*answer);
    CHECK(answer->error().code == Code::conflict);
    CHECK(answer->error().reason == "cancelled");
    workers.clear();
    CHECK(room.leftovers().empty());
}

TEST_CASE("a start sweeps what a crash left, and keeps what an import can go on with") {
    Room room;
    const std::string incoming = room.library->upload_directory() + "/";
    Uuid importing, failed, gone;
    importing.bytes[0] = 1;
    failed.bytes[0] = 2;
    gone.bytes[0] = 3;
    for (const Uuid& id : {importing, failed, gone}) {
        for (const char* kind : {".download", ".download.json", ".upload", ".unpacked", ".converted"})
            REQUIRE(write_file_durably(incoming + id.str() + kind, "x"));
    }
    REQUIRE(write_file_durably(incoming + "upload-xyz", "x"));
    const auto sweep = [&](std::int64_t days) {
        const WallTime later{wall_now().ms + days * 24 * 3'600'000};
        REQUIRE(ImageLibrary::sweep(room.settings, {.importing = {importing}, .failed = {failed}}, later));
        std::vector<std::string> left = room.leftovers();
        std::ranges::sort(left);
        return left;
    };
    const std::string a = importing.str(), b = failed.str();
    CHECK(sweep(0) == std::vector<std::string>{a + ".download", a + ".download.json", a + ".upload", b + ".download",
                                               b + ".download.json"});
    CHECK(sweep(4) == std::vector<std::string>{a + ".download", a + ".download.json", a + ".upload"});
}

TEST_CASE("an upload is kept until its success is recorded, over restarts too") {
    NEEDS_TOOLS();
    Room room;
    room.make_disk();
    room.upload(room.dir / "disk.qcow2");
    const auto first = room.import_and_keep({});
    REQUIRE(first);
    room.restart();  // a crash came before the success was recorded
    CHECK(file_exists(room.upload_path()));
    const auto again = room.import({});
    REQUIRE(again);
    CHECK(again->digest == first->digest);
    check_imported(room, again);
}

TEST_CASE("an upload goes on after a stop of the service in its import; a cancel removes it") {
    NEEDS_TOOLS();
    Room room;
    room.make_disk();
    room.upload(room.dir / "disk.qcow2");
    std::vector<std::function<void()>> jobs;
    const auto begin = [&] {
        room.library = std::make_unique<ImageLibrary>(
            room.core,
            [&jobs](const std::string&, std::function<void()> job) {
                jobs.push_back(std::move(job));
                return true;
            },
            room.settings);
        room.library->import({.image = Room::image()}, nullptr, [](const Result<Imported>&) {});
    };
    begin();
    room.library->stop();
    for (auto& job : std::exchange(jobs, {})) job();
    CHECK(file_exists(room.upload_path()));
    begin();
    room.library->cancel(Room::image());
    for (auto& job : std::exchange(jobs, {})) job();
    room.core.run();
    CHECK(room.leftovers().empty());
}

TEST_CASE("an import whose upload isn't there says that it was interrupted") {
    Room room;
    const auto refused = room.import({});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().reason == "interrupted");
}

TEST_CASE("an image that is removed is gone, and none is a success") {
    NEEDS_TOOLS();
    Room room;
    room.make_disk();
    room.upload(room.dir / "disk.qcow2");
    const auto imported = room.import({});
    REQUIRE(imported);
    int told = 0;
    for (int i = 0; i < 2; ++i)
        room.library->remove(imported->digest, [&](const Result<>& done) { told += done ? 1 : 0; });
    room.core.run();
    CHECK(room.images() == 0);
    CHECK(told == 2);
}

TEST_CASE("what a user wants imported doesn't lead to the server itself, by address, name or redirect") {
    NEEDS_TOOLS();
    Room room;
    Server server(room.dir.path());
    room.by_administrator = false;
    const std::string port = (server / "").substr(std::string("http://127.0.0.1").size());
    for (const std::string& url :
         {server / "disk.qcow2", "http://localhost" + port + "disk.qcow2", server / "to?/disk.qcow2",
          std::string("http://[::1]:1/x"), std::string("http://[::ffff:127.0.0.1]") + port + "disk.qcow2",
          "http://0.0.0.0" + port + "disk.qcow2", std::string("http://169.254.169.254/latest/meta-data/")}) {
        CAPTURE(url);
        const auto refused = room.import({.url = url});
        REQUIRE_FALSE(refused);
        CAPTURE(refused.error().message);
        CHECK(refused.error().code == Code::forbidden);
        CHECK(refused.error().message.find("an address of the server itself") != std::string::npos);
        CHECK(room.leftovers().empty());
    }
    CHECK_FALSE(server.was_asked("disk.qcow2"));
}

}  // namespace
}  // namespace axle::test
