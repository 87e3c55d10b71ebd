// What lies on hosts and no record knows, after a store was restored from an older copy or lost: it runs on, is told
// of, becomes a resource again without a reboot, or goes by a person's word.
#include <algorithm>

#include <doctest/doctest.h>

#include "tests/sim/cloud/fixture.hpp"

using namespace axle;
using namespace axle::test;
using std::chrono::minutes;

namespace {

// One VM that the store has forgotten and that runs on, on one of one host.
struct Forgetful : Furnished {
    explicit Forgetful(CloudOptions with = {.hosts = 1}) : Furnished(with) {
        const MemoryDisk older = copy_of_store();
        REQUIRE(makes_vm("web") == "ok");
        REQUIRE(settles());
        const Vm* web = vm("web");
        id = VmId{web->meta.id};
        disk_id = VolumeId{web->spec.disks.at("root").volume.id};
        nic = web->status.nics.at("eth0");
        restore_store(older);
        REQUIRE(accepts_loss());
        REQUIRE(run_until([this] { return unclaimed_now(2); }));
    }
    bool unclaimed_now(std::size_t count) {
        std::size_t things = 0;
        for (std::size_t h = 0; h < hosts.size(); ++h) {
            UnclaimedQuery query{.who = admin()};
            orchestrator().unclaimed(query, [&](Result<UnclaimedAnswer> a) { seen = a ? a->lines : seen; });
        }
        things = seen.size();
        return things == count;
    }
    const UnclaimedLine* line(const Uuid& of) {
        const auto found = std::ranges::find(seen, of, [](const UnclaimedLine& l) { return l.thing.id; });
        return found == seen.end() ? nullptr : &*found;
    }
    std::string removes(const Uuid& of) {
        const std::string asked = does(remove_unclaimed("h0", of));
        if (asked != "ok") return asked;
        const auto task = ended(last.result->task);
        if (!task) return "the task does not end";
        return task->status.phase == TaskPhase::succeeded ? "ok" : task->status.error->message;
    }

    VmId id;
    VolumeId disk_id;
    VmNicStatus nic;
    std::vector<UnclaimedLine> seen;
};

}  // namespace

TEST_CASE("a guest that the store has forgotten runs on and is listed with its disk") {
    Forgetful cloud;
    CHECK(cloud.machine().is_running(cloud.id));
    const UnclaimedLine* guest = cloud.line(cloud.id);
    REQUIRE(guest != nullptr);
    CHECK(guest->host == "h0");
    CHECK(guest->thing.kind == DocumentKind::vm);
    CHECK(guest->thing.name == "default/web");
    CHECK(guest->thing.state == DomainState::running);
    CHECK(guest->thing.volumes == std::vector<Uuid>{cloud.disk_id});
    CHECK(guest->thing.document == "");
    CHECK(guest->obstacle == "");
    const UnclaimedLine* disk = cloud.line(cloud.disk_id);
    REQUIRE(disk != nullptr);
    CHECK(disk->thing.name == "default/web-root");
    CHECK(disk->thing.size == 2 * kGiB);
    CHECK(disk->thing.user == "default/web");
    CHECK(disk->obstacle != "");
    CHECK(cloud.violation() == "");
}

TEST_CASE("it is adopted while it runs, with its disk and its addresses, and then is a VM like any other") {
    Forgetful cloud;
    const auto starts = cloud.machine().domains[cloud.id].starts;
    REQUIRE(cloud.does(cloud.adopt("h0", cloud.id)) == "ok");
    REQUIRE(cloud.settles());
    const Vm* web = cloud.vm("web");
    REQUIRE(web != nullptr);
    CHECK(VmId{web->meta.id} == cloud.id);
    CHECK(web->status.phase == VmPhase::running);
    CHECK(web->status.nics.at("eth0").mac == cloud.nic.mac);
    CHECK(web->status.nics.at("eth0").address == cloud.nic.address);
    CHECK_FALSE(web->status.needs_reboot);
    CHECK(cloud.volume("web-root")->status.attached_to.id == cloud.id);
    CHECK(cloud.volume("web-root")->spec.image.name == "debian");
    CHECK(cloud.machine().domains[cloud.id].starts == starts);
    CHECK(cloud.unclaimed().empty());
    CHECK(cloud.acts("web", "stop") == "ok");
    REQUIRE(cloud.settles());
    CHECK(cloud.acts("web", "start") == "ok");
    REQUIRE(cloud.settles());
    CHECK(cloud.deletes("web", true) == "ok");
    CHECK(cloud.expunges());
    CHECK(cloud.violation() == "");
}

TEST_CASE("after the whole store is lost a guest is adopted with its pool, its network and its disk") {
    Furnished cloud({.hosts = 2});
    REQUIRE(cloud.makes_vm("web") == "ok");
    REQUIRE(cloud.settles());
    const VmId id{cloud.vm("web")->meta.id};
    SimulatedMachine& machine = *cloud.machine_of(*cloud.vm("web"));
    const std::string host = machine.facts.hostname;
    const auto starts = machine.domains[id].starts;
    cloud.crash_orchestrator();
    cloud.disk.lose_store();
    cloud.eyes->forget_history();
    cloud.start_orchestrator();
    REQUIRE(cloud.accepts_loss());
    REQUIRE(cloud.run_until([&] { return cloud.world().all(Kind::host).size() == 2; }));
    cloud.run_for(minutes{2});
    CHECK(cloud.unclaimed(DocumentKind::pool).size() == 1);
    CHECK(cloud.unclaimed(DocumentKind::network).size() == 1);
    CHECK(cloud.unclaimed(DocumentKind::vm).size() == 1);
    CHECK(cloud.does(cloud.adopt(host, id)).find("project \"default\", which is not there") != std::string::npos);
    REQUIRE(cloud.does(Cloud::create(Kind::project, "", R"({"name":"default"})")) == "ok");
    REQUIRE(cloud.does(cloud.adopt(host, id)) == "ok");
    REQUIRE(cloud.run_until([&] { return cloud.is_running("web") && cloud.vm("web")->status.report.settled; }));
    CHECK_FALSE(cloud.vm("web")->status.needs_reboot);
    CHECK(machine.domains[id].starts == starts);
    CHECK(cloud.world().named(Kind::pool, {}, "main") != nullptr);
    cloud.run_for(minutes{2});
    CHECK(cloud.unclaimed().empty());
    CHECK(cloud.deletes("web", true) == "ok");
    CHECK(cloud.expunges());
    CHECK(cloud.violation() == "");
}

TEST_CASE("a file that no document tells of becomes a volume again and is attached to a VM") {
    Furnished cloud({.hosts = 1});
    REQUIRE(cloud.makes_vm("web") == "ok");
    REQUIRE(cloud.settles());
    const VolumeId id{*Uuid::parse("01890000-0000-7000-9000-00000000abcd")};
    const PoolId pool{cloud.world().named(Kind::pool, {}, "main")->meta.id};
    cloud.machine().volumes[id] = {.size = 3 * kGiB, .image = "", .pool = pool};
    REQUIRE(cloud.run_until([&] { return cloud.unclaimed(DocumentKind::volume).size() == 1; }));
    REQUIRE(cloud.does(cloud.adopt("h0", id, "data")) == "ok");
    REQUIRE(cloud.settles());
    CHECK(cloud.volume("data")->spec.size == 3 * kGiB);
    CHECK(cloud.volume("data")->status.phase == VolumePhase::ready);
    CHECK(cloud.acts("web", "attach", R"({"disk":"data","volume":"data"})") == "ok");
    REQUIRE(cloud.settles());
    CHECK(cloud.machine().domains[VmId{cloud.vm("web")->meta.id}].live.disks.size() == 2);
    CHECK(cloud.violation() == "");
}

TEST_CASE("a guest is removed for good by a durable word, and nothing else goes with it") {
    Forgetful cloud;
    CHECK(cloud.removes(cloud.disk_id).find("in use: guest default/web on host h0 has it") != std::string::npos);
    CHECK(cloud.machine().is_running(cloud.id));
    REQUIRE(cloud.removes(cloud.id) == "ok");
    CHECK(cloud.machine().has_nothing_of(cloud.id));
    CHECK(cloud.machine().volumes.contains(cloud.disk_id));
    REQUIRE(cloud.run_until([&] { return cloud.unclaimed_now(1) && cloud.line(cloud.disk_id)->obstacle.empty(); },
                            seconds{30}));
    REQUIRE(cloud.removes(cloud.disk_id) == "ok");
    CHECK_FALSE(cloud.machine().volumes.contains(cloud.disk_id));
    CHECK(cloud.run_until([&] { return cloud.unclaimed_now(0); }));
    CHECK(cloud.settles());
    CHECK(cloud.violation() == "");
}

TEST_CASE("a domain that no document tells of can't be adopted; removed, its disk makes another VM") {
    Forgetful cloud;
    SimulatedMachine& machine = cloud.machine();
    machine.kill_agent();
    std::erase_if(machine.files, [](const auto& file) { return file.first.starts_with("desired/v"); });
    machine.start_agent();
    REQUIRE(cloud.run_until([&] { return cloud.unclaimed_now(2) && !cloud.line(cloud.id)->thing.held; }));
    CHECK(cloud.line(cloud.id)->thing.name == "default/web");
    CHECK(machine.is_running(cloud.id));
    CHECK(cloud.does(cloud.adopt("h0", cloud.id)).find("no document of it") != std::string::npos);
    CHECK(cloud.last.result.error().hint.find("create a VM with them") != std::string::npos);
    CHECK(cloud.does(cloud.adopt("h0", cloud.disk_id)).find("guest default/web has it") != std::string::npos);
    REQUIRE(cloud.removes(cloud.id) == "ok");
    CHECK_FALSE(machine.is_running(cloud.id));
    REQUIRE(cloud.run_until([&] { return cloud.unclaimed_now(1) && cloud.line(cloud.disk_id)->obstacle.empty(); }));
    REQUIRE(cloud.does(cloud.adopt("h0", cloud.disk_id, "old")) == "ok");
    REQUIRE(cloud.does(Cloud::create(Kind::vm, "default",
                                     R"({"name":"anew","spec":{"disks":{"root":{"volume":"old"}},)"
                                     R"("nics":{"eth0":{"network":"blue"}}}})")) == "ok");
    REQUIRE(cloud.settles());
    CHECK(cloud.is_running("anew"));
    CHECK(cloud.violation() == "");
}

TEST_CASE("a guest whose address was given away is refused, and whoever has it is named") {
    Forgetful cloud;
    REQUIRE(cloud.makes_vm("other") == "ok");  // the store gives the address that it has forgotten
    REQUIRE(cloud.vm("other")->status.nics.at("eth0").address == cloud.nic.address);
    CHECK(cloud.does(cloud.adopt("h0", cloud.id)).find("belongs to VM default/other now") != std::string::npos);
    CHECK(cloud.vm("web") == nullptr);
    CHECK(cloud.volume("web-root") == nullptr);
    REQUIRE(cloud.run_until([&] { return cloud.is_running("other"); }));
    REQUIRE(cloud.deletes("other", true) == "ok");
    REQUIRE(cloud.run_until([&] { return cloud.vm("other") == nullptr && cloud.world().all(Kind::vm).empty(); }));
    CHECK(cloud.does(cloud.adopt("h0", cloud.id)) == "ok");
    CHECK(cloud.settles());
    CHECK(cloud.violation() == "");
}

TEST_CASE("a guest that moved after the copy of the store was made runs on and is taken back where it is") {
    Furnished cloud({.hosts = 2});
    REQUIRE(cloud.makes_vm("web") == "ok");
    REQUIRE(cloud.settles());
    const VmId id{cloud.vm("web")->meta.id};
    const std::string from = cloud.vm("web")->status.placement->host.name, to = from == "h0" ? "h1" : "h0";
    const MemoryDisk older = cloud.copy_of_store();
    REQUIRE(cloud.acts("web", "migrate") == "ok");
    REQUIRE(cloud.settles());
    SimulatedMachine& machine = cloud.machine(to == "h0" ? 0 : 1);
    REQUIRE(machine.is_running(id));
    const auto starts = machine.domains[id].starts;
    cloud.restore_store(older);
    REQUIRE(cloud.accepts_loss());
    REQUIRE(cloud.run_until([&] { return cloud.unclaimed(DocumentKind::vm).size() == 1; }));
    cloud.run_for(minutes{5});
    CHECK(machine.is_running(id));
    CHECK(cloud.unclaimed(DocumentKind::vm).front().host == to);
    REQUIRE(cloud.does(cloud.adopt(to, id)) == "ok");
    CHECK(cloud.settles());
    CHECK(cloud.vm("web")->status.placement->host.name == to);
    CHECK(machine.is_running(id));
    CHECK(machine.domains[id].starts == starts);
    CHECK(cloud.deletes("web", true) == "ok");
    CHECK(cloud.expunges());
    CHECK(cloud.violation() == "");
}

TEST_CASE("of files on a shared pool only those that are nobody's are told, once") {
    Furnished cloud({.hosts = 2});
    REQUIRE(cloud.does(Cloud::create(Kind::pool, "", R"({"name":"nfs","spec":{"path":"/pools/nfs","shared":true}})")) ==
            "ok");
    REQUIRE(cloud.does(Cloud::create(Kind::vm, "default",
                                     R"({"name":"web","spec":{"disks":{"root":{"size":"1GiB","pool":"nfs"}}}})")) ==
            "ok");
    REQUIRE(cloud.settles());
    const VolumeId id{*Uuid::parse("01890000-0000-7000-9000-00000000abcd")};
    const PoolId pool{cloud.world().named(Kind::pool, {}, "nfs")->meta.id};
    cloud.run_for(minutes{3});
    CHECK(cloud.unclaimed().empty());
    cloud.shared->volumes[id] = {.size = 3 * kGiB, .image = "", .pool = pool};
    REQUIRE(cloud.run_until([&] { return !cloud.unclaimed().empty(); }));
    cloud.run_for(minutes{3});
    CHECK(cloud.unclaimed().size() == 1);
    CHECK(cloud.unclaimed().front().thing.id == id);
    REQUIRE(cloud.does(cloud.adopt(cloud.unclaimed().front().host, id, "found")) == "ok");
    cloud.run_for(minutes{3});
    CHECK(cloud.unclaimed().empty());
    CHECK(cloud.settles());
    CHECK(cloud.does(Cloud::remove(Kind::volume, "default", "found", true)) == "ok");
    CHECK(cloud.run_until([&] { return !cloud.shared->volumes.contains(id); }));
    CHECK(cloud.violation() == "");
}

TEST_CASE("a file on a shared pool that a guest of another host may have is neither adopted nor removed") {
    Furnished cloud({.hosts = 2});
    REQUIRE(cloud.does(Cloud::create(Kind::pool, "", R"({"name":"nfs","spec":{"path":"/pools/nfs","shared":true}})")) ==
            "ok");
    REQUIRE(cloud.settles());
    const MemoryDisk older = cloud.copy_of_store();
    REQUIRE(cloud.does(Cloud::create(Kind::vm, "default",
                                     R"({"name":"web","spec":{"disks":{"root":{"size":"1GiB","pool":"nfs"}}}})")) ==
            "ok");
    REQUIRE(cloud.settles());
    const VmId id{cloud.vm("web")->meta.id};
    const VolumeId disk{cloud.vm("web")->spec.disks.at("root").volume.id};
    const std::string at = cloud.vm("web")->status.placement->host.name, other = at == "h0" ? "h1" : "h0";
    const std::size_t there = at == "h0" ? 0 : 1;
    cloud.restore_store(older);
    REQUIRE(cloud.accepts_loss());
    cloud.run_for(minutes{3});
    const std::string adopted = cloud.does(cloud.adopt(other, disk)),
                      removed = cloud.does(cloud.remove_unclaimed(other, disk));
    CHECK(adopted.find("guest default/web on host " + at + " has it") != std::string::npos);
    CHECK(removed.find("guest default/web on host " + at + " has it") != std::string::npos);
    cloud.partition(there, true);
    cloud.run_for(minutes{2});
    CHECK(cloud.does(cloud.remove_unclaimed(other, disk)).find(at + " is not connected") != std::string::npos);
    cloud.partition(there, false);
    REQUIRE(cloud.run_until([&] { return cloud.unclaimed(DocumentKind::vm).size() == 1; }));
    cloud.run_for(minutes{2});
    CHECK(cloud.machine(there).is_running(id));
    CHECK(cloud.does(cloud.adopt(at, id)) == "ok");
    CHECK(cloud.settles());
    CHECK(cloud.is_running("web"));
    CHECK(cloud.violation() == "");
}

namespace {

// Kills someone `at` events after the word was given, which the client then gives again. false: all was over before.
bool survives(bool adopts, int whom, int at) {
    Forgetful cloud;
    cloud.strays.insert(cloud.disk_id);  // it stays when its guest goes
    Mutation word = adopts ? cloud.adopt("h0", cloud.id) : cloud.remove_unclaimed("h0", cloud.id);
    word.idempotency_key = "once";
    word.body_hash = "b";
    cloud.ask(word);
    const std::int64_t began = cloud.time.now_ms();
    for (int i = 0; i < at; ++i) cloud.time.step();
    if (cloud.time.now_ms() - began > 15'000) return false;
    if (whom == 0) cloud.restart_orchestrator_in(milliseconds{10});
    if (whom == 1) cloud.crash_agent(0);
    if (whom == 2) cloud.power_cut(0, seconds{5});
    cloud.run_until([&] { return cloud.orchestrator_runs(); });
    cloud.run_for(seconds{30});
    for (int i = 0; i < 10; ++i) {  // while its host is away nothing is known to be there
        const Reply again = cloud.ask_and_wait(word);
        if (again.result || again.result.error().code == Code::conflict) break;
        cloud.run_for(seconds{10});
    }
    CHECK(cloud.settles());
    CHECK(cloud.machine().is_running(cloud.id) == adopts);
    CHECK((cloud.vm("web") != nullptr) == adopts);
    CHECK(cloud.machine().volumes.contains(cloud.disk_id));
    CHECK(cloud.violation() == "");
    return true;
}

}  // namespace

TEST_CASE("whoever dies at whatever instant of an adoption or a removal: it is done, once") {
    for (const bool adopts : {true, false}) {
        for (const int whom : {0, 1, 2}) {
            for (int at = 1; at < 300; at += at < 40 ? 3 : 13) {
                CAPTURE(adopts);
                CAPTURE(whom);
                CAPTURE(at);
                if (!survives(adopts, whom, at)) break;
            }
        }
    }
}
