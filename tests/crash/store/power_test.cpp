// The plug is pulled on a disk that keeps only what was synced.
#include <atomic>
#include <filesystem>

#include <doctest/doctest.h>

#include "common/base/file.hpp"
#include "orchestrator/store/rocks_db.hpp"
#include "tests/crash/store/lossy_fs.hpp"
#include "tests/crash/store/workload.hpp"
#include "tests/support/planted_found.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/temp_dir.hpp"

namespace axle::test {
namespace {

struct Outcome {
    Revision acknowledged = 0, recovered = 0;
    std::string flaw;
    std::optional<ReadOnly> read_only;
    Revision witnessed = 0;
};

// A store that was founded on a disk that keeps everything: made once, copied for each test.
void copy_founded_store(const std::string& to) {
    static const TempDir founded;
    if (!file_exists(founded / "store")) {
        Running run;
        const auto opened = run.open(store_options(founded.path()));
        REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().message));
    }
    std::filesystem::copy(founded.path(), to, std::filesystem::copy_options::recursive);
}

using Bug = bool RocksStoreOptions::*;  // planted; null: none

RocksStoreOptions lossy_options(const std::string& dir, const std::shared_ptr<LossyFs>& disk, Bug bug = nullptr) {
    RocksStoreOptions options = store_options(dir);
    options.file_system = disk;
    if (bug != nullptr) options.*bug = true;
    options.write_buffer_bytes = 64 << 10;  // so that flushes, compactions and new logs fall into the run
    options.fatal = [](const Error&) {};
    return options;
}

// Commits under load until the plug is pulled after `calls` writing calls, and looks at what is left.
Outcome run_and_cut(std::uint64_t seed, Bug bug = nullptr) {
    const TempDir dir;
    SeededRandom random(seed);
    copy_founded_store(dir.path());
    const auto disk = std::make_shared<LossyFs>(dir / "graveyard");
    Outcome outcome;
    {
        Running run;
        disk->cut_after(static_cast<int>(20 + random.below(400)));
        if (run.open(lossy_options(dir.path(), disk, bug))) {
            for (Revision next = 1; next < 3000 && !disk->is_cut(); ++next) {
                run.store->commit(batch_of(next, 200 + random.below(3000)));
                if (random.below(3) == 0) run.core.run_until([&] { return disk->is_cut() || run.told == next; });
                run.core.run();
            }
            run.core.run();
            outcome.acknowledged = run.told;
        }
    }
    const bool torn = random.below(2) == 0;  // or nothing at all that was not synced
    disk->lose_unsynced([&](std::uint64_t n) { return torn ? random.below(n + 1) : 0; });
    outcome.witnessed = witnessed(dir.path());
    Running after;
    const auto opened = after.open(store_options(dir.path()));
    if (!opened) {
        outcome.flaw = opened.error().message;
        return outcome;
    }
    outcome.read_only = after.store->state().read_only;
    outcome.recovered = after.store->durable();
    outcome.flaw = flaw_of(*after.store, outcome.acknowledged);
    return outcome;
}

TEST_CASE("after a power cut at any time, what was acknowledged is there and whole") {
    Revision most = 0;
    for (std::uint64_t seed = 1; seed <= 25; ++seed) {
        CAPTURE(seed);
        const Outcome outcome = run_and_cut(seed);
        CHECK(outcome.flaw == "");
        CHECK_FALSE(outcome.read_only);
        most = std::max(most, outcome.acknowledged);
    }
    CHECK(most > 20);  // the runs did something
}

TEST_CASE("a build that does not sync is found out, and its loss is noticed by the witness") {
#ifndef AXLE_FAULTS
    SKIP_TEST("the planted bug is compiled into dev builds only");
#endif
    int found_out = 0, noticed = 0;
    std::string flaw;
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        CAPTURE(seed);
        const Outcome outcome = run_and_cut(seed, &RocksStoreOptions::skip_sync);
        found_out += outcome.flaw != "";
        if (flaw.empty()) flaw = outcome.flaw;
        noticed += outcome.read_only.has_value();
        CHECK(outcome.read_only.has_value() == (outcome.recovered < outcome.witnessed));
    }
    CHECK(found_out >= 8);
    planted_found("a commit is acknowledged without a sync", flaw);
    CHECK(noticed >= 1);
}

TEST_CASE("a witness that is written before what it witnesses is found out: it tells of a loss where none is") {
#ifndef AXLE_FAULTS
    SKIP_TEST("the planted bug is compiled into dev builds only");
#endif
    std::string found;
    for (std::uint64_t seed = 1; seed <= 25 && found.empty(); ++seed) {
        const Outcome outcome = run_and_cut(seed, &RocksStoreOptions::witness_first);
        if (outcome.flaw.empty() && outcome.read_only)
            found = "nothing that was acknowledged is missing, and the store is read-only: " + outcome.read_only->why;
    }
    planted_found("the witness is written before the commit that it witnesses is synced", found);
}

TEST_CASE("a database that was just made survives a power cut") {
    const TempDir dir;
    const auto disk = std::make_shared<LossyFs>(dir / "graveyard");
    const StoreMark mark{.schema = 1, .cluster = *Uuid::parse("0198f000-0000-7000-8000-000000000001"), .history = "h"};
    {
        auto db = RocksDb::open(dir / "db", RocksMode::make, {.file_system = disk});
        REQUIRE(db);
        rocksdb::WriteBatch first;
        (*db)->add_mark(first, mark);
        REQUIRE((*db)->write(first));
        disk->cut_after(0);
    }
    disk->lose_unsynced([](std::uint64_t) { return std::uint64_t{0}; });
    auto db = RocksDb::open(dir / "db", RocksMode::look, {});
    REQUIRE_MESSAGE(db, (db ? "" : db.error().message));
    CHECK((*db)->mark()->history == "h");
}

TEST_CASE("what waits for its sync can't be read") {
    const TempDir dir;
    copy_founded_store(dir.path());
    const auto disk = std::make_shared<LossyFs>(dir / "graveyard");
    Running run;
    REQUIRE(run.open(lossy_options(dir.path(), disk)));
    std::atomic<int> looked{0}, seen{0};
    disk->before_sync = [&](const std::string& path) {
        if (!path.ends_with(".log") || run.store == nullptr) return;
        ++looked;
        const Revision waiting = run.store->durable() + 1;
        const auto value = run.store->get(Table::objects, "k/" + std::to_string(waiting));
        if (!value || value->has_value()) ++seen;
    };
    for (Revision r = 1; r <= 20; ++r) {
        run.store->commit(batch_of(r));
        REQUIRE(run.wait_for(r));
    }
    CHECK(looked == 20);
    CHECK(seen == 0);
}

TEST_CASE("a sync that fails ends it: nothing more is told or written") {
    const TempDir dir;
    copy_founded_store(dir.path());
    const auto disk = std::make_shared<LossyFs>(dir / "graveyard");
    RocksStoreOptions options = lossy_options(dir.path(), disk);
    std::atomic<int> ended{0};
    options.fatal = [&](const Error& error) {
        CHECK_FALSE(error.hint.empty());
        ++ended;
    };
    Running run;
    REQUIRE(run.open(options));
    run.store->commit(batch_of(1));
    REQUIRE(run.wait_for(1));
    disk->cut_after(0);
    run.store->commit(batch_of(2));
    REQUIRE(run.core.run_until([&] { return ended > 0; }));
    run.store->commit(batch_of(3));
    run.store.reset();
    run.core.run();
    CHECK(ended == 1);
    CHECK(run.told == 1);
}

}  // namespace
}  // namespace axle::test
