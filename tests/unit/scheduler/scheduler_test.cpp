// Filters and scores row by row, and what a decision says.
#include "orchestrator/scheduler/scheduler.hpp"

#include <doctest/doctest.h>

#include "common/base/units.hpp"

using namespace axle;

namespace {

const PoolId kPool{*Uuid::parse("0190aaaa-0000-7000-8000-000000000001")};

HostState host(const char* name) {
    HostState h{.name = name, .connected = true, .cpus_allocatable = 8, .memory_allocatable = 8 * kGiB};
    h.id = HostId{*Uuid::parse(name == std::string("h1") ? "0190aaaa-0000-7000-8000-0000000000a1"
                                                         : "0190aaaa-0000-7000-8000-0000000000a2")};
    h.pools[kPool] = {.name = "main", .ready = true, .size = 100 * kGiB, .free = 50 * kGiB};
    return h;
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
    b.images = {};
    VmRequest r = request();
    r.volumes[0].image_digest = "d";
    a.memory_claimed = 0;
    b.images = {"d"};
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
