// Whatever people ask for, with each call to a host, each write of an agent and each sync of the orchestrator going
// wrong once: it is done or refused with nothing half done, all comes to rest, and nothing is left.
#include <cstdio>
#include <iterator>

#include "tests/sim/cloud/fixture.hpp"
#include "tests/support/cloud/history.hpp"
#include "tests/support/walk.hpp"

using namespace axle;
using namespace axle::test;
using std::chrono::minutes;

namespace {

struct Used : Furnished {
    explicit Used(int count) : Furnished({.hosts = count}) {}
    void has_vm(const std::string& more = "") {
        REQUIRE(makes_vm("web", more) == "ok");
        REQUIRE(settles());
    }
    void has_disk() {
        has_vm();
        REQUIRE(acts("web", "attach", R"({"disk":"data","size":"1GiB"})") == "ok");
        REQUIRE(settles());
    }
    void patches(const std::string& merge) { ask(patch(Kind::vm, "default", "web", merge)); }
    void orders(const std::string& action, const std::string& arguments = "") {
        ask(act(Kind::vm, "default", "web", action, arguments));
    }
};

struct Operation {
    const char* name;
    void (*prepare)(Used&);
    void (*act)(Used&);
    int hosts = 1;
};

void with_vm(Used& cloud) {
    cloud.has_vm();
}
void with_stopped_vm(Used& cloud) {
    cloud.has_vm(R"(,"power":"stopped")");
}
void with_disk(Used& cloud) {
    cloud.has_disk();
}

const Operation kOperations[] = {
    {"a VM is made", [](Used&) {},
     [](Used& c) {
         c.ask(Cloud::create(Kind::vm, "default",
                             R"({"name":"web","spec":{"disks":{"root":{"image":"debian","size":"2GiB"},)"
                             R"("data":{"size":"1GiB"}},"nics":{"eth0":{"network":"blue"}}}})"));
     }},
    {"start", with_stopped_vm, [](Used& c) { c.orders("start"); }},
    {"stop", with_vm, [](Used& c) { c.orders("stop"); }},
    {"forced stop", with_vm, [](Used& c) { c.orders("stop", R"({"force":true})"); }},
    {"pause", with_vm, [](Used& c) { c.orders("pause"); }},
    {"resume",
     [](Used& c) {
         c.has_vm();
         REQUIRE(c.acts("web", "pause") == "ok");
         REQUIRE(c.settles());
     },
     [](Used& c) { c.orders("resume"); }},
    {"reboot", with_vm, [](Used& c) { c.orders("reboot"); }},
    {"reset", with_vm, [](Used& c) { c.orders("reset"); }},
    {"a disk is attached", with_vm, [](Used& c) { c.orders("attach", R"({"disk":"data","size":"1GiB"})"); }},
    {"a disk is detached", with_disk, [](Used& c) { c.orders("detach", R"({"disk":"data"})"); }},
    {"a disk grows", with_disk, [](Used& c) { c.patches(R"({"spec":{"disks":{"data":{"size":"3GiB"}}}})"); }},
    {"a NIC more", with_vm, [](Used& c) { c.patches(R"({"spec":{"nics":{"eth1":{"network":"blue"}}}})"); }},
    {"a NIC less",
     [](Used& c) {
         c.has_vm();
         REQUIRE(c.does(Cloud::patch(Kind::vm, "default", "web", R"({"spec":{"nics":{"eth1":{"network":"blue"}}}})")) ==
                 "ok");
         REQUIRE(c.settles());
     },
     [](Used& c) { c.patches(R"({"spec":{"nics":{"eth1":null}}})"); }},
    {"delete", with_vm, [](Used& c) { c.ask(Cloud::remove(Kind::vm, "default", "web")); }},
    {"delete for good", with_disk, [](Used& c) { c.ask(Cloud::remove(Kind::vm, "default", "web", true)); }},
    {"restore", [](Used& c) { c.makes_and_deletes("web"); },
     [](Used& c) {
         for (const auto& [id, vm] : c.world().all(Kind::vm))
             return c.ask(Cloud::act(Kind::vm, "default", id.str(), "restore"));
     }},
    {"a network goes",
     [](Used& c) {
         REQUIRE(c.does(Cloud::create(Kind::network, "default", R"({"name":"red"})")) == "ok");
         REQUIRE(c.does(Cloud::create(Kind::vm, "default",
                                      R"({"name":"web","spec":{"disks":{"root":{"size":"1GiB"}},)"
                                      R"("nics":{"eth0":{"network":"red"}}}})")) == "ok");
         REQUIRE(c.settles());
         REQUIRE(c.does(Cloud::remove(Kind::vm, "default", "web", true)) == "ok");
         REQUIRE(c.expunges());
     },
     [](Used& c) { c.ask(Cloud::remove(Kind::network, "default", "red")); }},
    {"a port is forwarded", with_vm,
     [](Used& c) {
         c.ask(Cloud::create(Kind::portforward, "default",
                             R"({"name":"http","spec":{"vm":"web","hostPort":8080,"guestPort":80}})"));
     }},
    {"an image goes",
     [](Used& c) {
         c.has_vm();
         REQUIRE(c.does(Cloud::remove(Kind::vm, "default", "web", true)) == "ok");
         REQUIRE(c.expunges());
     },
     [](Used& c) { c.ask(Cloud::remove(Kind::image, "default", "debian", true)); }},
    {"a file of nobody's is adopted",
     [](Used& c) {
         c.bring_stray(0, VolumeId{*Uuid::parse("01890000-0000-7000-9000-000000000001")});
         c.run_for(minutes{2});
     },
     [](Used& c) { c.ask(Cloud::adopt("h0", *Uuid::parse("01890000-0000-7000-9000-000000000001"), "found")); }},
    {"a file of nobody's is removed",
     [](Used& c) {
         c.bring_stray(0, VolumeId{*Uuid::parse("01890000-0000-7000-9000-000000000001")});
         c.run_for(minutes{2});
     },
     [](Used& c) { c.ask(Cloud::remove_unclaimed("h0", *Uuid::parse("01890000-0000-7000-9000-000000000001"))); }},
    {"a guest moves live", with_vm, [](Used& c) { c.orders("migrate", "{}"); }, 2},
    {"a guest moves cold", with_vm, [](Used& c) { c.orders("migrate", R"({"cold":true})"); }, 2},
    {"a guest that is off moves", with_stopped_vm, [](Used& c) { c.orders("migrate", "{}"); }, 2},
    {"a host is drained", with_vm,
     [](Used& c) { c.ask(Cloud::act(Kind::host, "", c.vm("web")->status.placement->host.name, "drain")); }, 2},
};

// Where something goes wrong, and how often there is occasion for it in an operation that succeeds.
struct Place {
    const char* name;
    std::size_t host;  // of calls and writes
    int& (*countdown)(Used&, std::size_t);
    OneFault how;
};
int& calls(Used& cloud, std::size_t host) {
    return cloud.machine(host).one.call;
}
int& writes(Used& cloud, std::size_t host) {
    return cloud.machine(host).one.write;
}
int& syncs(Used& cloud, std::size_t) {
    return cloud.disk.syncs_left;
}
const Place kPlaces[] = {
    {"a call fails", 0, calls, {}},
    {"a call reports failure", 0, calls, {.lies = true}},
    {"a write finds no room", 0, writes, {}},
    {"a write's sync fails", 0, writes, {.ends = true}},
    {"a call of the other host fails", 1, calls, {}},
    {"a call of the other host reports failure", 1, calls, {.lies = true}},
    {"a write of the other host finds no room", 1, writes, {}},
    {"the sync of a write of the other host fails", 1, writes, {.ends = true}},
    {"a sync of the orchestrator fails", 0, syncs, {}},
};

// false: the operation came to rest without so many occasions, so nothing went wrong.
bool goes_well(const Operation& operation, const Place& place, int n) {
    const std::string what = operation.name, where = place.name;
    CAPTURE(what);
    CAPTURE(where);
    CAPTURE(n);
    Used cloud(operation.hosts);
    operation.prepare(cloud);
    cloud.machine(place.host).one = place.how;
    int& left = place.countdown(cloud, place.host);
    left = n;
    operation.act(cloud);
    cloud.run_for(seconds{1});
    const bool rests = cloud.settles(minutes{30});
    const bool struck = left == 0;
    CHECK_MESSAGE(rests, cloud.eyes->unsettled());
    CHECK(cloud.violation() == "");
    cloud.stop_faults();
    CHECK(clear_away(cloud) == "");
    return struck;
}

}  // namespace

TEST_CASE(
    "whatever is asked for, with any one call, write or sync going wrong, all comes to rest and nothing is left") {
    const Walk walk = walk_of_this_run();
    int tried = 0;
    for (const Operation& operation : kOperations) {
        for (const Place& place : kPlaces) {
            if (place.host >= static_cast<std::size_t>(operation.hosts)) continue;
            int n = walk.first;
            for (; n < 200 && goes_well(operation, place, n); n += walk.every) ++tried;
            CHECK(n < 200);
        }
    }
    std::printf("one by one: %d operations, %d faults: %d, and every %d from there\n",
                static_cast<int>(std::size(kOperations)), tried, walk.first, walk.every);
    CHECK(tried * walk.every > 500);
}
