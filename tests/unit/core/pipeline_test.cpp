// Who watches is told of every change, also when a disk stalls while more is changed than memory is meant to hold.
#include "orchestrator/core/pipeline.hpp"

#include <doctest/doctest.h>

#include "common/model/fleet.hpp"
#include "orchestrator/store/memory_store.hpp"
#include "tests/support/plain_codec.hpp"
#include "tests/support/virtual_clock.hpp"

using namespace axle;
using namespace axle::test;

namespace {

struct Counting final : ChangeSink {
    std::vector<Revision> told;
    void changed(const ChangeEvent& event) override { told.push_back(event.revision); }
    void reached(Revision) override {}
};

}  // namespace

TEST_CASE("a watch has no gap after a disk that stalled over more changes than are kept in memory") {
    VirtualTime time;
    VirtualClock clock(time);
    SeededRandom random{1};
    MemoryDisk disk;
    auto store = MemoryStore::open(disk, clock, clock, random, {});
    REQUIRE(store);
    Pipeline pipeline(**store, clock, random, kPlainCodec);
    REQUIRE(pipeline.load());
    const auto sink = std::make_shared<Counting>();
    REQUIRE(pipeline.subscribe(0, sink));
    disk.stalled = true;
    constexpr std::size_t kMany = Pipeline::kChangesInMemory + 1000;
    for (std::size_t i = 0; i < kMany; ++i) {
        Transaction tx = pipeline.begin();
        auto project = std::make_unique<Project>();
        project->meta.name = "p" + std::to_string(i);
        tx.create(std::move(project));
        pipeline.commit(tx);
    }
    time.run_for(seconds{1});
    CHECK(sink->told.empty());
    (*store)->unstall();
    time.run_for(seconds{1});
    REQUIRE(sink->told.size() == kMany);
    CHECK(sink->told.front() == 1);
    CHECK(sink->told.back() == kMany);
    // What everybody was told goes: the next changes find the ring at its measure.
    Transaction tx = pipeline.begin();
    auto project = std::make_unique<Project>();
    project->meta.name = "last";
    tx.create(std::move(project));
    pipeline.commit(tx);
    CHECK(pipeline.oldest_change() + Pipeline::kChangesInMemory >= pipeline.head());
}
