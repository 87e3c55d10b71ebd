// A library of images with a place for uploads, and a web server beside it.
#pragma once
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

inline Result<std::string> qemu_img(std::vector<std::string> arguments) {
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
        REQUIRE(ImageLibrary::prepare(settings));
        UnfinishedImports unfinished;
        unfinished.importing.insert(image());
        REQUIRE(ImageLibrary::sweep(settings, unfinished, wall_now()));
        library = std::make_unique<ImageLibrary>(
            core,
            [this](const std::string&, std::function<void()> job) {
                core.post(std::move(job));
                return true;
            },
            settings);
    }
    bool by_administrator = true;  // the test's server is on loopback
    static Uuid image() {
        Uuid id;
        id.bytes[0] = 7;
        return id;
    }
    // As the core does it: what came is kept until the success is recorded.
    Result<Imported> import(ImportRequest request) {
        auto result = import_and_keep(std::move(request));
        if (result) library->forget(image());
        core.run();
        return result;
    }
    Result<Imported> import_and_keep(ImportRequest request) {
        std::optional<Result<Imported>> answer;
        request.image = image();
        request.from_this_machine = by_administrator;
        library->import(
            request, [&](const ImportProgress& progress) { told.push_back(progress); },
            [&](Result<Imported> result) { answer = std::move(result); });
        REQUIRE(core.run_until([&] { return answer.has_value(); }, seconds{120}));
        return *answer;
    }
    // A file in the place where the API puts uploads that are whole.
    std::string upload_path() const { return library->upload_directory() + "/" + upload_name(image()); }
    void upload(const std::string& from) {
        std::filesystem::copy_file(from, upload_path(), std::filesystem::copy_options::overwrite_existing);
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
    std::vector<ImportProgress> told;
};

inline std::string file_sum(const std::string& path, const char* kind) {
    Digest digest(kind);
    digest.update(*read_file(path, 1 << 30));
    return std::string(kind) + ":" + digest.finish_hex();
}

inline void check_imported(Room& room, const Result<Imported>& imported) {
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

}  // namespace axle::test
