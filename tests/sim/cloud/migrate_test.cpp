// VMs that move between hosts, in a whole simulated cloud: what a person asks, and what comes of it.
#include "tests/sim/cloud/moving.hpp"

using namespace axle;
using namespace axle::test;
using std::chrono::minutes;

TEST_CASE("a running guest moves with its disks, and nothing is left behind") {
    Moving cloud;
    REQUIRE(cloud.migrates() == "ok");
    CHECK(cloud.end_of_task() == TaskPhase::succeeded);
    CHECK(cloud.host_of("web") == cloud.to);
    CHECK(cloud.vm("web")->status.phase == VmPhase::running);  // nobody sees it paused
    cloud.check_one();
    // and back: the tombstones there are of lower epochs
    std::swap(cloud.from, cloud.to);
    REQUIRE(cloud.migrates() == "ok");
    CHECK(cloud.end_of_task() == TaskPhase::succeeded);
    CHECK(cloud.host_of("web") == cloud.to);
    cloud.check_one();
    cloud.run_for(minutes{3});  // it asks for no address here: it has one
    CHECK(std::ranges::find(cloud.vm("web")->status.conditions, "NoAddress", &Condition::type) ==
          cloud.vm("web")->status.conditions.end());
}

TEST_CASE("a guest that is moved cold is shut down, copied, and started there") {
    Moving cloud;
    REQUIRE(cloud.migrates(R"(,"cold":true)") == "ok");
    CHECK(cloud.end_of_task() == TaskPhase::succeeded);
    CHECK(cloud.host_of("web") == cloud.to);
    cloud.check_one();
    CHECK(cloud.machine(cloud.number(cloud.to)).domains[VmId{cloud.vm("web")->meta.id}].starts == 1);
}

TEST_CASE("a VM that is off stays off when it moves, and so does one that shut itself down") {
    for (const bool by_itself : {true, false}) {
        CAPTURE(by_itself);
        Moving cloud;
        if (by_itself)
            cloud.machine(cloud.number(cloud.from)).guest_shuts_down(VmId{cloud.vm("web")->meta.id});
        else
            REQUIRE(cloud.acts("web", "stop") == "ok");
        REQUIRE(cloud.run_until([&] { return cloud.vm("web")->status.phase == VmPhase::stopped; }));
        REQUIRE(cloud.migrates() == "ok");
        CHECK(cloud.end_of_task() == TaskPhase::succeeded);
        CHECK(cloud.host_of("web") == cloud.to);
        CHECK(cloud.settles());
        CHECK(!cloud.is_running("web"));
        REQUIRE(cloud.acts("web", "start") == "ok");
        cloud.check_one();
    }
}

TEST_CASE("a move that can't be is refused, with what is missing on each host") {
    Moving cloud;
    const auto refused = [&](const std::string& arguments, const std::string& because) {
        const std::string said = cloud.acts("web", "migrate", arguments);
        CAPTURE(said);
        CHECK(said.find(because) != std::string::npos);
    };
    const auto to_host = [&](const std::string& host) { return fmt::format(R"({{"host":"{}"}})", host); };
    refused(to_host("h9"), "no host \"h9\"");
    refused(to_host(cloud.from), "the VM is there already");
    CHECK(cloud.last.result.error().fields.size() == 1);
    for (auto& host : cloud.hosts) host.machine->facts.cpus = 0;
    REQUIRE(cloud.run_until([&] {
        return std::ranges::all_of(cloud.hosts, [&](auto& host) {
            return cloud.world().find<Host>(host.machine->identity().host)->status.facts.cpus == 0;
        });
    }));
    refused("{}", "no host of 3 for web");
    CHECK(cloud.last.result.error().fields.size() == 3);
    for (auto& host : cloud.hosts) host.machine->facts.cpus = 4;
    cloud.run_for(minutes{2});
    REQUIRE(cloud.does(Cloud::patch(Kind::vm, "default", "web", R"({"spec":{"power":"paused"}})")) == "ok");
    refused("{}", "is paused");
    REQUIRE(cloud.acts("web", "resume") == "ok");
    REQUIRE(cloud.settles());
    cloud.partition(cloud.number(cloud.from), true);
    cloud.run_for(minutes{1});
    refused("{}", "is not connected: only it can hand the guest over");
    cloud.partition(cloud.number(cloud.from), false);
    REQUIRE(cloud.settles());
    REQUIRE(cloud.does(Cloud::act(Kind::host, "", cloud.to, "cordon")) == "ok");
    REQUIRE(cloud.migrates() == "ok");  // whoever names it means it
    refused("{}", "is busy with vm-migrate");
    CHECK(cloud.acts("web", "reboot").find("is busy with vm-migrate") != std::string::npos);
    CHECK(cloud.acts("web", "attach", R"({"disk":"more","size":"1GiB"})") != "ok");
    CHECK(cloud.does(Cloud::remove(Kind::host, "", cloud.to)).find("is used by vm web") != std::string::npos);
    CHECK(cloud.end_of_task() == TaskPhase::succeeded);
    cloud.check_one();
}

TEST_CASE("a change that comes while a guest moves holds when it is there") {
    Moving cloud;
    REQUIRE(cloud.migrates() == "ok");
    REQUIRE(cloud.does(Cloud::patch(Kind::vm, "default", "web", R"({"spec":{"memory":"2GiB"}})")) == "ok");
    REQUIRE(cloud.does(Cloud::patch(Kind::volume, "default", "web-root", R"({"spec":{"size":"3GiB"}})")) == "ok");
    CHECK(cloud.end_of_task() == TaskPhase::succeeded);
    cloud.check_one();
    CHECK(cloud.vm("web")->status.needs_reboot);
    CHECK(cloud.run_until([&] { return cloud.volume("web-root")->status.size == 3 * kGiB; }));
}

TEST_CASE("a VM that is deleted while it moves is gone from both hosts") {
    Moving cloud;
    REQUIRE(cloud.migrates() == "ok");
    cloud.run_for(milliseconds{400});
    REQUIRE(cloud.deletes("web", true) == "ok");
    CHECK(cloud.run_until([&] { return cloud.world().all(Kind::vm).empty(); }, minutes{20}));
    REQUIRE(cloud.run_until([&] { return cloud.eyes->unsettled().empty(); }));
    CHECK(cloud.violation() == "");
}

TEST_CASE("a target that gets no disks ready gives the move up by itself, and is left clean") {
    Moving cloud;
    REQUIRE(cloud.world().all(Kind::pool).size() == 1);
    cloud.machine(cloud.number(cloud.to)).unmounted.insert(PoolId{cloud.world().all(Kind::pool).begin()->first});
    REQUIRE(cloud.migrates() == "ok");
    cloud.run_for(minutes{12});
    const auto task = cloud.ended(cloud.task_id);
    REQUIRE(task != nullptr);
    CHECK(task->status.phase == TaskPhase::failed);
    CHECK(task->status.error->message.find("did not get ready within 10 min") != std::string::npos);
    CHECK(cloud.host_of("web") == cloud.from);
    cloud.stop_faults();
    cloud.check_one();
}

TEST_CASE("a disk on a pool that both hosts share stays where it is, and nobody destroys it") {
    Furnished cloud;
    REQUIRE(cloud.does(Cloud::create(Kind::pool, "", R"({"name":"nfs","spec":{"path":"/nfs","shared":true}})")) ==
            "ok");
    cloud.run_for(minutes{1});
    REQUIRE(cloud.does(Cloud::create(Kind::vm, "default",
                                     R"({"name":"web","spec":{"disks":{"root":{"size":"1GiB","pool":"nfs"}}}})")) ==
            "ok");
    REQUIRE(cloud.settles());
    const std::string from = cloud.vm("web")->status.placement->host.name, to = from == "h0" ? "h1" : "h0";
    SimulatedMachine& source = cloud.machine(from == "h0" ? 0 : 1);
    SimulatedMachine& target = cloud.machine(from == "h0" ? 1 : 0);
    const VolumeId disk{cloud.volume("web-root")->meta.id};
    REQUIRE(cloud.acts("web", "migrate", fmt::format(R"({{"host":"{}"}})", to)) == "ok");
    const auto task = cloud.ended(cloud.last.result->task);
    REQUIRE(task != nullptr);
    CHECK(task->status.phase == TaskPhase::succeeded);
    CHECK(cloud.run_until([&] { return target.is_running(VmId{cloud.vm("web")->meta.id}); }));
    CHECK(cloud.volume("web-root")->status.placement->host.name == to);
    CHECK(cloud.run_until([&] {
        const auto held = source.files.find("desired/volume-" + disk.str());
        return held == source.files.end() || held->second.find(R"("verdict":"gone")") != std::string::npos;
    }));
    CHECK(cloud.shared->volumes.contains(disk));
    CHECK(cloud.violation() == "");
}

TEST_CASE("a VM that is deleted while the host it was to move to is away leaves nothing there") {
    Furnished cloud({.seed = 7, .hosts = 2});
    REQUIRE(cloud.makes_vm("web") == "ok");
    REQUIRE(cloud.settles());
    const std::size_t target = cloud.vm("web")->status.placement->host.name == "h0" ? 1 : 0;
    REQUIRE(cloud.acts("web", "migrate") == "ok");
    const VmId id{cloud.vm("web")->meta.id};
    REQUIRE(cloud.run_until([&] { return cloud.machine(target).domains[id].defined; }));
    cloud.partition(target, true);
    REQUIRE(cloud.deletes("web", true) == "ok");
    cloud.run_for(minutes{30});
    CHECK(cloud.machine(target).domains[id].defined);
    cloud.partition(target, false);
    CHECK(cloud.expunges());
    CHECK_FALSE(cloud.machine(target).domains[id].defined);
    CHECK(cloud.machine(target).volumes.empty());
    CHECK(cloud.violation() == "");
}

TEST_CASE("a disk can't be detached while its VM moves, and a refused detach leaves everything as it was") {
    Furnished cloud({.seed = 7, .hosts = 2});
    REQUIRE(cloud.makes_vm("web") == "ok");
    REQUIRE(cloud.acts("web", "attach", R"({"disk":"data","size":"1GiB"})") == "ok");
    REQUIRE(cloud.settles());
    const Uuid vm = cloud.vm("web")->meta.id;
    REQUIRE(cloud.acts("web", "migrate") == "ok");
    CHECK(cloud.acts("web", "detach", R"({"disk":"data"})").find("can't change while the VM is moved") !=
          std::string::npos);
    CHECK(cloud.vm("web")->spec.disks.contains("data"));
    CHECK(cloud.settles());
    CHECK(cloud.volume("web-data")->status.attached_to.id == vm);
    CHECK(cloud.acts("web", "detach", R"({"disk":"data"})") == "ok");
    CHECK_FALSE(cloud.volume("web-data")->status.attached_to);
    CHECK(cloud.settles());
    CHECK(cloud.violation() == "");
}
