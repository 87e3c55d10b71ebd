// Filters and scores row by row, and what a decision says.
#include "orchestrator/scheduler/scheduler.hpp"

#include <algorithm>
#include <set>

#include <doctest/doctest.h>

#include "common/base/units.hpp"

using namespace axle;

namespace {

const PoolId kPool{*Uuid::parse("0190aaaa-0000-7000-8000-000000000001")};
const Uuid kZone = *Uuid::parse("0190aaaa-0000-7000-8000-0000000000c1");

HostState host(const char* name) {
    HostState h{.name = name, .connected = true, .cpus_allocatable = 8, .memory_allocatable = 8 * kGiB};
    h.id = HostId{*Uuid::parse(name == std::string("h1") ? "0190aaaa-0000-7000-8000-0000000000a1"
                                                         : "0190aaaa-0000-7000-8000-0000000000a2")};
    h.pools[kPool] = {.name = "main", .ready = true, .size = 100 * kGiB, .free = 50 * kGiB};
    return h;
}
// VMs on h1 and h2: so many each.
NeighbourRule rule(Affinity policy, Domain over, int on_h1, int on_h2) {
    NeighbourRule out{.name = "affinity.db", .policy = policy, .over = over};
    for (int i = 0; i < on_h1 + on_h2; ++i) {
        const HostState at = host(i < on_h1 ? "h1" : "h2");
        out.neighbours.push_back({{}, at.id, kZone});
    }
    out.count();
    return out;
}
VmRequest request() {
    VmRequest r{.name = "web1", .cpus = 2, .memory = 2 * kGiB};
    r.volumes.push_back({.pool = kPool, .pool_name = "main", .size = 10 * kGiB});
    return r;
}

}  // namespace

TEST_CASE("each filter lets through what fits and refuses with numbers what doesn't") {
    struct Row {
        const char* name;
        void (*spoil)(VmRequest&, HostState&);
        const char* filter;  // "" fits
        const char* reason;
    };
    for (const Row& row : {
             Row{"all fits", [](VmRequest&, HostState&) {}, "", ""},
             Row{"exact memory", [](VmRequest&, HostState& h) { h.memory_claimed = 6 * kGiB; }, "", ""},
             Row{"one byte short", [](VmRequest&, HostState& h) { h.memory_claimed = 6 * kGiB + 1; }, "memory",
                 "needs 2 GiB of memory"},
             Row{"one CPU short", [](VmRequest&, HostState& h) { h.cpus_claimed = 7; }, "cpus", "needs 2 CPUs, 1 of 8"},
             Row{"not connected", [](VmRequest&, HostState& h) { h.connected = false; }, "state", "not connected"},
             Row{"cordoned", [](VmRequest&, HostState& h) { h.unschedulable = true; }, "state", "uncordon h1"},
             Row{"no kvm", [](VmRequest& r, HostState&) { r.accelerator = WantedAccelerator::kvm; }, "accelerator",
                 "no kvm"},
             Row{"qemu wanted, kvm there",
                 [](VmRequest& r, HostState& h) {
                     r.accelerator = WantedAccelerator::qemu;
                     h.accelerator = Accelerator::kvm;
                 },
                 "", ""},
             Row{"a guest made with kvm", [](VmRequest& r, HostState&) { r.guest = GuestRequest{Accelerator::kvm, "", ""}; },
                 "guest", "no kvm"},
             Row{"a machine type of an older QEMU",
                 [](VmRequest& r, HostState& h) {
                     r.guest = GuestRequest{.machine = "pc-q35-7.2"};
                     h.guest_machine = "pc-q35-10.0";
                 },
                 "", ""},
             Row{"a machine type of a newer QEMU",
                 [](VmRequest& r, HostState& h) {
                     r.guest = GuestRequest{.machine = "pc-q35-9.1"};
                     h.guest_machine = "pc-q35-7.2";
                 },
                 "guest", "is pc-q35-9.1, the host knows none newer than pc-q35-7.2"},
             Row{"another CPU model",
                 [](VmRequest& r, HostState& h) {
                     r.guest = GuestRequest{.accelerator = Accelerator::kvm, .cpu_model = "EPYC"};
                     h.accelerator = Accelerator::kvm;
                     h.guest_cpu_model = "Skylake-Server";
                 },
                 "guest", "CPU model is EPYC, the host gives Skylake-Server"},
             Row{"any CPU model where the guest is emulated",
                 [](VmRequest& r, HostState&) { r.guest = GuestRequest{.cpu_model = "EPYC"}; }, "", ""},
             Row{"no room for the bytes that are copied",
                 [](VmRequest& r, HostState& h) {
                     r.volumes[0].copied = 49 * kGiB;
                     h.disk_reserve = 2 * kGiB;
                 },
                 "pools", "49 GiB are to be copied into pool main, it has 50 GiB free"},
             Row{"label missing", [](VmRequest& r, HostState&) { r.host_selector["ssd"] = "yes"; }, "labels",
                 "no label ssd"},
             Row{"label differs",
                 [](VmRequest& r, HostState& h) {
                     r.host_selector["ssd"] = "yes";
                     h.labels["ssd"] = "no";
                 },
                 "labels", "ssd=no"},
             Row{"label right",
                 [](VmRequest& r, HostState& h) {
                     r.host_selector["ssd"] = "yes";
                     h.labels["ssd"] = "yes";
                 },
                 "", ""},
             Row{"no pool", [](VmRequest&, HostState& h) { h.pools.clear(); }, "pools", "has no pool main"},
             Row{"pool not mounted",
                 [](VmRequest&, HostState& h) {
                     h.pools[kPool].ready = false;
                     h.pools[kPool].why = "not mounted";
                 },
                 "pools", "not mounted"},
             Row{"pool claimed", [](VmRequest&, HostState& h) { h.pools[kPool].claimed = 91 * kGiB; }, "pools",
                 "needs 10 GiB in pool main, 91 GiB of 100 GiB"},
             Row{"claimed beyond the pool, as overcommit allows",
                 [](VmRequest&, HostState& h) {
                     h.disk_overcommit = 2;
                     h.pools[kPool].claimed = 190 * kGiB;
                 },
                 "", ""},
             Row{"claimed beyond overcommit",
                 [](VmRequest&, HostState& h) {
                     h.disk_overcommit = 2;
                     h.pools[kPool].claimed = 191 * kGiB;
                 },
                 "pools", "needs 10 GiB in pool main, 191 GiB of 200 GiB allocatable are claimed"},
             Row{"less than the pool is allocatable",
                 [](VmRequest&, HostState& h) {
                     h.disk_overcommit = 0.5;
                     h.pools[kPool].claimed = 41 * kGiB;
                 },
                 "pools", "needs 10 GiB in pool main, 41 GiB of 50 GiB allocatable are claimed"},
             Row{"overcommit takes no free space for granted",
                 [](VmRequest&, HostState& h) {
                     h.disk_overcommit = 2;
                     h.pools[kPool].free = kGiB;
                     h.disk_reserve = 2 * kGiB;
                 },
                 "pools", "has 1 GiB free on disk, the reserve is 2 GiB"},
             Row{"below reserve", [](VmRequest&, HostState& h) { h.disk_reserve = 60 * kGiB; }, "pools",
                 "50 GiB free on disk, the reserve is 60 GiB"},
             Row{"pinned elsewhere",
                 [](VmRequest& r, HostState&) {
                     r.volumes[0].pinned = host("h2").id;
                     r.volumes[0].pinned_name = "h2";
                 },
                 "pools", "lies on host h2"},
             Row{"pinned here needs no room",
                 [](VmRequest& r, HostState& h) {
                     r.volumes[0].pinned = h.id;
                     h.pools[kPool].claimed = 100 * kGiB;
                 },
                 "", ""},
             Row{"bridge missing", [](VmRequest& r, HostState&) { r.bridges = {"br0"}; }, "networks",
                 "no bridge br0; it has none"},
             Row{"feature missing", [](VmRequest& r, HostState&) { r.features = {"tpm"}; }, "features", "upgrade"},
             Row{"apart from nobody here",
                 [](VmRequest& r, HostState&) { r.rules = {rule(Affinity::apart, Domain::host, 0, 3)}; }, "", ""},
             Row{"apart from two that are here",
                 [](VmRequest& r, HostState&) { r.rules = {rule(Affinity::apart, Domain::host, 2, 0)}; }, "affinity",
                 "host h1 has 2 VMs that affinity.db keeps apart"},
             Row{"apart by zones, with no zone",
                 [](VmRequest& r, HostState&) { r.rules = {rule(Affinity::apart, Domain::zone, 0, 1)}; }, "affinity",
                 "is in no zone, affinity.db goes by zones: axle host set h1 zone=NAME"},
             Row{"apart by zones, in the same zone",
                 [](VmRequest& r, HostState& h) {
                     r.rules = {rule(Affinity::apart, Domain::zone, 0, 1)};
                     h.zone = kZone;
                     h.zone_name = "a";
                 },
                 "affinity", "zone a has 1 VM that affinity.db keeps apart"},
             Row{"together with one that is here",
                 [](VmRequest& r, HostState&) { r.rules = {rule(Affinity::together, Domain::host, 1, 1)}; }, "", ""},
             Row{"together with those that are elsewhere",
                 [](VmRequest& r, HostState&) { r.rules = {rule(Affinity::together, Domain::host, 0, 2)}; }, "affinity",
                 "host h1 has none of the 2 VMs that affinity.db wants to be with"},
             Row{"together with whom nobody has seen",
                 [](VmRequest& r, HostState&) { r.rules = {rule(Affinity::together, Domain::host, 0, 0)}; }, "affinity",
                 "affinity.db wants to be where no VM is yet"},
             Row{"the first of those that are together",
                 [](VmRequest& r, HostState&) {
                     r.rules = {rule(Affinity::together, Domain::host, 0, 0)};
                     r.rules[0].may_be_first = true;
                 },
                 "", ""},
             Row{"a wish refuses nothing",
                 [](VmRequest& r, HostState&) {
                     r.rules = {rule(Affinity::apart, Domain::host, 2, 0)};
                     r.rules[0].required = false;
                 },
                 "", ""},
         }) {
        CAPTURE(row.name);
        VmRequest r = request();
        HostState h = host("h1");
        row.spoil(r, h);
        const Decision d = decide(r, {h});
        REQUIRE(d.candidates.size() == 1);
        CHECK(d.candidates[0].filter == row.filter);
        CHECK(d.candidates[0].reason.find(row.reason) != std::string::npos);
        CHECK(d.host.empty() == (*row.filter != 0));
    }
}

TEST_CASE("the emptier host wins, equals go by name, and the order of hosts doesn't matter") {
    HostState a = host("h1"), b = host("h2");
    CHECK(decide(request(), {b, a}).host == "h1");
    a.memory_claimed = 4 * kGiB;
    CHECK(decide(request(), {a, b}).host == "h2");
}

TEST_CASE("an image at hand counts by what its copy costs: load decides where that is little") {
    HostState a = host("h1"), b = host("h2");
    b.images = {"d"};
    VmRequest r = request();
    r.volumes[0].image_digest = "d";
    r.volumes[0].image_size = 500 * kMiB;
    CHECK(decide(r, {a, b}).host == "h2");  // all else is equal
    b.cpus_claimed = 1;                     // of 8
    const Decision small = decide(r, {a, b});
    CHECK(small.host == "h1");
    CHECK(small.candidates[0].scores.at("image-at-hand") == 0);
    CHECK(small.candidates[1].scores.at("image-at-hand") == doctest::Approx(0.0488).epsilon(0.01));
    r.volumes[0].image_size = 12 * kGiB;
    const Decision large = decide(r, {a, b});
    CHECK(large.host == "h2");
    CHECK(large.candidates[1].scores.at("image-at-hand") == 1);
    b.cpus_claimed = 6;
    b.memory_claimed = 4 * kGiB;
    CHECK(decide(r, {a, b}).host == "h1");
    // Two disks of one image: it is fetched once.
    r.volumes.push_back(r.volumes[0]);
    r.volumes[0].image_size = r.volumes[1].image_size = 1 * kGiB;
    CHECK(decide(r, {a, b}).candidates[1].scores.at("image-at-hand") == doctest::Approx(0.1));
}

TEST_CASE("VMs of a small image spread over hosts though one has it") {
    std::vector<HostState> hosts = {host("h1"), host("h2"), host("h3")};
    hosts[0].images = {"d"};
    VmRequest r = request();
    r.cpus = 1;
    r.memory = kGiB;
    r.volumes[0].image_digest = "d";
    r.volumes[0].image_size = 400 * kMiB;
    std::set<std::string> used;
    for (int i = 0; i < 3; ++i) {
        const Decision d = decide(r, hosts);
        used.insert(d.host);
        HostState& taken = *std::ranges::find(hosts, d.host, &HostState::name);
        taken.cpus_claimed += r.cpus;
        taken.memory_claimed += r.memory;
        taken.images = {"d"};
    }
    CHECK(used.size() == 3);
}

TEST_CASE("a VM that asks for a host by name goes there or is told that host's reason") {
    HostState a = host("h1"), b = host("h2"), c = host("h3");
    VmRequest r = request();
    b.memory_claimed = 4 * kGiB;
    r.host_selector[kHostNameLabel] = "h2";
    CHECK(decide(r, {a, b, c}).host == "h2");
    CHECK(decide(r, {a, b, c}).candidates[0].reason == "is not host h2, which the VM asks for by name");
    b.memory_claimed = 8 * kGiB;
    CHECK(decide(r, {a, b, c}).summary ==
          "web1 asks for host h2: needs 2 GiB of memory, 0 B of 8 GiB allocatable are free");
    b.connected = false;
    CHECK(decide(r, {a, b, c}).summary == "web1 asks for host h2: its agent is not connected");
    r.host_selector[kHostNameLabel] = "h9";
    CHECK(decide(r, {a, c}).summary ==
          "no host of 2 for web1: 2 refused by labels (e.g. h1: is not host h9, which the VM asks for by name)");
    r.host_selector = {{kHostNameLabel, "h1"}, {"ssd", "yes"}};
    CHECK(decide(r, {a, b, c}).summary == "web1 asks for host h1: has no label ssd, ssd=yes is wanted");
}

TEST_CASE("a wish to be apart or together outweighs all room, and without one no score speaks of it") {
    HostState a = host("h1"), b = host("h2");
    b.memory_claimed = 6 * kGiB;
    b.cpus_claimed = 6;
    b.pools[kPool].free = 20 * kGiB;
    VmRequest r = request();
    CHECK(decide(r, {a, b}).host == "h1");
    CHECK_FALSE(decide(r, {a, b}).candidates[0].scores.contains("affinity"));
    for (const Affinity policy : {Affinity::apart, Affinity::together}) {
        const bool apart = policy == Affinity::apart;
        r.rules = {rule(policy, Domain::host, apart ? 1 : 0, apart ? 0 : 1)};
        r.rules[0].required = false;
        CHECK(decide(r, {a, b}).host == "h2");
        CHECK(decide(r, {a, b}).candidates[1].scores.at("affinity") == 1);
    }
    r.rules = {rule(Affinity::apart, Domain::host, 1, 2)};
    r.rules[0].required = false;
    CHECK(decide(r, {a, b}).host == "h1");
}

TEST_CASE("packed, the fullest host that it fits on wins, and the scores are named so") {
    HostState a = host("h1"), b = host("h2");
    a.memory_claimed = 2 * kGiB;
    VmRequest r = request();
    CHECK(decide(r, {a, b}).host == "h2");
    r.strategy = Strategy::pack;
    const Decision packed = decide(r, {a, b});
    CHECK(packed.host == "h1");
    CHECK(packed.candidates[0].scores.at("full-memory") == doctest::Approx(0.5));
    a.memory_claimed = 7 * kGiB;
    CHECK(decide(r, {a, b}).host == "h2");
}

TEST_CASE("no capacity is told with the count of each filter and an example") {
    HostState a = host("h1"), b = host("h2");
    a.memory_claimed = 8 * kGiB;
    b.connected = false;
    const Decision d = decide(request(), {a, b});
    CHECK(d.host.empty());
    CHECK(d.summary.find("1 refused by memory (e.g. h1: needs 2 GiB of memory, 0 B of 8 GiB") != std::string::npos);
    CHECK(d.summary.find("1 refused by state") != std::string::npos);
    CHECK(decide(request(), {}).summary.find("no hosts yet") != std::string::npos);
}

TEST_CASE("a host that has only become fuller takes nobody who waits, any other change may") {
    struct Row {
        const char* name;
        void (*change)(HostState&);
        bool may;
    };
    for (const Row& row : {Row{"nothing", [](HostState&) {}, false},
                           Row{"more is claimed",
                               [](HostState& h) {
                                   h.cpus_claimed = 5;
                                   h.memory_claimed = 2 * kGiB;
                                   h.pools[kPool].claimed = 3 * kGiB;
                                   h.pools[kPool].free -= kGiB;
                                   h.images = {"d"};
                               },
                               false},
                           Row{"CPUs are given back", [](HostState& h) { h.cpus_claimed = 3; }, true},
                           Row{"memory is given back", [](HostState& h) { h.memory_claimed = 0; }, true},
                           Row{"a disk is gone", [](HostState& h) { h.pools[kPool].claimed = 0; }, true},
                           Row{"space became free", [](HostState& h) { h.pools[kPool].free += 1; }, true},
                           Row{"another pool", [](HostState& h) { h.pools[PoolId{kZone}] = {}; }, true},
                           Row{"no pool", [](HostState& h) { h.pools.clear(); }, true},
                           Row{"a label", [](HostState& h) { h.labels["a"] = "b"; }, true},
                           Row{"a zone", [](HostState& h) { h.zone = kZone; }, true},
                           Row{"uncordoned", [](HostState& h) { h.unschedulable = false; }, true}}) {
        CAPTURE(row.name);
        HostState before = host("h1");
        before.unschedulable = true;
        before.cpus_claimed = 4;
        before.memory_claimed = kGiB;
        before.pools[kPool].claimed = kGiB;
        HostState now = before;
        row.change(now);
        CHECK(may_take_more(before, now) == row.may);
    }
}
