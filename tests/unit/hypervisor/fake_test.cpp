// What the fake can do that nothing real can be made to do on demand.
#include <vector>

#include <doctest/doctest.h>

#include "agent/hypervisor/fake_hypervisor.hpp"
#include "tests/support/virtual_clock.hpp"
#include "tests/unit/hypervisor/plan.hpp"

namespace axle::test {
namespace {

struct Lab {
    VirtualTime time;
    SeededRandom random{1};
    VirtualClock world{time};
    FakeDomains domains{world};
    HypervisorFault next;  // of every call from here on
    std::unique_ptr<VirtualClock> agent;
    std::unique_ptr<FakeHypervisor> hypervisor;
    std::vector<RunEnd> told;
    VmId id = sample_plan().document.id;

    Lab() { restart_agent(); }
    void restart_agent() {
        hypervisor.reset();
        agent = std::make_unique<VirtualClock>(time);
        FakeHypervisorOptions options;
        options.fault = [this](const std::string&, VmId) { return next; };
        hypervisor = std::make_unique<FakeHypervisor>(domains, world, *agent, random, options);
        hypervisor->on_hint([this](DomainHint hint) { told.push_back(hint.cause); });
    }
    // nullopt: never answered.
    template <typename F>
    std::optional<Result<>> ask(F&& call) {
        auto answer = std::make_shared<std::optional<Result<>>>();
        call(*hypervisor, [answer](Result<> done) { *answer = std::move(done); });
        time.run_for(seconds{1});
        return *answer;
    }
    std::optional<Result<>> define() {
        return ask([](Hypervisor& h, Done done) { h.define(sample_plan(), std::move(done)); });
    }
    std::optional<Result<>> start() {
        return ask([this](Hypervisor& h, Done done) { h.start(id, false, std::move(done)); });
    }
};

}  // namespace

TEST_CASE("a call can fail, lie, or hang, and what was done is done") {
    Lab lab;
    lab.next = {.acts = false, .error = error(Code::internal, "no")};
    auto answer = lab.define();
    REQUIRE(answer);
    CHECK_FALSE(*answer);
    CHECK(lab.domains.domains.empty());
    lab.next = {.error = error(Code::timeout, "who knows")};
    answer = lab.define();
    REQUIRE(answer);
    CHECK_FALSE(*answer);
    CHECK(lab.domains.domains.size() == 1);
    lab.next = {.answers = false};
    CHECK_FALSE(lab.start());
    CHECK(lab.domains.is_on(lab.id));
}

TEST_CASE("what an agent asked for still happens when it has died meanwhile") {
    Lab lab;
    REQUIRE(lab.define());
    bool answered = false;
    lab.hypervisor->start(lab.id, false, [&](const Result<>&) { answered = true; });
    lab.restart_agent();
    lab.time.run_for(seconds{1});
    CHECK(lab.domains.is_on(lab.id));
    CHECK_FALSE(answered);
}

TEST_CASE("hints can be lost, and come late") {
    Lab lab;
    REQUIRE(lab.define());
    REQUIRE(lab.start());
    lab.told.clear();
    lab.next = {.acts = false};
    lab.domains.guest_shuts_down(lab.id);
    lab.time.run_for(seconds{10});
    CHECK(lab.told.empty());
    lab.next = {};
    REQUIRE(lab.start());
    lab.told.clear();
    lab.next = {.delay = seconds{5}};
    lab.domains.guest_crashes(lab.id);
    lab.time.run_for(seconds{4});
    CHECK(lab.told.empty());
    lab.time.run_for(seconds{2});
    CHECK(lab.told == std::vector{RunEnd::crashed});
}

TEST_CASE("a power cut ends every guest and keeps what was synced") {
    Lab lab;
    REQUIRE(lab.define());
    REQUIRE(lab.start());
    lab.domains.power_cut();
    CHECK_FALSE(lab.domains.is_on(lab.id));
    CHECK(lab.domains.look(lab.id)->state == DomainState::shut_off);
    CHECK(lab.domains.look(lab.id)->ended == RunEnd::unknown);

    Lab forgetful;
    forgetful.domains.syncs_definitions = false;
    REQUIRE(forgetful.define());
    forgetful.domains.power_cut();
    CHECK(forgetful.domains.look(forgetful.id)->state == DomainState::absent);
}

TEST_CASE("whoever watches the disks is told each opening and each closing") {
    Lab lab;
    int open = 0, events = 0;
    lab.domains.on_disk_use = [&](const FakeDomains::DiskUse& use) {
        open += use.opened ? 1 : -1;
        ++events;
        CHECK(use.vm == lab.id);
    };
    REQUIRE(lab.define());
    REQUIRE(lab.start());
    CHECK(open == 1);
    DomainPlan::Disk data = sample_plan().disks[0];
    data.document.name = "data";
    data.document.volume = VolumeId{*Uuid::parse("018f0000-0000-7000-8000-000000000003")};
    lab.ask([&](Hypervisor& h, Done done) { h.attach_disk(lab.id, data, std::move(done)); });
    CHECK(open == 2);
    lab.ask([&](Hypervisor& h, Done done) { h.detach_disk(lab.id, "data", std::move(done)); });
    CHECK(open == 1);
    lab.domains.virsh_destroy(lab.id);
    CHECK(open == 0);
    REQUIRE(lab.start());
    lab.domains.power_cut();
    CHECK(open == 0);
    CHECK(events == 6);
}

TEST_CASE("guests may be deaf, leave by themselves, or crash; an old wish ends no new run") {
    Lab lab;
    REQUIRE(lab.define());
    lab.domains.guests[lab.id] = {.shuts_down_after = seconds{30}};
    REQUIRE(lab.start());
    lab.domains.virsh_destroy(lab.id);
    lab.domains.guests[lab.id] = {.hears_power_button = false};
    REQUIRE(lab.start());
    lab.ask([&](Hypervisor& h, Done done) { h.ask_shutdown(lab.id, std::move(done)); });
    lab.time.run_for(seconds{60});
    CHECK(lab.domains.is_on(lab.id));
    lab.domains.virsh_destroy(lab.id);
    lab.domains.guests[lab.id] = {.crashes_after = seconds{30}};
    REQUIRE(lab.start());
    lab.time.run_for(seconds{60});
    CHECK_FALSE(lab.domains.is_on(lab.id));
    CHECK(lab.domains.look(lab.id)->ended == RunEnd::crashed);
}

TEST_CASE("what a migration left and brought shows until it is resumed or started") {
    Lab lab;
    REQUIRE(lab.define());
    REQUIRE(lab.start());
    auto& domain = lab.domains.domains[lab.id];
    domain.state = DomainState::paused;
    domain.incoming = true;
    CHECK(lab.domains.look(lab.id)->incoming);
    lab.ask([&](Hypervisor& h, Done done) { h.resume(lab.id, std::move(done)); });
    CHECK_FALSE(lab.domains.look(lab.id)->incoming);
    lab.domains.virsh_destroy(lab.id);
    CHECK_FALSE(lab.domains.look(lab.id)->migrated);
    domain.migrated = true;
    CHECK(lab.domains.look(lab.id)->migrated);
    REQUIRE(lab.start());
    CHECK_FALSE(lab.domains.look(lab.id)->migrated);
}

}  // namespace axle::test
