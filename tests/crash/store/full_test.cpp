// The disk is full, or forgets.
#include <atomic>
#include <fcntl.h>
#include <filesystem>
#include <unistd.h>

#include <doctest/doctest.h>

#include "common/base/file.hpp"
#include "tests/crash/store/workload.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/small_disk.hpp"

namespace axle::test {
namespace {

void fill_up(const std::string& path) {
    const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    const std::string piece(64 << 10, 'x');
    while (::write(fd.get(), piece.data(), piece.size()) > 0) {
    }
}

TEST_CASE("a full disk ends it, the reserve lets it start again below the reserve, and room heals it") {
    const SmallDisk disk("32m");
    if (!disk.mounted) SKIP_TEST("a small file system can only be mounted by root");
    RocksStoreOptions options = store_options(disk.dir.path());
    options.reserve_bytes = 4 << 20;
    std::atomic<bool> ended{false};
    options.fatal = [&](const Error& error) {
        CHECK(error.code == Code::no_space);
        ended = true;
    };
    Revision acknowledged = 0;
    {
        Running run;
        REQUIRE(run.open(options));
        CHECK_FALSE(run.store->space().below_reserve);
        fill_up(disk.dir / "filler");
        for (Revision next = 1; !ended && next < 10'000; ++next) {
            run.store->commit(batch_of(next, 4000));
            REQUIRE(run.core.run_until([&] { return ended || run.told == next; }));
        }
        REQUIRE(ended);
        acknowledged = run.told;
    }
    {
        Running run;
        const auto opened = run.open(options);
        REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().message));
        CHECK(run.store->space().below_reserve);
        CHECK(flaw_of(*run.store, acknowledged) == "");
        std::filesystem::remove(disk.dir / "filler");
        CHECK(run.core.run_until([&] { return !run.store->space().below_reserve; }));
    }
    CHECK(file_exists(disk.dir / "store/reserve"));
}

TEST_CASE("a store in memory is refused") {
    const SmallDisk disk("32m");
    if (!disk.mounted) SKIP_TEST("a small file system can only be mounted by root");
    RocksStoreOptions options = store_options(disk.dir.path());
    options.any_file_system = false;
    Running run;
    const auto refused = run.open(options);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("memory") != std::string::npos);
}

}  // namespace
}  // namespace axle::test
