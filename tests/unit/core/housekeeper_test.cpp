// What is over goes after its time, and never before, whatever the wall clock says.
#include "orchestrator/core/housekeeper.hpp"

#include <doctest/doctest.h>

#include "common/model/fleet.hpp"
#include "orchestrator/store/memory_store.hpp"
#include "tests/support/plain_codec.hpp"
#include "tests/support/virtual_clock.hpp"

using namespace axle;
using namespace axle::test;
using std::chrono::hours;

namespace {

constexpr hours kDay{1};  // a day of these tests
constexpr std::int64_t kDayMs = 3'600'000;
constexpr Retention kKeep{.changes = 7 * kDayMs,
                          .events = 30 * kDayMs,
                          .audit = 400 * kDayMs,
                          .changes_bytes = 1 << 20,
                          .mark_every = kDayMs / 24,
                          .mark_bytes = 1 << 16};

struct House {
    VirtualTime time;
    std::unique_ptr<VirtualClock> clock = std::make_unique<VirtualClock>(time);
    SeededRandom random{1};
    MemoryDisk disk;
    std::unique_ptr<Store> store;
    std::unique_ptr<Pipeline> pipeline;
    std::unique_ptr<Housekeeper> keeper;

    House() { start(); }
    ~House() { stop(); }
    void stop() {
        keeper.reset();
        pipeline.reset();
        store.reset();
    }
    void start() {
        stop();
        clock = std::make_unique<VirtualClock>(time);
        auto opened = MemoryStore::open(disk, *clock, *clock, random, {});
        REQUIRE(opened);
        store = std::move(*opened);
        pipeline = std::make_unique<Pipeline>(*store, *clock, random, kPlainCodec);
        keeper = std::make_unique<Housekeeper>(*pipeline, kKeep);
        REQUIRE(pipeline->load());
        REQUIRE(keeper->load());
        keeper->start();
    }
    void make_project(const std::string& name, std::size_t weight = 0) {
        Transaction tx = pipeline->begin();
        auto project = std::make_unique<Project>();
        project->meta.name = name;
        project->meta.annotations["weight"] = std::string(weight, 'x');
        const Revision revision = tx.next_revision();
        tx.create(std::move(project));
        tx.write({Table::audit, revision_key(revision), "{}"});
        pipeline->commit(tx);
    }
    void make_task(const std::string& name, TaskPhase phase) {
        Transaction tx = pipeline->begin();
        auto task = std::make_unique<Task>();
        task->meta.name = name;
        task->status.phase = phase;
        tx.create(std::move(task));
        pipeline->commit(tx);
    }
    std::size_t rows(Table table) const { return disk.tables[static_cast<std::size_t>(table)].size(); }
};

}  // namespace

TEST_CASE("changes go after a week, events and ended tasks after a month, audit after 400 days, and nothing earlier") {
    House house;
    house.make_project("blue");
    house.make_task("over", TaskPhase::failed);
    house.make_task("open", TaskPhase::waiting);
    house.time.run_for(kDay / 12);
    house.make_project("young");  // so that the mark is of what was before
    house.time.run_for(6 * kDay);
    const std::size_t all_events = house.rows(Table::events);
    REQUIRE(all_events == 3);
    CHECK(house.rows(Table::changes) == 4);
    house.time.run_for(2 * kDay);
    CHECK(house.rows(Table::changes) == 0);
    house.time.run_for(20 * kDay);
    CHECK(house.rows(Table::events) == all_events);
    CHECK(house.rows(Table::tasks) == 2);
    house.time.run_for(3 * kDay);
    CHECK(house.rows(Table::events) == 0);
    CHECK(house.rows(Table::tasks) == 1);  // the open one
    CHECK(house.rows(Table::audit) == 2);
    house.time.run_for(400 * kDay);
    CHECK(house.rows(Table::audit) == 0);
    CHECK(house.pipeline->world().names_of(Kind::project).size() == 2);
}

TEST_CASE("a wall clock that jumps by years makes nothing go early, and restarts forget no age") {
    House house;
    house.make_project("blue");
    house.time.run_for(kDay / 12);
    house.clock->jump_wall(std::int64_t{20} * 365 * 24 * 3'600'000);
    house.time.run_for(kDay / 12);
    CHECK(house.rows(Table::changes) == 1);
    for (int i = 0; i < 9; ++i) {
        house.time.run_for(kDay);
        if (i == 2) CHECK(house.rows(Table::changes) == 1);
        house.start();
    }
    house.time.run_for(kDay / 12);
    CHECK(house.rows(Table::changes) == 0);
}

TEST_CASE("changes are bounded by bytes too, over restarts") {
    House house;
    constexpr std::size_t kEach = 16 << 10;
    for (int i = 0; i < 90; ++i) {
        house.make_project("p" + std::to_string(i), kEach);
        house.time.run_for(std::chrono::minutes{2});
        if (i % 30 == 29) house.start();
    }
    std::size_t bytes = 0;
    for (const auto& [key, value] : house.disk.tables[static_cast<std::size_t>(Table::changes)]) bytes += value.size();
    CHECK(bytes > (std::size_t{1} << 19));
    CHECK(bytes < (std::size_t{1} << 20) + 8 * kEach);
}

TEST_CASE("with years of use, marks don't pile up") {
    House house;
    for (int i = 0; i < 450; ++i) {
        house.make_project("p" + std::to_string(i));
        house.time.run_for(kDay);
    }
    CHECK(house.rows(Table::meta) < 420);
    CHECK(house.rows(Table::changes) < 10);
}
