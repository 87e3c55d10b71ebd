// Losing the orchestrator, its store, or any process at any instant.
#include <doctest/doctest.h>

#include "tests/sim/cloud/fixture.hpp"

using namespace axle;
using namespace axle::test;
using std::chrono::minutes;

TEST_CASE("a host starts its guests by itself when the orchestrator and its store are lost; nothing is destroyed") {
    Furnished cloud({.hosts = 1});
    REQUIRE(cloud.makes_vm("web") == "ok");
    REQUIRE(cloud.settles());
    const VmId id{cloud.vm("web")->meta.id};
    const auto volumes = cloud.machine().volumes.size();
    cloud.crash_orchestrator();
    cloud.disk.lose_store();
    cloud.power_cut(0, minutes{1});
    CHECK(cloud.time.run_until([&] { return cloud.machine().is_running(id); }, minutes{10}));
    cloud.eyes->forget_history();
    cloud.start_orchestrator();
    cloud.run_for(minutes{30});
    REQUIRE(cloud.orchestrator_runs());
    CHECK(cloud.store().state().read_only.has_value());
    CHECK(cloud.does(Cloud::create(Kind::flavor, "", R"({"name":"s","spec":{"cpus":1,"memory":"1GiB"}})"))
              .find("nothing can be changed") != std::string::npos);
    CHECK(cloud.machine().is_running(id));
    CHECK(cloud.machine().volumes.size() == volumes);
    CHECK(cloud.violation() == "");
}

TEST_CASE(
    "an older copy of the store turns read-only; after the loss is accepted, what it doesn't know is left alone") {
    Furnished cloud({.hosts = 1});
    REQUIRE(cloud.makes_vm("old") == "ok");
    REQUIRE(cloud.settles());
    const auto older = cloud.disk.tables;
    REQUIRE(cloud.makes_vm("new") == "ok");
    REQUIRE(cloud.settles());
    const VmId old_id{cloud.vm("old")->meta.id}, new_id{cloud.vm("new")->meta.id};
    cloud.crash_orchestrator();
    cloud.disk.tables = older;
    cloud.eyes->forget_history();
    cloud.start_orchestrator();
    cloud.run_for(minutes{10});
    CHECK(cloud.store().state().read_only.has_value());
    bool accepted = false;
    cloud.orchestrator().accept_loss(Cloud::admin(), [&](Result<StoreState> state) { accepted = state.has_value(); });
    REQUIRE(cloud.run_until([&] { return accepted; }));
    cloud.run_for(minutes{10});
    CHECK(!cloud.store().state().read_only);
    CHECK(cloud.vm("new") == nullptr);
    CHECK(cloud.machine().is_running(new_id));
    CHECK(cloud.machine().is_running(old_id));
    CHECK(cloud.acts("old", "stop") == "ok");
    CHECK(cloud.run_until([&] { return !cloud.machine().is_running(old_id); }));
    CHECK(cloud.machine().is_running(new_id));
    CHECK(cloud.violation() == "");
}

TEST_CASE("a backup that holds the witness too is found out by the first host that has seen more") {
    Furnished cloud({.hosts = 1});
    REQUIRE(cloud.makes_vm("old") == "ok");
    REQUIRE(cloud.settles());
    const MemoryDisk backup = cloud.copy_of_store();
    REQUIRE(cloud.makes_vm("new") == "ok");
    REQUIRE(cloud.settles());
    const VmId id{cloud.vm("new")->meta.id};
    cloud.partition(0, true);
    cloud.disk.witness = backup.witness;
    cloud.restore_store(backup);
    cloud.run_for(minutes{5});
    CHECK_FALSE(cloud.store().state().read_only);  // nothing on this machine tells that it is old
    cloud.partition(0, false);
    REQUIRE(cloud.run_until([&] { return cloud.store().state().read_only.has_value(); }, minutes{5}));
    CHECK(cloud.store().state().read_only->reason == "lost-tail");
    CHECK(cloud.does(Cloud::create(Kind::project, "", R"({"name":"p"})")).find("nothing can be changed") !=
          std::string::npos);
    CHECK(cloud.vm("old") != nullptr);
    cloud.run_for(minutes{10});
    CHECK(cloud.machine().is_running(id));
    REQUIRE(cloud.accepts_loss());
    cloud.run_for(minutes{10});
    CHECK(cloud.does(Cloud::create(Kind::project, "", R"({"name":"p"})")) == "ok");
    CHECK(cloud.unclaimed(DocumentKind::vm).size() == 1);
    CHECK(cloud.machine().is_running(id));
    CHECK(cloud.violation() == "");
}

TEST_CASE("a second copy of the orchestrator turns read-only when a host has seen the first, at whatever revision") {
    Furnished cloud({.hosts = 1});
    REQUIRE(cloud.makes_vm("web") == "ok");
    REQUIRE(cloud.settles());
    const VmId id{cloud.vm("web")->meta.id};
    cloud.crash_orchestrator();
    const MemoryDisk copy = cloud.copy_of_store();
    cloud.start_orchestrator();
    REQUIRE(cloud.does(Cloud::create(Kind::network, "default", R"({"name":"red"})")) == "ok");
    REQUIRE(cloud.acts("web", "stop") == "ok");  // the host takes something of this run
    REQUIRE(cloud.settles());
    const std::uint64_t incarnation = cloud.store().state().incarnation;
    const Revision seen = cloud.store().durable();
    cloud.partition(0, true);
    cloud.disk.witness = copy.witness;
    cloud.restore_store(copy);
    REQUIRE(cloud.store().state().incarnation == incarnation);
    for (int i = 0; cloud.store().durable() <= seen; ++i)  // it goes its own way, beyond what the host has seen
        REQUIRE(cloud.does(Cloud::create(Kind::project, "", fmt::format(R"({{"name":"p{}"}})", i))) == "ok");
    cloud.partition(0, false);
    REQUIRE(cloud.run_until([&] { return cloud.store().state().read_only.has_value(); }, minutes{5}));
    CHECK(cloud.store().state().read_only->reason == "other-run");
    CHECK(cloud.store().state().read_only->hint.find("accept-loss") != std::string::npos);
    CHECK_FALSE(cloud.machine().is_running(id));
    REQUIRE(cloud.accepts_loss());  // a person says that this copy is the one
    CHECK(cloud.settles());
    CHECK(cloud.violation() == "");
}

namespace {

// What is done and, in the end, whether it is so.
struct Deed {
    const char* name;
    void (*before)(Furnished&);
    Mutation (*deed)(Furnished&);
};

void with_vm(Furnished& cloud) {
    cloud.makes_vm("web");
    cloud.settles();
}
void with_deleted_vm(Furnished& cloud) {
    with_vm(cloud);
    cloud.deletes("web");
    cloud.settles();
}

const Deed kDeeds[] = {
    {"create", [](Furnished&) {},
     [](Furnished&) {
         return Cloud::create(Kind::vm, "default",
                              R"({"name":"web","spec":{"disks":{"root":{"image":"debian","size":"2GiB"}},)"
                              R"("nics":{"eth0":{"network":"blue"}}}})");
     }},
    {"stop", with_vm, [](Furnished&) { return Cloud::act(Kind::vm, "default", "web", "stop"); }},
    {"delete", with_vm, [](Furnished&) { return Cloud::remove(Kind::vm, "default", "web", true); }},
    {"restore", with_deleted_vm,
     [](Furnished& cloud) {
         Uuid id;
         for (const auto& [vm, object] : cloud.world().all(Kind::vm)) id = vm;
         return Cloud::act(Kind::vm, "default", id.str(), "restore");
     }},
};

// Kills something `at` events after the deed was asked. false: all was over before.
bool kill_at(const Deed& deed, int at, int whom) {
    Furnished cloud({.seed = 7, .hosts = 1});
    deed.before(cloud);
    Mutation mutation = deed.deed(cloud);
    mutation.idempotency_key = "once";
    mutation.body_hash = "b";
    cloud.ask(mutation);
    const std::int64_t began = cloud.time.now_ms();
    for (int i = 0; i < at; ++i) cloud.time.step();
    if (cloud.time.now_ms() - began > 20'000) return false;
    if (whom == 0) cloud.restart_orchestrator_in(milliseconds{10});
    if (whom == 1) cloud.crash_agent(0);
    if (whom == 2) cloud.power_cut(0, seconds{5});
    cloud.run_for(seconds{15});
    const Reply again = cloud.ask_and_wait(mutation);  // the client's retry: done once, whatever it heard
    const bool fine = again.result.has_value() || again.result.error().reason == "gone-since" ||
                      again.result.error().code == Code::not_found;
    CHECK(fine);
    CHECK(cloud.settles());
    CHECK(cloud.eyes->unsettled() == "");
    CHECK(cloud.world().all(Kind::vm).size() <= 1);
    CHECK(cloud.violation() == "");
    return true;
}

}  // namespace

TEST_CASE("whoever dies at whatever instant of a create, stop, delete or restore: it is done, once") {
    for (const Deed& deed : kDeeds) {
        for (const int whom : {0, 1, 2}) {
            for (int at = 1; at < 400; at += at < 60 ? 3 : 11) {
                CAPTURE(deed.name);
                CAPTURE(whom);
                CAPTURE(at);
                if (!kill_at(deed, at, whom)) break;
            }
        }
    }
}
