// Images from anywhere: what is sound comes in whole, what is hostile or damaged is refused in words, and nothing is
// left behind.
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include <doctest/doctest.h>

#include "common/base/digest.hpp"
#include "common/base/file.hpp"
#include "common/base/now.hpp"
#include "common/base/process.hpp"
#include "common/disk/qcow2.hpp"
#include "orchestrator/images/image_library.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/waiting_executor.hpp"

namespace axle::test {
namespace {

Result<std::string> qemu_img(std::vector<std::string> arguments) {
    return run_checked({.program = "qemu-img", .arguments = std::move(arguments)});
}

#define NEEDS_TOOLS()                                                  \
    if (::geteuid() != 0) SKIP_TEST("only root can confine qemu-img"); \
    if (!qemu_img({"--version"})) SKIP_TEST("qemu-img is not installed (package qemu-utils)")

class Server {
  public:
    explicit Server(const std::string& directory) {
        thread_ = std::jthread([this, directory](const std::stop_token& stop) {
            (void)run_process({.program = "python3",
                               .arguments = {IMAGE_SERVER, directory},
                               .time_limit = seconds{600},
                               .cancel = stop,
                               .on_output = [this](std::string_view said) {
                                   const std::lock_guard hold(mutex_);
                                   said_ += said;
                                   told_.notify_all();
                               }});
        });
        std::unique_lock hold(mutex_);
        REQUIRE(told_.wait_for(hold, seconds{30}, [this] { return said_.find('\n') != std::string::npos; }));
        url_ = "http://127.0.0.1:" + said_.substr(0, said_.find('\n'));
    }
    std::string operator/(const std::string& path) const { return url_ + "/" + path; }
    bool was_asked(const std::string& line) {
        const std::lock_guard hold(mutex_);
        return said_.find(line) != std::string::npos;
    }

  private:
    std::mutex mutex_;
    std::condition_variable told_;
    std::string said_, url_;
    std::jthread thread_;
};

class Room {
  public:
    Room() {
        settings.directory = dir / "images";
        settings.source_size_max = 64 << 20;
        restart();
    }
    void restart() {
        library.reset();
        REQUIRE(ImageLibrary::prepare(settings, wall_now()));
        library = std::make_unique<ImageLibrary>(
            core,
            [this](const std::string&, std::function<void()> job) {
                core.post(std::move(job));
                return true;
            },
            settings);
    }
    Result<Imported> import(ImportRequest request) {
        std::optional<Result<Imported>> answer;
        request.image.bytes[0] = 7;
        library->import(
            request, [&](std::int64_t done, std::int64_t) { progressed = done; },
            [&](Result<Imported> result) { answer = std::move(result); });
        REQUIRE(core.run_until([&] { return answer.has_value(); }, seconds{120}));
        return *answer;
    }
    // A file in the place where the API puts uploads.
    std::string upload(const std::string& from) {
        const std::string path = library->upload_directory() + "/upload-abcdef";
        std::filesystem::copy_file(from, path, std::filesystem::copy_options::overwrite_existing);
        return path;
    }
    // Everything that isn't a published image.
    std::vector<std::string> leftovers() const {
        std::vector<std::string> found;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(settings.directory))
            if (entry.path().extension() != ".qcow2" && entry.path().filename() != "incoming")
                found.push_back(entry.path().filename());
        return found;
    }
    int images() const {
        int n = 0;
        for (const auto& entry : std::filesystem::directory_iterator(settings.directory))
            n += entry.path().extension() == ".qcow2" ? 1 : 0;
        return n;
    }
    // A sound disk of 8 MiB with something in it, and its pieces.
    void make_disk() {
        std::string disk(8 << 20, '\0');
        disk.replace(510, 2, "\x55\xaa");
        disk[446] = '\x80';
        disk[450] = '\x83';
        std::uint32_t x = 1;
        for (std::size_t i = 1 << 20; i < (4 << 20); ++i)
            disk[i] = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
        REQUIRE(write_file_durably(dir / "disk.raw", disk, 0644));
        REQUIRE(qemu_img({"convert", "-f", "raw", "-O", "qcow2", dir / "disk.raw", dir / "disk.qcow2"}));
    }

    TempDir dir;
    ImportSettings settings;
    WaitingExecutor core;
    std::unique_ptr<ImageLibrary> library;
    std::int64_t progressed = -1;
};

std::string file_sum(const std::string& path, const char* kind) {
    Digest digest(kind);
    digest.update(*read_file(path, 1 << 30));
    return std::string(kind) + ":" + digest.finish_hex();
}

void check_imported(Room& room, const Result<Imported>& imported) {
    REQUIRE_MESSAGE(imported, (imported ? "" : imported.error().message));
    CHECK(imported->virtual_size == 8 << 20);
    const std::string path = room.library->path(imported->digest);
    CHECK("sha256:" + imported->digest == file_sum(path, "sha256"));
    struct stat st {};
    REQUIRE(::stat(path.c_str(), &st) == 0);
    CHECK(st.st_size == imported->size);
    CHECK((st.st_mode & 07777) == 0444);
    CHECK(st.st_uid == 0);
    const auto header = read_qcow2(path);
    REQUIRE(header);
    CHECK(header->version == 3);
    CHECK(header->backing_file.empty());
    CHECK(qemu_img({"compare", "-f", "qcow2", "-F", "raw", path, room.dir / "disk.raw"}));
    CHECK(room.leftovers().empty());
}

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
        const auto imported = room.import({.file = room.upload(file), .checksum = file_sum(file, "sha512")});
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
        room.library->cancel([] {
            Uuid id;
            id.bytes[0] = 7;
            return id;
        }());
        room.core.run();
        CHECK(room.leftovers().empty());
    }
    CHECK(room.images() == 0);
}

// --- hostile uploads ------------------------------------------------------------------------------------------------

void patch(const std::string& path, std::size_t offset, std::string_view bytes) {
    auto content = *read_file(path, 1 << 30);
    content.replace(offset, bytes.size(), bytes);
    REQUIRE(write_file_durably(path, content));
}

TEST_CASE("a hostile or damaged upload is refused with the reason, and leaves nothing") {
    NEEDS_TOOLS();
    using namespace std::string_view_literals;
    Room room;
    room.make_disk();
    const auto copy = [&](const std::string& name) {
        std::filesystem::copy_file(room.dir / "disk.qcow2", room.dir / name);
        return room.dir / name;
    };
    struct Row {
        std::string name, reason;
        std::function<void(const std::string& path)> make;
    };
    const auto create = [](std::vector<std::string> words) {
        return [words](const std::string& path) {
            std::vector<std::string> all = {"create", "-q"};
            all.insert(all.end(), words.begin(), words.end());
            all.push_back(path);
            all.emplace_back("8M");
            REQUIRE(qemu_img(all));
        };
    };
    const auto patched = [&](std::size_t offset, std::string_view bytes) {
        return [&copy, &room, offset, bytes](const std::string& path) {
            std::filesystem::copy_file(room.dir / "disk.qcow2", path);
            patch(path, offset, bytes);
        };
    };
    const auto text = [](std::string content) {
        return [content](const std::string& path) { REQUIRE(write_file_durably(path, content)); };
    };
    const auto truncated = [&](std::uintmax_t size) {
        return [&room, size](const std::string& path) {
            std::filesystem::copy_file(room.dir / "disk.qcow2", path);
            std::filesystem::resize_file(path, size);
        };
    };
    const std::string kVmdk =
        "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n"
        "RW 4 FLAT \"/etc/shadow\" 0\n";
    const Row rows[] = {
        {"backing", "backing file (/etc/shadow)", create({"-u", "-f", "qcow2", "-F", "raw", "-b", "/etc/shadow"})},
        {"json-backing", "backing file",
         create({"-u", "-f", "qcow2", "-F", "raw", "-b", "json:{\"driver\":\"file\"}"})},
        {"data-file", "data file", create({"-f", "qcow2", "-o", "data_file=" + room.dir / "data"})},
        {"luks", "encrypted",
         create({"--object", "secret,id=s,data=x", "-f", "qcow2", "-o", "encrypt.format=luks,encrypt.key-secret=s"})},
        {"huge", "at most 16 TiB are taken", patched(24, "\x10\0\0\0\0\0\0\0"sv)},
        {"huge-l1", "L1 table has 4294967295 entries", patched(36, "\xff\xff\xff\xff"sv)},
        {"l1-beyond", "beyond the end of the file", patched(40, "\0\0\1\0\0\0\0\0"sv)},
        {"l1-garbage", "can't be read", patched(0x30000, "\xff\xff\xff\xff\xff\xff\xff\xff"sv)},
        {"feature", "features that are unknown", patched(72, "\x80"sv)},
        {"vmdk-extent", "VMDK", text(kVmdk)},
        {"vmdk", "VMDK", create({"-f", "vmdk"})},
        {"vdi", "VDI", create({"-f", "vdi"})},
        {"vhdx", "VHDX", create({"-f", "vhdx"})},
        {"text", "neither qcow2 nor a raw disk", text("hello")},
        {"empty", "neither qcow2 nor a raw disk", text("")},
        {"cut-20", "before the end of", truncated(20)},
        {"cut-80", "before the end of", truncated(80)},
        {"cut-300k", "", truncated(300'000)},
        {"cut-2M", "can't be read", truncated(2 << 20)},
        {"broken-xz", "can't be unpacked",
         text("\xfd"
              "7zXZ" +
              std::string(1, '\0') + "garbage garbage")},
    };
    for (const Row& row : rows) {
        CAPTURE(row.name);
        row.make(room.dir / row.name);
        const auto refused = room.import({.file = room.upload(room.dir / row.name)});
        REQUIRE_FALSE(refused);
        CAPTURE(refused.error().message);
        CHECK((refused.error().code == Code::invalid || refused.error().code == Code::malformed));
        CHECK(refused.error().message.find(row.reason) != std::string::npos);
        CHECK(room.leftovers().empty());
    }
    CHECK(room.images() == 0);
}

TEST_CASE("a decompression bomb is stopped at the limit, and takes no room") {
    NEEDS_TOOLS();
    Room room;
    REQUIRE(run_checked(
        {.program = "sh", .arguments = {"-c", "head -c 1000000000 /dev/zero | gzip -1 >\"$0\"", room.dir / "bomb"}}));
    const auto refused = room.import({.file = room.upload(room.dir / "bomb")});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::too_large);
    CHECK(refused.error().message.find("64 MiB") != std::string::npos);
    CHECK(room.leftovers().empty());
}

TEST_CASE("a raw disk whose guest wrote a qcow2 header into a partition stays a raw disk") {
    NEEDS_TOOLS();
    Room room;
    room.make_disk();
    patch(room.dir / "disk.raw", 2 << 20, *read_file(room.dir / "disk.qcow2", 1 << 30));
    const auto imported = room.import({.file = room.upload(room.dir / "disk.raw")});
    check_imported(room, imported);
    CHECK(imported->source_format == "raw");
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
    library.import({.image = id, .url = server / "slow/disk.qcow2"}, nullptr, [&](Result<Imported> r) { answer = r; });
    const BootTime deadline = boot_now() + seconds{30};
    while (!server.was_asked("/slow") && boot_now() < deadline) std::this_thread::yield();
    library.import({.image = id, .url = server / "disk.qcow2"}, nullptr, [](const Result<Imported>& r) {
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

TEST_CASE("a start sweeps what a crash left, and keeps a download that can go on") {
    Room room;
    const std::string incoming = room.library->upload_directory();
    for (const char* name : {"a.download", "a.download.json", "b.unpacked", "c.converted", "upload-xyz"})
        REQUIRE(write_file_durably(incoming + "/" + name, "x"));
    room.restart();
    CHECK(room.leftovers().size() == 2);
    const WallTime later{wall_now().ms + std::int64_t{4} * 24 * 3'600'000};
    REQUIRE(ImageLibrary::prepare(room.settings, later));
    CHECK(room.leftovers().empty());
}

TEST_CASE("an image that is removed is gone, and none is a success") {
    NEEDS_TOOLS();
    Room room;
    room.make_disk();
    const auto imported = room.import({.file = room.upload(room.dir / "disk.qcow2")});
    REQUIRE(imported);
    room.library->remove(imported->digest);
    room.library->remove(imported->digest);
    room.core.run();
    CHECK(room.images() == 0);
}

}  // namespace
}  // namespace axle::test
