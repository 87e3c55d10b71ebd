// A host that says nothing for minutes: what people see of its VMs, and what becomes of what they ask.
#include "tests/sim/cloud/fixture.hpp"

using namespace axle;
using namespace axle::test;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

struct Watched : Furnished {
    Watched() : Furnished({.seed = 17, .hosts = 2}) {
        REQUIRE(makes_vm("web") == "ok");
        REQUIRE(makes_vm("off", R"(,"power":"stopped")") == "ok");
        REQUIRE(settles());
        host = static_cast<std::size_t>(vm("web")->status.placement->host.name[1] - '0');
    }
    VmPhase phase(const std::string& name = "web") const { return vm(name)->status.phase; }
    bool becomes(VmPhase wanted, const std::string& name = "web") {
        return run_until([&] { return phase(name) == wanted; }, minutes{3});
    }

    std::size_t host = 0;
};

}  // namespace

TEST_CASE("a VM is unknown when its host has been silent for a minute, and what it is when it speaks again") {
    Watched cloud;
    cloud.partition(cloud.host, true);
    cloud.run_for(seconds{45});
    CHECK(cloud.phase() == VmPhase::running);  // an agent that restarts changes nothing that is shown
    REQUIRE(cloud.becomes(VmPhase::unknown));
    CHECK(cloud.is_running("web"));  // the guest itself goes on
    cloud.partition(cloud.host, false);
    REQUIRE(cloud.becomes(VmPhase::running));
    CHECK(cloud.violation() == "");
}

TEST_CASE("only VMs of the silent host are unknown, whatever they were told to be doing; one that is deleted is that") {
    Watched cloud;
    REQUIRE(cloud.does(Cloud::act(Kind::host, "", fmt::format("h{}", cloud.host), "cordon")) == "ok");
    REQUIRE(cloud.makes_vm("elsewhere") == "ok");
    REQUIRE(cloud.settles());
    const auto off_host = cloud.vm("off")->status.placement->host.name[1] - '0';
    cloud.partition(static_cast<std::size_t>(off_host), true);
    REQUIRE(cloud.becomes(VmPhase::unknown, "off"));
    CHECK(cloud.phase("elsewhere") == (off_host == static_cast<int>(cloud.host) ? VmPhase::running : VmPhase::unknown));
    const Uuid off = cloud.vm("off")->meta.id;
    REQUIRE(cloud.deletes("off") == "ok");
    CHECK(cloud.run_until([&] { return cloud.world().find<Vm>(off)->status.phase == VmPhase::deleted; }));
    cloud.partition(static_cast<std::size_t>(off_host), false);
    CHECK(cloud.settles());
    CHECK(cloud.violation() == "");
}

TEST_CASE("what is asked of a VM on a silent host waits for it, and is never answered from what it last told") {
    Watched cloud;
    cloud.partition(cloud.host, true);
    cloud.run_for(seconds{30});
    for (const bool unknown : {false, true}) {
        CAPTURE(unknown);
        if (unknown) REQUIRE(cloud.becomes(VmPhase::unknown));
        REQUIRE(cloud.acts("web", "start") == "ok");
        const Uuid id = cloud.last.result->task;
        REQUIRE(id);
        cloud.run_for(seconds{5});
        REQUIRE(cloud.task(id) != nullptr);
        CHECK(cloud.task(id)->status.phase == TaskPhase::waiting);
        CHECK(cloud.task(id)->status.reason.find("is not connected") != std::string::npos);
    }
    const Uuid id = cloud.last.result->task;
    cloud.partition(cloud.host, false);
    const auto done = cloud.ended(id);
    REQUIRE(done);
    CHECK(done->status.phase == TaskPhase::succeeded);
    CHECK(cloud.phase() == VmPhase::running);
    CHECK(cloud.violation() == "");
}

TEST_CASE("an orchestrator that starts waits five minutes for its hosts before it calls a VM unknown") {
    Watched cloud;
    cloud.partition(cloud.host, true);
    cloud.crash_orchestrator();
    cloud.start_orchestrator();
    cloud.run_for(minutes{4});
    CHECK(cloud.phase() == VmPhase::running);
    REQUIRE(cloud.becomes(VmPhase::unknown));
    cloud.run_for(seconds{2});  // durable
    cloud.crash_orchestrator();
    cloud.start_orchestrator();
    cloud.run_for(seconds{40});
    CHECK(cloud.phase() == VmPhase::unknown);  // it has not seemed to come back meanwhile
    cloud.partition(cloud.host, false);
    REQUIRE(cloud.becomes(VmPhase::running));
    CHECK(cloud.violation() == "");
}

TEST_CASE("a host that is given up leaves no VM unknown") {
    Watched cloud;
    cloud.power_cut(cloud.host, std::chrono::hours{24 * 365});
    REQUIRE(cloud.becomes(VmPhase::unknown));
    Mutation word = Cloud::remove(Kind::host, "", fmt::format("h{}", cloud.host));
    word.lost = true;
    REQUIRE(cloud.does(std::move(word)) == "ok");
    CHECK(cloud.becomes(VmPhase::waiting));
    CHECK(cloud.violation() == "");
}
