// A person's word that something unclaimed goes, as the agent takes it: exactly that, only while it is as it was seen,
// whatever dies in between.
#include <algorithm>

#include <doctest/doctest.h>

#include "agent/core/planted.hpp"
#include "common/base/units.hpp"
#include "tests/support/planted_found.hpp"
#include "tests/support/simulated_orchestrator.hpp"

using namespace axle;
using namespace axle::test;
using std::chrono::minutes;

namespace {

constexpr Epoch kPlaced{1, 5}, kWord{1, 9};

struct Host {
    explicit Host(std::uint64_t seed = 1) : random(seed) {
        machine.start_agent();
        orchestrator.revision = 10;
        orchestrator.keep_connected();
        PoolDocument pool_document{.name = "main", .path = "/pools/main", .cluster = "c1"};
        pool_document.id = pool;
        orchestrator.put(DocumentKind::pool, pool_document);
        machine.volumes[stray] = {.size = kGiB, .image = "", .pool = pool};
        REQUIRE(time.run_until([&] { return told(stray); }, minutes{5}));
    }
    bool told(const Uuid& id) const {
        return std::ranges::any_of(orchestrator.unclaimed().things,
                                   [&](const UnclaimedThing& thing) { return thing.id == id; });
    }
    void claims(Epoch epoch) {
        VolumeDocument document{.epoch = epoch, .size = kGiB, .made = true, .name = "default/data"};
        document.id = stray;
        document.pool = pool;
        orchestrator.put(DocumentKind::volume, document);
    }
    RemoveOrder word(Epoch seen, bool held) const {
        RemoveOrder order{.kind = DocumentKind::volume,
                          .id = stray,
                          .pool = pool,
                          .seen = seen,
                          .held = held,
                          .epoch = kWord,
                          .connection = orchestrator.hello().connection};
        order.task = task;
        return order;
    }
    bool is_there() const { return machine.volumes.contains(stray); }
    std::string refusal() const {
        const auto news = orchestrator.tasks().find(task);
        return news == orchestrator.tasks().end() ? "" : news->second.code;
    }

    VirtualTime time;
    SeededRandom random;
    SimulatedMachine machine{
        time, random,
        AgentIdentity{
            .cluster = "c1", .host = HostId{*Uuid::parse("01890000-0000-7000-8000-000000000001")}, .version = "0"}};
    SimulatedOrchestrator orchestrator{time, random, machine};
    PoolId pool{*Uuid::parse("01890000-0000-7000-8000-0000000000a1")};
    VolumeId stray{*Uuid::parse("01890000-0000-7000-8000-0000000000b1")};
    TaskId task{*Uuid::parse("01890000-0000-7000-8000-0000000000c1")};
};

}  // namespace

TEST_CASE("a file that nobody claims goes by one word, which is durable before, and is told gone") {
    Host host;
    host.machine.expect_volume_destroy(host.stray);
    host.orchestrator.send(host.word({}, false));
    CHECK(host.time.run_until([&] { return !host.is_there(); }, minutes{1}));
    CHECK(host.time.run_until(
        [&] {
            return host.orchestrator.gone({DocumentKind::volume, host.stray}) == kWord;
        },
        minutes{1}));
    CHECK(host.time.run_until([&] { return !host.told(host.stray); }, minutes{2}));
    CHECK(host.machine.violation() == "");
}

TEST_CASE("what was claimed before the word came, or while libvirt is asked, stays") {
    for (const std::int64_t after_ms : {-1'000, 0, 5, 20}) {
        CAPTURE(after_ms);
        Host host;
        host.machine.faults.slow_ms = 2'000;
        if (after_ms < 0) host.claims(kPlaced);
        host.time.run_for(milliseconds{std::max<std::int64_t>(-after_ms * 10, 0)});
        host.orchestrator.send(host.word({}, false));
        host.time.run_for(milliseconds{std::max<std::int64_t>(after_ms, 0)});
        if (after_ms >= 0) host.claims({2, 1});  // above the word
        host.time.run_for(minutes{3});
        CHECK(host.is_there());
        CHECK(host.refusal() == "claimed");
        CHECK(host.machine.violation() == "");
    }
}

TEST_CASE("a volume with a document goes only at the epoch that was seen") {
    Host host;
    host.claims(kPlaced);
    host.time.run_for(minutes{1});
    host.orchestrator.send(host.word({1, 4}, true));
    host.time.run_for(minutes{1});
    CHECK(host.refusal() == "claimed");
    CHECK(host.is_there());
    host.machine.expect_volume_destroy(host.stray);
    host.orchestrator.send(host.word(kPlaced, true));
    CHECK(host.time.run_until([&] { return !host.is_there(); }, minutes{1}));
    CHECK(host.machine.violation() == "");
}

TEST_CASE("a file that a domain names stays, whether that is on or off") {
    Host host;
    const VmId theirs{*Uuid::parse("01890000-0000-7000-8000-0000000000d1")};
    auto& domain = host.machine.domains[theirs];
    domain.defined = true;
    domain.state = DomainState::shut_off;
    domain.plan.document.id = theirs;
    domain.plan.disks = {{.document = {.name = "root", .volume = host.stray}}};
    host.orchestrator.send(host.word({}, false));
    host.time.run_for(minutes{1});
    CHECK(host.refusal() == "in-use");
    CHECK(host.is_there());
    CHECK(host.machine.violation() == "");
}

TEST_CASE("whenever the agent dies, or the power goes, the word is carried out once and told") {
    for (const bool power : {false, true}) {
        for (int at = 1; at < 200; ++at) {
            CAPTURE(power);
            CAPTURE(at);
            Host host(7);
            host.machine.expect_volume_destroy(host.stray);
            const std::int64_t began = host.time.now_ms();
            host.orchestrator.send(host.word({}, false));
            for (int i = 0; i < at; ++i) host.time.step();
            const bool late = host.time.now_ms() - began > 5'000;
            if (power) host.machine.power_cut();
            host.machine.start_agent();
            const auto tells = [&] {  // after each hello, as the orchestrator does
                if (host.orchestrator.is_connected()) host.orchestrator.send(host.word({}, false));
                return host.orchestrator.gone({DocumentKind::volume, host.stray}) == kWord && !host.is_there();
            };
            bool done = false;
            for (int i = 0; i < 60 && !done; ++i) {
                host.time.run_for(seconds{2});
                done = tells();
            }
            CHECK(done);
            CHECK(host.refusal() == "");
            CHECK(host.machine.violation() == "");
            if (late) break;
        }
    }
}

#ifdef AXLE_FAULTS
TEST_CASE("a removal of what was claimed meanwhile is found") {
    Host host;
    host.claims(kPlaced);
    host.time.run_for(minutes{1});
    planted().remove_claimed = true;
    host.orchestrator.send(host.word({}, false));
    host.time.run_for(minutes{2});
    planted().remove_claimed = false;
    planted_found("what was to be removed goes although it was claimed meanwhile", host.machine.violation());
}
#endif
