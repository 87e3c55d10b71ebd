// How much more fits, by hand and by placing one after the other.
#include "orchestrator/scheduler/fitting.hpp"

#include <doctest/doctest.h>

#include "common/base/units.hpp"

using namespace axle;

namespace {

const PoolId kPool{*Uuid::parse("0190aaaa-0000-7000-8000-000000000001")};

HostState host(const char* name, std::int64_t cpus, std::int64_t memory_gib) {
    HostState h{.name = name, .connected = true, .cpus_allocatable = cpus, .memory_allocatable = memory_gib * kGiB};
    h.pools[kPool] = {.name = "main", .ready = true, .size = 100 * kGiB, .free = 90 * kGiB};
    return h;
}
VmRequest request(const char* name, std::int64_t cpus, std::int64_t memory_gib, std::int64_t disk_gib) {
    VmRequest r{.name = name, .cpus = cpus, .memory = memory_gib * kGiB};
    r.volumes.push_back({.pool = kPool, .pool_name = "main", .size = disk_gib * kGiB});
    return r;
}

}  // namespace

TEST_CASE("as many fit as can be placed one after the other, and what ends it is named") {
    struct Row {
        const char* name;
        VmRequest request;
        std::int64_t count;
        const char* limit;
    };
    for (const Row& row : {Row{"CPUs end it", request("a", 2, 1, 1), 4, "needs 2 CPUs, 0 of 8"},
                           Row{"memory ends it", request("a", 1, 5, 1), 3, "needs 5 GiB of memory, 1 GiB of 16 GiB"},
                           Row{"disk ends it", request("a", 1, 1, 30), 3, "needs 30 GiB in pool main"},
                           Row{"not even one", request("a", 9, 1, 1), 0, "needs 9 CPUs, 8 of 8"}}) {
        CAPTURE(row.name);
        const HostState only = host("h1", 8, 16);
        const Fit fit = how_many_fit(row.request, {only}).front();
        CHECK(fit.count == row.count);
        CHECK(fit.limit.starts_with(row.limit));
        std::int64_t placed = 0;
        std::vector<HostState> alone = {only};
        for (const Refuge& r : refuges_of(std::vector<VmRequest>(20, row.request), alone))
            placed += r.host.empty() ? 0 : 1;
        CHECK(placed == row.count);
    }
}

TEST_CASE("hosts come with the most room first, and one that takes none tells why") {
    HostState cordoned = host("h3", 64, 64);
    cordoned.unschedulable = true;
    const auto fits = how_many_fit(request("a", 1, 1, 1), {host("h1", 2, 64), cordoned, host("h2", 8, 64)});
    REQUIRE(fits.size() == 3);
    CHECK(fits[0].host == "h2");
    CHECK(fits[1].host == "h1");
    CHECK(fits[2].count == 0);
    CHECK(fits[2].limit.find("cordoned") != std::string::npos);
}

TEST_CASE("a quantity that costs nothing ends at the bound") {
    CHECK(how_many_fit(request("a", 0, 0, 0), {host("h1", 1, 1)}).front().count == kFitMax);
}

TEST_CASE("guests of a lost host take the room of the others in their order, and the rest is named") {
    VmRequest large = request("large", 6, 1, 1), small = request("small", 2, 1, 1), late = request("late", 2, 1, 1);
    large.volumes[0].pinned = HostId{kPool};  // where it lay counts no more
    std::vector<HostState> others = {host("h1", 8, 16)};
    const auto refuges = refuges_of({large, small, late}, others);
    CHECK(others[0].cpus_claimed == 8);
    REQUIRE(refuges.size() == 3);
    CHECK(refuges[0].host == "h1");
    CHECK(refuges[1].host == "h1");
    CHECK(refuges[2].host.empty());
    CHECK(refuges[2].reason.find("needs 2 CPUs, 0 of 8") != std::string::npos);
}

TEST_CASE("guests of a lost host keep apart from each other where they go") {
    std::vector<HostState> hosts = {host("h2", 8, 16), host("h3", 8, 16)};
    hosts[0].id = HostId{*Uuid::parse("0190aaaa-0000-7000-8000-0000000000a2")};
    hosts[1].id = HostId{*Uuid::parse("0190aaaa-0000-7000-8000-0000000000a3")};
    const HostId lost{*Uuid::parse("0190aaaa-0000-7000-8000-0000000000a1")};
    std::vector<VmRequest> guests;
    for (int i = 1; i <= 3; ++i) {
        guests.push_back(request("web", 1, 1, 1));
        guests.back().id.bytes[15] = static_cast<std::uint8_t>(i);
    }
    for (VmRequest& guest : guests) {
        NeighbourRule rule{.name = "placement group web"};
        for (const VmRequest& other : guests) {
            if (other.id != guest.id) rule.neighbours.push_back({other.id, lost, {}});
        }
        rule.count();
        guest.rules = {rule};
    }
    const std::vector<Refuge> refuges = refuges_of(guests, hosts);
    REQUIRE(refuges.size() == 3);
    CHECK(refuges[0].host == "h2");
    CHECK(refuges[1].host == "h3");
    CHECK(refuges[2].host.empty());
    CHECK(refuges[2].reason.find("2 refused by affinity") != std::string::npos);
}
