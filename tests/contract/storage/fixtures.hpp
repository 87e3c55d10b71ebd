// Real and fake storage behind one set of words, for the one suite.
#pragma once
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <unistd.h>

#include <doctest/doctest.h>

#include "agent/storage/directory_storage.hpp"
#include "agent/storage/epoch_file.hpp"
#include "agent/storage/fake_storage.hpp"
#include "agent/storage/paths.hpp"
#include "common/base/digest.hpp"
#include "common/base/file.hpp"
#include "common/base/process.hpp"
#include "common/base/units.hpp"
#include "common/disk/qcow2_overlay.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/virtual_clock.hpp"
#include "tests/support/waiting_executor.hpp"

namespace axle::test {

constexpr unsigned kGuests = 64055;  // whom QEMU is to run as here

inline Uuid uuid(int n) {
    Uuid id;
    id.bytes[0] = 1;
    id.bytes[15] = static_cast<std::uint8_t>(n);
    return id;
}
inline VolumeDocument volume(int n, std::int64_t size = kGiB) {
    return {.id = VolumeId(uuid(n)), .size = size, .name = "default/v" + std::to_string(n)};
}

// Runs one operation to its answer, whatever the storage's clock and threads are.
class Room {
  public:
    virtual ~Room() = default;
    virtual Storage& storage() = 0;
    virtual bool run_until(const std::function<bool()>& done) = 0;
    virtual PoolDocument pool(int n) = 0;
    // An image file of 64 MiB virtual size on this machine.
    virtual ImageDocument image() = 0;
    virtual void unmount(const PoolDocument& pool) = 0;
    virtual void spoil_source(const ImageDocument& image) = 0;  // same name, other bytes
    virtual void remove_source(const ImageDocument& image) = 0;
    virtual void leave_temporary_files(const PoolDocument& pool) = 0;
    virtual int temporary_files(const PoolDocument& pool) = 0;
    virtual void restart() = 0;  // the agent, not the machine
    virtual std::optional<std::string> epoch_file(const PoolDocument& pool, int volume) = 0;
    virtual void put_epoch_file(const PoolDocument& pool, int volume, const std::string& text) = 0;
    // While `job` runs the volume is open as in a guest.
    virtual void while_open(const PoolDocument& pool, const VolumeDocument& volume, std::function<void()> job) = 0;

    template <typename T, typename Call>
    Result<T> wait(Call&& call) {
        auto answer = std::make_shared<std::optional<Result<T>>>();
        call([answer](Result<T> result) {
            REQUIRE_FALSE(answer->has_value());
            *answer = std::move(result);
        });
        REQUIRE_FALSE(answer->has_value());  // never inside the call
        REQUIRE(run_until([&] { return answer->has_value(); }));
        return std::move(**answer);
    }
    PoolObservation open(const PoolDocument& p, bool known = false) {
        auto seen = wait<PoolObservation>([&](auto done) { storage().open_pool(p, known, done); });
        REQUIRE(seen);
        return *seen;
    }
    PoolDocument opened(int n = 1, bool shared = false) {
        PoolDocument p = pool(n);
        p.shared = shared;
        const auto seen = open(p);
        REQUIRE_MESSAGE(seen.usable, seen.why);
        return p;
    }
    Result<> create(const PoolDocument& p, const VolumeDocument& v) {
        return wait<void>([&](auto done) { storage().create_volume(p, v, done); });
    }
    Result<> grow(const PoolDocument& p, const VolumeDocument& v) {
        return wait<void>([&](auto done) { storage().grow_volume(p, v, done); });
    }
    Result<> destroy(const PoolDocument& p, int n) {
        return wait<void>([&](auto done) { storage().destroy_volume(p, VolumeId(uuid(n)), done); });
    }
    Result<> check(const PoolDocument& p, const VolumeDocument& v) {
        return wait<void>([&](auto done) { storage().check_volume(p, v, done); });
    }
    Result<> claim(const PoolDocument& p, const VolumeDocument& v) {
        return wait<void>([&](auto done) { storage().claim_volume(p, v, done); });
    }
    Result<VolumeObservation> observe(const PoolDocument& p, const VolumeDocument& v) {
        return wait<VolumeObservation>([&](auto done) { storage().observe_volume(p, v, done); });
    }
    Result<std::vector<VolumeFile>> files(const PoolDocument& p) {
        return wait<std::vector<VolumeFile>>([&](auto done) { storage().list_volumes(p, done); });
    }
    Result<std::vector<VolumeId>> list(const PoolDocument& p) {
        TRY(found, files(p));
        std::vector<VolumeId> ids;
        for (const VolumeFile& file : found) ids.push_back(file.id);
        return ids;
    }
    Result<> fetch(const PoolDocument& p, const ImageDocument& i) {
        return wait<void>([&](auto done) { storage().fetch_image(p, i, nullptr, done); });
    }
    Result<> remove_image(const PoolDocument& p, const std::string& digest) {
        return wait<void>([&](auto done) { storage().remove_image(p, digest, done); });
    }
    Result<std::string> seed(const VmDocument& vm) {
        return wait<std::string>([&](auto done) { storage().make_seed(vm, done); });
    }
    Result<> sweep(std::vector<PoolDocument> pools) {
        return wait<void>([&](auto done) { storage().sweep(std::move(pools), done); });
    }
};

class RealRoom final : public Room {
  public:
    RealRoom() { restart(); }
    Storage& storage() override { return *storage_; }
    bool run_until(const std::function<bool()>& done) override { return core_.run_until(done, seconds{60}); }
    PoolDocument pool(int n) override {
        return {.id = PoolId(uuid(100 + n)),
                .name = "p" + std::to_string(n),
                .path = dir_ / ("pool" + std::to_string(n)),
                .cluster = "c1"};
    }
    ImageDocument image() override {
        const std::string path = dir_ / "image.qcow2";
        const auto bytes = lay_out_qcow2({.size = 64 * kMiB});
        std::string content = bytes->head;
        content.resize(static_cast<std::size_t>(bytes->file_size), '\0');
        REQUIRE(write_file_durably(path, content, 0644));
        return {.id = uuid(50),
                .digest = sha256_hex(content),
                .size = bytes->file_size,
                .virtual_size = 64 * kMiB,
                .source = path};
    }
    void unmount(const PoolDocument& pool) override {
        std::filesystem::rename(pool.path, pool.path + "-away");
        std::filesystem::create_directory(pool.path);  // the mount point stays
    }
    void spoil_source(const ImageDocument& image) override {
        auto content = read_file(image.source);
        REQUIRE(content);
        content->back() = 'x';
        REQUIRE(write_file_durably(image.source, *content, 0644));
    }
    void remove_source(const ImageDocument& image) override { std::filesystem::remove(image.source); }
    void leave_temporary_files(const PoolDocument& pool) override {
        REQUIRE(write_file_durably(volumes_directory(pool) + "/" + uuid(9).str() + ".qcow2.local.new", "x"));
        REQUIRE(write_file_durably(images_directory(pool) + "/" + std::string(64, 'a') + ".qcow2.local.new", "x"));
    }
    int temporary_files(const PoolDocument& pool) override {
        int n = 0;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(pool.path))
            if (entry.path().extension() == ".new") ++n;
        return n;
    }
    std::optional<std::string> epoch_file(const PoolDocument& pool, int volume) override {
        auto text = read_file(epoch_path(pool, VolumeId(uuid(volume))));
        return text ? std::optional(std::move(*text)) : std::nullopt;
    }
    void put_epoch_file(const PoolDocument& pool, int volume, const std::string& text) override {
        REQUIRE(write_file_durably(epoch_path(pool, VolumeId(uuid(volume))), text));
    }
    void while_open(const PoolDocument& pool, const VolumeDocument& volume, std::function<void()> job) override {
        const std::string path = storage_->volume_path(pool, volume);
        // Who looks locks it for a moment, too: then qemu-io can't open it, and tries again.
        const std::string opens = fmt::format("qemu-io -f {} '{}' >/dev/null 2>&1", text_of(volume.format), path);
        const std::string tries = fmt::format("for i in $(seq 100); do {} && break; sleep 0.02; done", opens);
        const std::unique_ptr<FILE, int (*)(FILE*)> guest(::popen(tries.c_str(), "w"), ::pclose);
        const auto has_it = [&] {
            const auto looked = run_process({.program = "qemu-img", .arguments = {"info", path}});
            return looked && looked->error_tail.find("lock") != std::string::npos;
        };
        REQUIRE(run_until(has_it));
        job();
    }
    void restart() override {
        DirectoryStorageOptions options;
        options.pool.guests = FileOwner{::geteuid() == 0 ? kGuests : ::geteuid(), ::getegid()};
        options.seeds_directory = dir_ / "seeds";
        options.guest_files = [this](VmId vm) {
            return std::vector{dir_ / "guests" + "/" + vm.str() + ".log", dir_ / "guests" + "/" + vm.str() + ".vnc"};
        };
        options.pool.least_free = kMiB;
        // In the test's own thread, and yet never inside the call.
        storage_ = std::make_unique<DirectoryStorage>(
            core_,
            [this](const std::string&, std::function<void()> job) {
                core_.post(std::move(job));
                return true;
            },
            options);
    }
    std::string operator/(const std::string& name) const { return dir_ / name; }

  private:
    TempDir dir_;
    WaitingExecutor core_;
    std::unique_ptr<DirectoryStorage> storage_;
};

class FakeRoom final : public Room {
  public:
    FakeRoom() { restart(); }
    Storage& storage() override { return *storage_; }
    bool run_until(const std::function<bool()>& done) override { return time_.run_until(done, seconds{60}); }
    PoolDocument pool(int n) override {
        return {.id = PoolId(uuid(100 + n)),
                .name = "p" + std::to_string(n),
                .path = "/pools/" + std::to_string(n),
                .cluster = "c1"};
    }
    ImageDocument image() override {
        return {.id = uuid(50),
                .digest = std::string(64, 'd'),
                .size = 262144,
                .virtual_size = 64 * kMiB,
                .source = "/images/d"};
    }
    void unmount(const PoolDocument& pool) override { disks.unmounted.insert(pool.path); }
    void spoil_source(const ImageDocument& image) override { disks.wrong_sources.insert(image.source); }
    void remove_source(const ImageDocument& image) override { disks.missing_sources.insert(image.source); }
    void leave_temporary_files(const PoolDocument& pool) override {
        disks.files[volumes_directory(pool) + "/x.new"] = {.pool = pool.path};
    }
    int temporary_files(const PoolDocument&) override {
        int n = 0;
        for (const auto& [path, file] : disks.files) n += file.kind == FakeFileKind::temporary ? 1 : 0;
        return n;
    }
    std::optional<std::string> epoch_file(const PoolDocument& pool, int volume) override {
        const auto found = disks.files.find(epoch_path(pool, VolumeId(uuid(volume))));
        return found == disks.files.end() ? std::nullopt : std::optional(found->second.content);
    }
    void put_epoch_file(const PoolDocument& pool, int volume, const std::string& text) override {
        const VolumeId id(uuid(volume));
        disks.files[epoch_path(pool, id)] = {
            .kind = FakeFileKind::epoch, .pool = pool.path, .owner = id.str(), .content = text};
    }
    void while_open(const PoolDocument& pool, const VolumeDocument& volume, std::function<void()> job) override {
        bool& locked = disks.files.at(storage_->volume_path(pool, volume)).locked;
        locked = true;
        job();
        disks.files.at(storage_->volume_path(pool, volume)).locked = false;
    }
    void restart() override {
        storage_.reset();
        clock_ = std::make_unique<VirtualClock>(time_);
        storage_ = std::make_unique<FakeStorage>(disks, *clock_, random, options);
    }

    FakeDisks disks;
    FakeStorageOptions options;
    SeededRandom random{1};

  private:
    VirtualTime time_;
    std::unique_ptr<VirtualClock> clock_;
    std::unique_ptr<FakeStorage> storage_;
};

}  // namespace axle::test
