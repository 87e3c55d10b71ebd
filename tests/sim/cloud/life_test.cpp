// The life of guests in a whole cloud: what users rely on, one promise a test.
#include <doctest/doctest.h>

#include "tests/sim/cloud/fixture.hpp"

using namespace axle;
using namespace axle::test;
using std::chrono::hours;
using std::chrono::minutes;

TEST_CASE("a guest is made, runs, stops, is deleted, and nothing is left") {
    Furnished cloud;
    REQUIRE(cloud.violation() == "");
    CHECK(cloud.makes_vm("web") == "ok");
    CHECK(cloud.run_until([&] { return cloud.is_running("web"); }));
    CHECK(cloud.settles());
    CHECK(cloud.acts("web", "stop") == "ok");
    CHECK(cloud.settles());
    CHECK(!cloud.is_running("web"));
    CHECK(cloud.deletes("web", true) == "ok");
    CHECK(cloud.expunges());
    CHECK(cloud.violation() == "");
}

TEST_CASE("a changed SSH key is told to the hosts of the VMs that have it, though nothing else of them changes") {
    Furnished cloud;
    const auto key = [](const char* bytes) {
        return fmt::format(R"("spec":{{"publicKey":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{} me"}})", bytes);
    };
    const std::string first = key("J0w4ZVtMR7bfzlB4mD8zXwN0bqk5kP2bV0hYJq5n8Qc");
    REQUIRE(cloud.does(Cloud::create(Kind::sshkey, "default", "{\"name\":\"mine\"," + first + "}")) == "ok");
    REQUIRE(cloud.makes_vm("web", R"(,"sshKeys":["mine"])") == "ok");
    REQUIRE(cloud.settles());
    const std::string next = key("K1w4ZVtMR7bfzlB4mD8zXwN0bqk5kP2bV0hYJq5n8Qc");
    REQUIRE(cloud.does(Cloud::patch(Kind::sshkey, "default", "mine", "{" + next + "}")) == "ok");
    CHECK_FALSE(cloud.orchestrator().links().untold(cloud.vm("web")->status.placement->host.id).has_value());
    CHECK(cloud.settles());
    CHECK(cloud.violation() == "");
}

TEST_CASE("a stop that runs out of time fails as a task, the guest runs on, and force ends it") {
    Furnished cloud({.hosts = 1});
    cloud.machine().faults.deaf_guests = 100;
    REQUIRE(cloud.makes_vm("web") == "ok");
    REQUIRE(cloud.settles());
    REQUIRE(cloud.acts("web", "stop") == "ok");
    const Uuid task = cloud.last.result->task;
    const auto ended = cloud.ended(task);
    REQUIRE(ended != nullptr);
    CHECK(ended->status.phase == TaskPhase::failed);
    CHECK(ended->status.error->hint.find("--force") != std::string::npos);
    CHECK(cloud.settles());
    CHECK(cloud.is_running("web"));
    CHECK(cloud.vm("web")->spec.power == Power::running);
    CHECK(cloud.acts("web", "stop", R"({"force":true})") == "ok");
    CHECK(cloud.settles());
    CHECK(!cloud.is_running("web"));
    CHECK(cloud.violation() == "");
}

TEST_CASE("a guest that goes down while its host stands still has obeyed in time, and stays off") {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        CAPTURE(seed);
        Furnished cloud({.seed = seed, .hosts = 1});
        REQUIRE(cloud.makes_vm("web") == "ok");
        REQUIRE(cloud.settles());
        REQUIRE(cloud.acts("web", "stop") == "ok");
        const Uuid task = cloud.last.result->task;
        cloud.run_for(milliseconds{20 * static_cast<std::int64_t>(seed)});
        cloud.freeze(0, seconds{28});  // longer than the guest has to stop, too short for its connection to end
        const auto ended = cloud.ended(task);
        REQUIRE(ended != nullptr);
        CHECK(ended->status.phase == TaskPhase::succeeded);
        CHECK(cloud.settles());
        CHECK(!cloud.is_running("web"));
        CHECK(cloud.vm("web")->spec.power == Power::stopped);
        CHECK(cloud.violation() == "");
    }
}

TEST_CASE("a guest that shuts itself down stays off, over a power cut too, until the next start") {
    Furnished cloud({.hosts = 1});
    REQUIRE(cloud.makes_vm("web") == "ok");
    REQUIRE(cloud.settles());
    cloud.machine().guest_shuts_down(VmId{cloud.vm("web")->meta.id});
    CHECK(cloud.run_until([&] { return cloud.vm("web")->status.phase == VmPhase::stopped; }));
    cloud.power_cut(0, minutes{1});
    cloud.run_for(minutes{5});
    CHECK(cloud.settles());
    CHECK(!cloud.is_running("web"));
    CHECK(cloud.acts("web", "start") == "ok");
    CHECK(cloud.settles());
    CHECK(cloud.is_running("web"));
    CHECK(cloud.violation() == "");
}

TEST_CASE("a pause that comes when the guest has shut itself down fails and says so, and a start brings it back") {
    Furnished cloud({.hosts = 1});
    REQUIRE(cloud.makes_vm("web") == "ok");
    REQUIRE(cloud.settles());
    cloud.partition(0, true);
    cloud.machine().guest_shuts_down(VmId{cloud.vm("web")->meta.id});
    REQUIRE(cloud.acts("web", "pause") == "ok");
    const Uuid task = cloud.last.result->task;
    cloud.partition(0, false);
    const auto ended = cloud.ended(task);
    REQUIRE(ended != nullptr);
    CHECK(ended->status.phase == TaskPhase::failed);
    CHECK(ended->status.error->code == "guest-is-off");
    CHECK(ended->status.error->message.find("guest-shutdown") != std::string::npos);
    CHECK(cloud.vm("web")->status.phase == VmPhase::stopped);
    CHECK(cloud.acts("web", "start") == "ok");
    CHECK(cloud.settles());
    CHECK(cloud.is_running("web"));
    CHECK(cloud.violation() == "");
}

TEST_CASE("a guest that crashes, or that virsh destroys, is started again") {
    Furnished cloud({.hosts = 1});
    REQUIRE(cloud.makes_vm("web") == "ok");
    REQUIRE(cloud.settles());
    const VmId id{cloud.vm("web")->meta.id};
    for (const bool crash : {true, false}) {
        CAPTURE(crash);
        const auto starts = cloud.machine().domains[id].starts;
        crash ? cloud.machine().guest_crashes(id) : cloud.machine().virsh_destroy(id);
        CHECK(cloud.run_until([&] { return cloud.machine().domains[id].starts > starts; }));
        CHECK(cloud.settles());
        CHECK(cloud.is_running("web"));
    }
    CHECK(cloud.violation() == "");
}

TEST_CASE("a deleted guest comes back with its disks, and goes for good after its retention") {
    Furnished cloud;
    REQUIRE(cloud.makes_vm("web", R"(,"retention":"1h")") == "ok");
    REQUIRE(cloud.settles());
    const Uuid id = cloud.vm("web")->meta.id, disk = cloud.volume("web-root")->meta.id;
    REQUIRE(cloud.deletes("web") == "ok");
    cloud.run_for(minutes{30});
    CHECK(cloud.vm("web") == nullptr);
    CHECK(cloud.does(Cloud::act(Kind::vm, "default", id.str(), "restore")) == "ok");
    CHECK(cloud.volume("web-root")->meta.id == disk);
    CHECK(cloud.acts("web", "start") == "ok");
    CHECK(cloud.settles());
    CHECK(cloud.is_running("web"));
    REQUIRE(cloud.deletes("web") == "ok");
    cloud.run_for(minutes{50});
    CHECK(cloud.world().find<Vm>(id) != nullptr);
    cloud.run_for(minutes{15});
    CHECK(cloud.expunges());
    CHECK(cloud.violation() == "");
}

TEST_CASE("a deleted guest that is deleted again for good goes at once, with the disks that went with it") {
    Furnished cloud;
    const Uuid id = cloud.makes_and_deletes("web", R"(,"retention":"4h")");
    REQUIRE(cloud.settles());
    REQUIRE(cloud.world().all(Kind::volume).size() == 1);
    CHECK(cloud.deletes(id.str(), true) == "ok");
    CHECK(cloud.expunges(std::chrono::minutes{5}));
}

TEST_CASE("a deleted guest comes back under a new name beside the one that took its name") {
    Furnished cloud({.hosts = 1});
    const Uuid id = cloud.makes_and_deletes("web");
    REQUIRE(cloud.makes_vm("web") == "ok");
    REQUIRE(cloud.settles());
    const auto restore = [&](const std::string& arguments) {
        return cloud.does(Cloud::act(Kind::vm, "default", id.str(), "restore", arguments));
    };
    CHECK(restore("").find("another vm \"web\"") != std::string::npos);
    CHECK(restore(R"({"name":"a.b"})") != "ok");
    CHECK(restore(R"({"name":"01900000-0000-7000-8000-000000000001"})") != "ok");
    CHECK(restore(R"({"name":"old"})") == "ok");
    CHECK(cloud.settles());
    REQUIRE(cloud.vm("old") != nullptr);
    CHECK(cloud.vm("old")->spec.disks.at("root").volume.name == "old-root");
    REQUIRE(cloud.volume("old-root") != nullptr);
    CHECK(cloud.volume("old-root")->status.attached_to.id == id);
    CHECK(cloud.volume("web-root")->status.attached_to.id == cloud.vm("web")->meta.id);
    CHECK(cloud.acts("old", "start") == "ok");
    CHECK(cloud.run_until([&] { return cloud.is_running("old"); }));
    CHECK(cloud.violation() == "");
}

TEST_CASE("a guest knows its disk by the name under which it came back before it") {
    Furnished cloud({.hosts = 1});
    REQUIRE(cloud.makes_vm("web") == "ok");
    REQUIRE(cloud.settles());
    const Uuid id = cloud.vm("web")->meta.id, disk = cloud.volume("web-root")->meta.id;
    REQUIRE(cloud.deletes("web") == "ok");
    REQUIRE(cloud.does(Cloud::act(Kind::volume, "default", disk.str(), "restore", R"({"name":"kept"})")) == "ok");
    REQUIRE(cloud.does(Cloud::act(Kind::vm, "default", id.str(), "restore")) == "ok");
    CHECK(cloud.vm("web")->spec.disks.at("root").volume.id == disk);
    CHECK(cloud.vm("web")->spec.disks.at("root").volume.name == "kept");
    CHECK(cloud.volume("kept")->status.attached_to.id == id);
}

TEST_CASE("who waits for room gets it when there is some") {
    Furnished cloud({.hosts = 1});
    REQUIRE(cloud.makes_vm("one", R"(,"memory":"5GiB")") == "ok");
    REQUIRE(cloud.makes_vm("two", R"(,"memory":"5GiB")") == "ok");
    const Uuid task = cloud.last.result->task;
    CHECK(cloud.run_until([&] { return cloud.vm("two")->status.phase == VmPhase::waiting; }));
    CHECK(cloud.run_until([&] { return cloud.task(task)->status.reason.find("GiB") != std::string::npos; }));
    CHECK(cloud.settles());
    CHECK(cloud.deletes("one") == "ok");
    CHECK(cloud.run_until([&] { return cloud.is_running("two"); }));
    CHECK(cloud.settles());
    CHECK(cloud.violation() == "");
}

TEST_CASE("a VM that waits for room takes a stop, a change and a start; with room it is what was asked last") {
    Furnished cloud({.hosts = 1});
    REQUIRE(cloud.makes_vm("one", R"(,"memory":"5GiB")") == "ok");
    REQUIRE(cloud.makes_vm("two", R"(,"memory":"6GiB")") == "ok");
    REQUIRE(cloud.run_until([&] { return cloud.vm("two")->status.phase == VmPhase::waiting; }));
    const auto ends_well = [&](const std::string& said) {
        CHECK(said == "ok");
        const auto ended = cloud.ended(cloud.last.result->task);
        return ended != nullptr && ended->status.phase == TaskPhase::succeeded;
    };
    CHECK(ends_well(cloud.acts("two", "stop")));
    CHECK(cloud.vm("two")->status.phase == VmPhase::waiting);
    CHECK(ends_well(cloud.does(Cloud::patch(Kind::vm, "default", "two", R"({"spec":{"memory":"4GiB"}})"))));
    REQUIRE(cloud.deletes("one") == "ok");
    CHECK(cloud.settles());
    CHECK(!cloud.is_running("two"));
    CHECK(cloud.vm("two")->status.phase == VmPhase::stopped);
    CHECK(ends_well(cloud.acts("two", "start")));
    CHECK(cloud.is_running("two"));
    CHECK(cloud.violation() == "");
}

TEST_CASE("a deleted guest whose host was filled since is not restored, with the numbers") {
    Furnished cloud({.hosts = 1});
    const Uuid id = cloud.makes_and_deletes("one", R"(,"memory":"5GiB")");
    REQUIRE(cloud.makes_vm("two", R"(,"memory":"5GiB")") == "ok");
    REQUIRE(cloud.settles());
    const std::string said = cloud.does(Cloud::act(Kind::vm, "default", id.str(), "restore"));
    CHECK(said.find("needs 1 CPU and 5 GiB") != std::string::npos);
    CHECK(cloud.violation() == "");
}

TEST_CASE("a project's limit refuses what goes beyond it, and a delete makes room at once") {
    Furnished cloud;
    REQUIRE(cloud.does(Cloud::patch(Kind::project, "", "default", R"({"spec":{"limits":{"vms":1}}})")) == "ok");
    REQUIRE(cloud.makes_vm("one") == "ok");
    CHECK(cloud.makes_vm("two").find("may have 1 vms") != std::string::npos);
    CHECK(cloud.volume("two-root") == nullptr);  // a refused create leaves nothing
    REQUIRE(cloud.settles());
    CHECK(cloud.deletes("one") == "ok");
    CHECK(cloud.makes_vm("two") == "ok");
    CHECK(cloud.violation() == "");
}

TEST_CASE("two creates that share a sync get different addresses") {
    Furnished cloud;
    cloud.sync_slow_ms = 500;
    int answers = 0;
    for (const char* name : {"one", "two"}) {
        cloud.ask(Cloud::create(Kind::vm, "default",
                                fmt::format(R"({{"name":"{}","spec":{{"disks":{{"root":{{"size":"1GiB"}}}},)"
                                            R"("nics":{{"eth0":{{"network":"blue"}}}}}}}})",
                                            name)),
                  [&](const Reply& reply) { answers += reply.result ? 1 : 0; });
    }
    REQUIRE(cloud.run_until([&] { return answers == 2; }));
    CHECK(cloud.vm("one")->status.nics.at("eth0").address != cloud.vm("two")->status.nics.at("eth0").address);
    cloud.eyes->look_closely();
    CHECK(cloud.violation() == "");
}

TEST_CASE("a request that is repeated with its key does nothing twice, over a restart too") {
    Furnished cloud;
    Mutation m = Cloud::create(Kind::volume, "default", R"({"name":"data","spec":{"size":"1GiB"}})");
    m.idempotency_key = "k1";
    m.body_hash = "b1";
    REQUIRE(cloud.does(m) == "ok");
    const Uuid id = cloud.last.result->object->meta.id;
    const Uuid task = cloud.last.result->task;
    cloud.restart_orchestrator_in(seconds{1});
    cloud.run_for(seconds{5});
    CHECK(cloud.does(m) == "ok");
    CHECK(cloud.last.result->replayed);
    CHECK(cloud.last.result->object->meta.id == id);
    CHECK(cloud.last.result->task == task);
    m.body_hash = "b2";
    CHECK(cloud.does(m).find("another body") != std::string::npos);
    CHECK(cloud.world().all(Kind::volume).size() == 1);
    CHECK(cloud.violation() == "");
}

TEST_CASE("how a task ended is known after a restart") {
    Furnished cloud({.hosts = 1});
    REQUIRE(cloud.makes_vm("web") == "ok");
    const Uuid task = cloud.last.result->task;
    REQUIRE(cloud.settles());
    cloud.restart_orchestrator_in(seconds{1});
    cloud.run_for(seconds{5});
    const auto ended = cloud.ended(task, minutes{1});
    REQUIRE(ended != nullptr);
    CHECK(ended->status.phase == TaskPhase::succeeded);
}

TEST_CASE("a wall clock that jumps by years expunges nothing early") {
    Furnished cloud({.hosts = 1});
    const Uuid id = cloud.makes_and_deletes("web", R"(,"retention":"4h")");
    cloud.jump_wall(INT64_C(10) * 365 * 24 * 3'600'000);
    cloud.run_for(minutes{90});
    CHECK(cloud.world().find<Vm>(id) != nullptr);
    cloud.restart_orchestrator_in(seconds{1});  // time off counts for an hour at most
    cloud.jump_wall(INT64_C(10) * 365 * 24 * 3'600'000);
    cloud.run_for(seconds{30});
    CHECK(cloud.world().find<Vm>(id) == nullptr);  // 3 h at double speed, and 1 h: it was due
    CHECK(cloud.violation() == "");
}

TEST_CASE("clocks that are apart are told, and a person's word puts retention right, over a restart") {
    Furnished cloud({.hosts = 1});
    const Uuid id = cloud.makes_and_deletes("web", R"(,"retention":"4h")");
    const auto told = [&] {
        bool found = false;
        cloud.orchestrator().overview(Cloud::admin(), [&](Result<Overview> o) {
            found = std::ranges::any_of(o->problems, [](const Problem& p) { return p.type == "ClockApart"; });
        });
        return found;
    };
    CHECK(!told());
    cloud.jump_wall(INT64_C(31) * 24 * 3'600'000);
    CHECK(told());
    bool accepted = false;
    cloud.orchestrator().accept_clock(Cloud::admin(),
                                      [&](Result<ClockState> state) { accepted = state && !state->apart; });
    REQUIRE(cloud.run_until([&] { return accepted; }));
    CHECK(!told());
    cloud.restart_orchestrator_in(seconds{1});
    cloud.run_for(minutes{2});
    CHECK(!told());
    CHECK(cloud.world().find<Vm>(id) == nullptr);  // due by the time that was accepted
    CHECK(cloud.violation() == "");
}

TEST_CASE("a disk that is attached to a guest that has a place is made there") {
    Furnished cloud;
    REQUIRE(cloud.does(Cloud::create(Kind::volume, "default", R"({"name":"data","spec":{"size":"1GiB"}})")) == "ok");
    REQUIRE(cloud.makes_vm("web") == "ok");
    REQUIRE(cloud.settles());
    CHECK(cloud.acts("web", "attach", R"({"disk":"data","volume":"data"})") == "ok");
    CHECK(cloud.acts("web", "attach", R"({"disk":"more","size":"1GiB"})") == "ok");
    CHECK(cloud.settles());
    CHECK(cloud.volume("data")->status.placement->host == cloud.vm("web")->status.placement->host);
    CHECK(cloud.deletes("web", true) == "ok");
    CHECK(cloud.run_until([&] { return cloud.world().all(Kind::vm).empty(); }));
    CHECK(cloud.volume("data")->status.attached_to.name == "");
    CHECK(cloud.settles());
    CHECK(cloud.violation() == "");
}

TEST_CASE("a disk that finds no room gets it from what its project deleted first, and from no more than it takes") {
    Furnished cloud({.hosts = 1, .pool_size = 4 * kGiB});  // 8 GiB to give
    for (const char* name : {"a", "b", "c"}) REQUIRE(cloud.makes_vm(name) == "ok");
    REQUIRE(cloud.settles());
    REQUIRE(cloud.deletes("a") == "ok");
    cloud.run_for(minutes{1});
    REQUIRE(cloud.deletes("b") == "ok");
    cloud.run_for(minutes{1});
    REQUIRE(cloud.makes_vm("d") == "ok");
    CHECK(cloud.run_until([&] { return cloud.is_running("d"); }));
    CHECK(cloud.world().all(Kind::vm).size() == 4);  // there was room for it
    REQUIRE(cloud.makes_vm("e") == "ok");
    CHECK(cloud.run_until([&] { return cloud.is_running("e"); }));
    CHECK(cloud.world().all(Kind::vm).size() == 4);
    CHECK(cloud.does(Cloud::act(Kind::vm, "default", "b", "restore", "")) != "ok");  // by its id only
    CHECK(cloud.settles());
    CHECK(cloud.violation() == "");
}

TEST_CASE("what another project deleted stays, whoever needs its room") {
    Furnished cloud({.hosts = 1, .pool_size = 4 * kGiB});
    REQUIRE(cloud.does(Cloud::create(Kind::project, "", R"({"name":"other"})")) == "ok");
    REQUIRE(cloud.does(Cloud::create(Kind::volume, "other", R"({"name":"theirs","spec":{"size":"3GiB"}})")) == "ok");
    for (const char* name : {"a", "b"}) REQUIRE(cloud.makes_vm(name) == "ok");
    REQUIRE(cloud.settles());
    REQUIRE(cloud.does(Cloud::remove(Kind::volume, "other", "theirs", false)) == "ok");
    cloud.run_for(minutes{1});
    REQUIRE(cloud.makes_vm("c") == "ok");
    cloud.run_for(minutes{5});
    CHECK(!cloud.is_running("c"));
    CHECK(cloud.vm("c")->status.phase == VmPhase::waiting);
    CHECK(cloud.world().all(Kind::volume).size() == 4);
    CHECK(cloud.violation() == "");
}

TEST_CASE("out of addresses, a new VM gets that of the VM that was deleted first; its restore gets another") {
    Furnished cloud({.hosts = 1});
    REQUIRE(cloud.does(Cloud::create(Kind::network, "default",
                                     R"({"name":"small","spec":{"type":"nat","cidr":"10.99.0.0/29"}})")) == "ok");
    const auto make = [&](const std::string& name) {
        return cloud.does(Cloud::create(
            Kind::vm, "default",
            fmt::format(R"({{"name":"{}","spec":{{"memory":"128MiB","disks":{{"root":{{"size":"1GiB"}}}},)"
                        R"("nics":{{"eth0":{{"network":"small"}}}}}}}})",
                        name)));
    };
    for (const char* name : {"a", "b", "c", "d", "e"}) REQUIRE(make(name) == "ok");
    REQUIRE(cloud.settles());
    CHECK(make("f").find("no free address") != std::string::npos);
    const Uuid a = cloud.vm("a")->meta.id;
    const std::string address = cloud.vm("a")->status.nics.at("eth0").address;
    REQUIRE(cloud.deletes("a") == "ok");
    REQUIRE(cloud.settles());
    REQUIRE(make("f") == "ok");
    CHECK(cloud.vm("f")->status.nics.at("eth0").address == address);
    CHECK(cloud.does(Cloud::act(Kind::vm, "default", a.str(), "restore", "")).find("no free address") !=
          std::string::npos);
    REQUIRE(cloud.deletes("b", true) == "ok");
    REQUIRE(cloud.run_until([&] { return cloud.vm("b") == nullptr && cloud.world().all(Kind::vm).size() == 5; }));
    CHECK(cloud.does(Cloud::act(Kind::vm, "default", a.str(), "restore", "")) == "ok");
    CHECK(!cloud.vm("a")->status.nics.at("eth0").address.empty());
    CHECK(cloud.settles());
    CHECK(cloud.violation() == "");
}
