// Processes are killed at every durable step, and at random; what they acknowledged must be there.
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include <doctest/doctest.h>

#include "common/base/ensure.hpp"
#include "tests/crash/store/child.hpp"
#include "tests/crash/store/workload.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/temp_dir.hpp"

namespace axle::test {
namespace {

// Adds one to each object's value, three objects a part.
Result<MigrationPart> count_part(const ScanTable& scan, const std::string& cursor) {
    MigrationPart part{.cursor = cursor, .done = true};
    TRY_VOID(scan(Table::objects, cursor, [&](std::string_view key, std::string_view value) {
        if (part.writes.size() == 3) {
            part.cursor = std::string(key);
            part.done = false;
            return false;
        }
        part.writes.push_back({Table::objects, std::string(key), std::string(value) + "+"});
        return true;
    }));
    return part;
}
const std::vector<SchemaStep> kTwoMigrations = {{"count-once", count_part}, {"count-twice", count_part}};

// --- what children do -----------------------------------------------------------------------------------------------

TEST_CASE("child: commits one by one" * doctest::skip()) {
    Running run;
    REQUIRE(run.open(store_options(child_directory())));
    const Revision first = run.store->state().revision + 1;
    for (Revision r = first; r < first + 6; ++r) {
        run.store->commit(batch_of(r));
        REQUIRE(run.wait_for(r));
        acknowledge(r);
    }
}

TEST_CASE("child: commits without end" * doctest::skip()) {
    Running run;
    RocksStoreOptions options = store_options(child_directory());
    options.write_buffer_bytes = 64 << 10;
    REQUIRE(run.open(options));
    REQUIRE_FALSE(run.store->state().read_only);
    Revision next = run.store->state().revision + 1, last = 0;
    for (;;) {
        while (run.store->queued() < 50) run.store->commit(batch_of(next++, 500));
        REQUIRE(run.core.run_until([&] { return run.told > last; }));
        acknowledge(last = run.told);
    }
}

TEST_CASE("child: accepts a loss" * doctest::skip()) {
    Running run;
    REQUIRE(run.open(store_options(child_directory())));
    if (!run.store->state().read_only) return;
    const auto accepted = run.accept_loss();
    REQUIRE(accepted);
    acknowledge(accepted->revision);
}

TEST_CASE("child: migrates" * doctest::skip()) {
    Running run;
    RocksStoreOptions options = store_options(child_directory());
    options.migrations = &kTwoMigrations;
    REQUIRE(run.open(options));
    acknowledge(1);
}

TEST_CASE("child: holds the store" * doctest::skip()) {
    Running run;
    REQUIRE(run.open(store_options(child_directory())));
    acknowledge(1);
    run.core.run_until([] { return false; }, seconds{60});
}

// --- the tests ------------------------------------------------------------------------------------------------------

// Calls `check` after a kill at the first, second, ... point until the child goes through; says how many there were.
int kill_at_each_point(const std::string& test_case, const std::function<void(const std::string& dir)>& prepare,
                       const std::function<void(const std::string& dir, std::uint64_t acknowledged)>& check) {
    for (int kill_at = 1;; ++kill_at) {
        CAPTURE(kill_at);
        REQUIRE(kill_at < 300);
        const TempDir dir;
        prepare(dir.path());
        Child child(test_case, {{"AXLE_CHILD_DIR", dir.path()}, {"AXLE_KILL_AT", std::to_string(kill_at)}});
        const std::uint64_t acknowledged = child.last_acknowledged();
        const int end = child.wait();
        REQUIRE((end == 0 || end == SIGKILL));
        check(dir.path(), acknowledged);
        if (end == 0) return kill_at - 1;
    }
}

void check_healthy(const std::string& dir, Revision acknowledged) {
    const Revision witness = witnessed(dir);
    Running run;
    const auto opened = run.open(store_options(dir));
    REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().message));
    const StoreState state = run.store->state();
    REQUIRE_MESSAGE(!state.read_only, (state.read_only ? state.read_only->why : ""));
    CHECK(witness <= state.revision);
    CHECK(flaw_of(*run.store, acknowledged) == "");
    run.store->commit(batch_of(state.revision + 1));
    CHECK(run.wait_for(state.revision + 1));
}

TEST_CASE("killed at any durable step of the first start or of a commit, the store has what it acknowledged") {
#ifndef AXLE_FAULTS
    SKIP_TEST("kill points are compiled into dev builds only");
#endif
    const int points = kill_at_each_point(
        "child: commits one by one", [](const std::string&) {}, check_healthy);
    CHECK(points >= 20);
}

TEST_CASE("killed at any durable step of a later start, the store has what it acknowledged") {
#ifndef AXLE_FAULTS
    SKIP_TEST("kill points are compiled into dev builds only");
#endif
    const auto prepare = [](const std::string& dir) { check_healthy(dir, 0); };
    const int points = kill_at_each_point("child: commits one by one", prepare, check_healthy);
    CHECK(points >= 10);
}

void lose_store(const std::string& dir) {
    check_healthy(dir, 0);
    std::filesystem::remove_all(dir + "/store/db");
}

TEST_CASE("killed at any durable step of accepting a loss, the loss is accepted or can be") {
#ifndef AXLE_FAULTS
    SKIP_TEST("kill points are compiled into dev builds only");
#endif
    const auto check = [](const std::string& dir, Revision acknowledged) {
        Running run;
        REQUIRE(run.open(store_options(dir)));
        if (run.store->state().read_only) {
            CHECK(acknowledged == 0);
            REQUIRE(run.accept_loss());
        }
        CHECK_FALSE(run.store->state().read_only);
        CHECK(run.store->state().revision > 1);
        CHECK(run.store->state().revision >= acknowledged);
    };
    CHECK(kill_at_each_point("child: accepts a loss", lose_store, check) >= 4);
}

TEST_CASE("killed at any durable step of migrations, each record goes through each of them once") {
#ifndef AXLE_FAULTS
    SKIP_TEST("kill points are compiled into dev builds only");
#endif
    const auto prepare = [](const std::string& dir) {
        Running run;
        REQUIRE(run.open(store_options(dir)));
        Batch batch{.last_revision = 1};
        for (char c = 'a'; c < 'k'; ++c) batch.writes.push_back({Table::objects, std::string(1, c), "v"});
        run.store->commit(batch);
        REQUIRE(run.wait_for(1));
    };
    const auto check = [](const std::string& dir, std::uint64_t) {
        RocksStoreOptions options = store_options(dir);
        options.migrations = &kTwoMigrations;
        Running run;
        const auto opened = run.open(options);
        REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().message));
        int rows = 0;
        CHECK(run.store->scan(Table::objects, "", "", false, [&](std::string_view, std::string_view value) {
            CHECK(value == "v++");
            return ++rows < 100;
        }));
        CHECK(rows == 10);
        run.store.reset();
        const auto older = run.open(store_options(dir));
        REQUIRE_FALSE(older);
        CHECK(older.error().reason == "newer-schema");
    };
    CHECK(kill_at_each_point("child: migrates", prepare, check) >= 8);
}

TEST_CASE("killed at random under load, again and again, the store has what it acknowledged") {
    const TempDir dir;
    SeededRandom random(7);
    Revision acknowledged = 0;
    for (int round = 0; round < 8; ++round) {
        CAPTURE(round);
        Child child("child: commits without end", {{"AXLE_CHILD_DIR", dir.path()}});
        for (std::uint64_t left = 1 + random.below(40); left > 0; --left) REQUIRE(child.next_acknowledged() != 0);
        child.kill();
        acknowledged = std::max(acknowledged, child.last_acknowledged());
        CHECK(child.wait() == SIGKILL);
        const Revision witness = witnessed(dir.path());
        Running run;
        REQUIRE(run.open(store_options(dir.path())));
        CHECK_FALSE(run.store->state().read_only);
        CHECK(witness <= run.store->durable());
        CHECK(flaw_of(*run.store, acknowledged) == "");
    }
}

TEST_CASE("a second process on the same store is refused and told who has it") {
    const TempDir dir;
    Child child("child: holds the store", {{"AXLE_CHILD_DIR", dir.path()}});
    REQUIRE(child.next_acknowledged() == 1);
    Running run;
    const auto refused = run.open(store_options(dir.path()));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::busy);
    CHECK(refused.error().message.find("process " + std::to_string(child.pid())) != std::string::npos);
    CHECK(refused.error().hint.find("use that one") != std::string::npos);
}

TEST_CASE("a second process on a copy of the store, with the same identity, is refused") {
    const TempDir dir;
    check_healthy(dir.path(), 0);
    std::filesystem::copy(dir / "store", dir / "copy", std::filesystem::copy_options::recursive);
    Child child("child: holds the store", {{"AXLE_CHILD_DIR", dir.path()}});
    REQUIRE(child.next_acknowledged() == 1);
    RocksStoreOptions options = store_options(dir.path());
    options.directory = dir / "copy";
    Running run;
    const auto refused = run.open(options);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::busy);
}

}  // namespace
}  // namespace axle::test
