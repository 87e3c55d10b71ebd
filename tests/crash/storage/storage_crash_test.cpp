// Killed at any durable step, and with any call failing, the storage has what it answered, whole, and after a sweep
// nothing else. Children are forks: this program has no other thread.
#include <filesystem>

#include <doctest/doctest.h>

#include "agent/guest/seed.hpp"
#include "agent/storage/paths.hpp"
#include "agent/storage/pool_directory.hpp"
#include "common/base/digest.hpp"
#include "common/base/file.hpp"
#include "common/base/process.hpp"
#include "common/base/units.hpp"
#include "common/disk/qcow2_overlay.hpp"
#include "tests/crash/storage/child.hpp"
#include "tests/support/failing_call.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/temp_dir.hpp"

namespace axle::test {
namespace {

// One machine: a pool, an image outside it, and what the agent does there, step by step.
struct Machine {
    explicit Machine(const std::string& directory) : dir(directory) {
        pool = {.id = PoolId(uuid(1)), .name = "p", .path = dir + "/pool", .cluster = "c"};
        const auto bytes = lay_out_qcow2({.size = 64 * kMiB});
        content = bytes->head;
        content.resize(static_cast<std::size_t>(bytes->file_size), '\0');
        image = {.id = uuid(2),
                 .digest = sha256_hex(content),
                 .size = bytes->file_size,
                 .virtual_size = 64 * kMiB,
                 .source = dir + "/source.qcow2"};
        overlay = {.id = VolumeId(uuid(3)), .size = kGiB, .image_digest = image.digest, .name = "overlay"};
        blank = {.id = VolumeId(uuid(4)), .size = kGiB, .name = "blank"};
        raw = {.id = VolumeId(uuid(5)), .size = kMiB, .format = DiskFormat::raw, .name = "raw"};
        vm = {.id = VmId(uuid(6)), .name = "vm", .seed = {.instance_id = "i", .hostname = "h"}};
        settings.least_free = kMiB;
        seeds = dir + "/seeds";
    }
    void place_source() const { REQUIRE(write_file_durably(image.source, content, 0444)); }

    // Steps in their order; told(n) after each that was answered with success. The first error ends it.
    Result<> work(const std::function<void(int)>& told) const {
        TRY(seen, open_pool_directory(pool, false));
        if (!seen.usable) return fail(Code::unavailable, "{}", seen.why);
        told(1);
        TRY_VOID(fetch_image_file(pool, image, settings, nullptr));
        told(2);
        TRY_VOID(create_volume_file(pool, overlay, settings));
        told(3);
        TRY_VOID(create_volume_file(pool, blank, settings));
        told(4);
        TRY_VOID(create_volume_file(pool, raw, settings));
        told(5);
        if (auto seed = make_seed_file(seeds, vm, settings.tag); !seed) return fail(std::move(seed.error()));
        told(6);
        TRY_VOID(destroy_volume_files(pool, blank.id));
        told(7);
        return {};
    }

    // After a start and its sweep: all that was answered is there, all that is there is whole and known.
    void check(int answered) const {
        REQUIRE(sweep_seeds(seeds, settings.tag));
        REQUIRE(sweep_pool(pool, settings.tag));
        // A pool without its id file isn't ours yet: nothing in it is touched, and the next try replaces this file.
        const bool claimed = verify_pool(pool).has_value();
        for (const auto& entry : std::filesystem::recursive_directory_iterator(dir))
            if (claimed || entry.path().filename() != "axle-pool.json.new")
                CHECK(entry.path().string().find(".new") == std::string::npos);
        const auto exists = [&](const VolumeDocument& volume) {
            const auto seen = observe_volume_file(pool, volume);
            REQUIRE_MESSAGE(seen, (seen ? "" : seen.error().message));
            if (!seen->exists) return false;
            CHECK(seen->size == volume.size);
            CHECK(seen->image_digest == volume.image_digest);
            CHECK(check_volume_file(pool, volume));
            return true;
        };
        if (answered >= 1) CHECK(open_pool_directory(pool, true)->usable);
        if (!claimed) return;
        const auto cached = read_file(image_path(pool, image.digest));
        if (cached) CHECK(*cached == content);
        if (answered >= 2) CHECK(cached.has_value());
        const bool overlay_there = exists(overlay), blank_there = exists(blank), raw_there = exists(raw);
        if (answered >= 3) CHECK(overlay_there);
        if (answered >= 4 && answered < 6) CHECK(blank_there);
        if (answered >= 5) CHECK(raw_there);
        if (answered >= 6) CHECK(file_exists(seed_path(seeds, vm.id)));
        if (answered >= 7) CHECK_FALSE(blank_there);
    }

    std::string dir, content, seeds;
    PoolDocument pool;
    ImageDocument image;
    VolumeDocument overlay, blank, raw;
    VmDocument vm;
    PoolSettings settings;
};

bool has_tools() {
    return run_checked({.program = "xorriso", .arguments = {"-version"}}).has_value() &&
           run_checked({.program = "qemu-img", .arguments = {"--version"}}).has_value();
}

TEST_CASE(
    "killed at any step of making, fetching and destroying, the storage is whole, and a second try goes through") {
#ifndef AXLE_FAULTS
    SKIP_TEST("kill points are compiled into dev builds only");
#endif
    if (!has_tools()) SKIP_TEST("xorriso or qemu-img is not installed");
    for (int kill_at = 1;; ++kill_at) {
        CAPTURE(kill_at);
        REQUIRE(kill_at < 200);
        const TempDir dir;
        const Machine machine(dir.path());
        machine.place_source();
        const Ended ended = work_in_child(machine, kill_at);
        machine.check(ended.answered);
        int answered = 0;
        const auto again = machine.work([&](int step) { answered = step; });
        CHECK_MESSAGE(again, (again ? "" : again.error().message));
        machine.check(answered);
        if (!ended.killed) {
            CHECK(ended.answered == 7);
            CHECK(kill_at > 20);
            break;
        }
    }
}

TEST_CASE("whichever write, sync or rename fails, the storage is whole, and a second try goes through") {
#ifndef AXLE_FAULTS
    SKIP_TEST("failures are compiled into dev builds only");
#endif
    if (!has_tools()) SKIP_TEST("xorriso or qemu-img is not installed");
    for (const int error_number : {EIO, ENOSPC}) {
        for (int n = 1;; ++n) {
            CAPTURE(n);
            CAPTURE(error_number);
            REQUIRE(n < 300);
            const TempDir dir;
            const Machine machine(dir.path());
            machine.place_source();
            int answered = 0;
            Result<> result;
            const bool reached =
                with_failing_call(n, error_number, [&] { result = machine.work([&](int step) { answered = step; }); });
            if (!result && error_number == ENOSPC && result.error().code != Code::unavailable)
                CHECK(result.error().code == Code::no_space);
            machine.check(answered);
            const auto again = machine.work([&](int step) { answered = step; });
            CHECK_MESSAGE(again, (again ? "" : again.error().message));
            machine.check(answered);
            if (!reached) {
                CHECK(result.has_value());
                CHECK(n > 30);
                break;
            }
        }
    }
}

}  // namespace
}  // namespace axle::test
