// Killed at any durable step, and with any call failing: a disk on a shared pool never forgets which placement has it.
#include <cerrno>
#include <filesystem>

#include <doctest/doctest.h>

#include "agent/storage/epoch_file.hpp"
#include "agent/storage/paths.hpp"
#include "agent/storage/pool_directory.hpp"
#include "common/base/file.hpp"
#include "common/base/units.hpp"
#include "tests/crash/storage/child.hpp"
#include "tests/support/failing_call.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/temp_dir.hpp"

namespace axle::test {
namespace {

// A volume on a shared pool that is taken by two placements, one after the other, and is destroyed.
struct SharedDisk {
    explicit SharedDisk(const std::string& directory) {
        pool = {.id = PoolId(uuid(1)), .name = "p", .path = directory + "/pool", .shared = true, .cluster = "c"};
        disk = {.id = VolumeId(uuid(4)), .size = kGiB, .name = "disk"};
        settings.least_free = kMiB;
    }
    VolumeDocument at(std::uint64_t revision) const {
        VolumeDocument document = disk;
        document.epoch = {1, revision};
        return document;
    }

    // told(n): the placement of revision n has the disk; 3: it is destroyed.
    Result<> work(const std::function<void(int)>& told) const {
        TRY(seen, open_pool_directory(pool, false));
        if (!seen.usable) return fail(Code::unavailable, "{}", seen.why);
        TRY_VOID(create_volume_file(pool, disk, settings));
        for (const int revision : {1, 2}) {
            TRY_VOID(claim_volume_file(pool, at(static_cast<std::uint64_t>(revision)), settings));
            told(revision);
        }
        TRY_VOID(destroy_volume_files(pool, disk.id));
        told(3);
        return {};
    }

    // After a start and its sweep: as long as there is a disk, what was answered last holds against all before it.
    void check(int answered) const {
        REQUIRE(sweep_pool(pool, settings.tag));
        if (!verify_pool(pool)) {
            CHECK(answered == 0);
            return;
        }
        for (const auto& entry : std::filesystem::recursive_directory_iterator(pool.path))
            CHECK(entry.path().string().find(".new") == std::string::npos);
        const bool there = file_exists(volume_path(pool, disk));
        CHECK(list_volume_files(pool)->size() == (there ? 1 : 0));
        const auto text = read_file(epoch_path(pool, disk.id));
        const auto epoch = text ? parse_epoch_file(*text, disk.id) : std::nullopt;
        CHECK(text.has_value() == epoch.has_value());
        if (there && answered >= 1) {
            REQUIRE(epoch);
            CHECK(epoch->revision >= static_cast<std::uint64_t>(answered));
            CHECK(claim_volume_file(pool, at(epoch->revision), settings));
            const auto earlier = claim_volume_file(pool, at(epoch->revision - 1), settings);
            CHECK((!earlier && earlier.error().code == Code::conflict));
        }
        if (answered >= 3) CHECK_FALSE((there || epoch));
    }

    // The destroy is durable until it is answered, so it comes again.
    void destroy_again() const {
        if (!verify_pool(pool)) return;
        CHECK(destroy_volume_files(pool, disk.id));
        CHECK_FALSE(file_exists(epoch_path(pool, disk.id)));
        CHECK_FALSE(file_exists(volume_path(pool, disk)));
    }

    PoolDocument pool;
    VolumeDocument disk;
    PoolSettings settings;
};

TEST_CASE("killed at any step of taking and destroying a shared disk, its epoch is whole and not forgotten") {
#ifndef AXLE_FAULTS
    SKIP_TEST("kill points are compiled into dev builds only");
#endif
    for (int kill_at = 1;; ++kill_at) {
        CAPTURE(kill_at);
        REQUIRE(kill_at < 100);
        const TempDir dir;
        const SharedDisk disk(dir.path());
        const Ended ended = work_in_child(disk, kill_at);
        disk.check(ended.answered);
        disk.destroy_again();
        if (ended.killed) continue;
        CHECK(ended.answered == 3);
        CHECK(kill_at > 15);
        break;
    }
}

TEST_CASE("whichever call fails in taking and destroying a shared disk, its epoch is whole and not forgotten") {
#ifndef AXLE_FAULTS
    SKIP_TEST("failures are compiled into dev builds only");
#endif
    for (int n = 1;; ++n) {
        CAPTURE(n);
        REQUIRE(n < 100);
        const TempDir dir;
        const SharedDisk disk(dir.path());
        int answered = 0;
        Result<> result;
        const bool reached = with_failing_call(n, EIO, [&] { result = disk.work([&](int step) { answered = step; }); });
        disk.check(answered);
        disk.destroy_again();
        if (reached) continue;
        CHECK(result.has_value());
        CHECK(n > 15);
        break;
    }
}

}  // namespace
}  // namespace axle::test
