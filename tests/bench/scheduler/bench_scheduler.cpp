// Placement over large fleets: the time of one decision with its explanation, and of taking note of one changed host.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "common/base/units.hpp"
#include "orchestrator/scheduler/host_table.hpp"
#include "tests/support/seeded_random.hpp"

namespace axle {
namespace {

using Clock = std::chrono::steady_clock;

double us_since(Clock::time_point start) {
    return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

double at_share(std::vector<double>& times, double share) {
    std::ranges::sort(times);
    return times[std::min(times.size() - 1, static_cast<std::size_t>(share * static_cast<double>(times.size())))];
}

void run(int hosts) {
    constexpr int kPlacements = 20'000;
    const PoolId pool{*Uuid::parse("0190aaaa-0000-7000-8000-000000000001")};
    test::SeededRandom random(7);
    HostTable table;
    std::vector<HostState> all;
    for (int i = 0; i < hosts; ++i) {
        HostState h{.name = fmt::format("h{:06}", i),
                    .connected = true,
                    .cpus_allocatable = 256,
                    .cpus_claimed = random.between(0, 128),
                    .memory_allocatable = 1024 * kGiB,
                    .memory_claimed = random.between(0, 512) * kGiB};
        for (int b = 0; b < 4; ++b)
            h.id.bytes[static_cast<std::size_t>(15 - b)] = static_cast<std::uint8_t>(i >> (8 * b));
        h.labels = {{"rack", fmt::format("r{}", i % 50)}};
        h.zone.bytes[0] = static_cast<std::uint8_t>(1 + i % 3);
        h.zone_name = fmt::format("z{}", i % 3);
        h.pools[pool] = {.name = "main", .ready = true, .size = 100 * kTiB, .free = 80 * kTiB};
        all.push_back(h);
        table.put(std::move(h));
    }
    VmRequest request{.name = "web1", .cpus = 2, .memory = 4 * kGiB};
    request.volumes.push_back({.pool = pool, .pool_name = "main", .size = 10 * kGiB});
    // Ten that are kept apart by hosts and would like to be in one zone.
    VmRequest near = request;
    for (const auto& [policy, over] : {std::pair(Affinity::apart, Domain::host), {Affinity::together, Domain::zone}}) {
        NeighbourRule rule{.name = "group", .policy = policy, .over = over, .required = over == Domain::host};
        for (int i = 0; i < 9; ++i) {
            const HostState& at = all[static_cast<std::size_t>(random.between(0, hosts - 1))];
            rule.neighbours.push_back({{}, at.id, at.zone});
        }
        rule.count();
        near.rules.push_back(std::move(rule));
    }
    std::vector<double> decisions, affinities, changes, plain;
    for (int i = 0; i < kPlacements; ++i) {
        const auto begin = Clock::now();
        const Decision decision = table.decide(request);
        decisions.push_back(us_since(begin));
        HostState& taken = all[static_cast<std::size_t>(std::atoi(decision.host.c_str() + 1))];
        taken.cpus_claimed += request.cpus;
        taken.memory_claimed += request.memory;
        const auto again = Clock::now();
        (void)table.decide(near);
        affinities.push_back(us_since(again));
        const auto change = Clock::now();
        table.put(taken);
        changes.push_back(us_since(change));
        if (i % 1000 != 0) continue;
        const auto slow = Clock::now();
        (void)decide(request, all);
        plain.push_back(us_since(slow));
    }
    std::printf(
        "figure: placement-%d-p50 %.2f us\nfigure: placement-%d-p99 %.2f us\nfigure: placement-%d-affinity-p50 %.2f "
        "us\n"
        "figure: placement-%d-affinity-p99 %.2f us\nfigure: placement-%d-change-p50 %.2f us\n"
        "figure: placement-%d-every-host-p50 %.0f us\n",
        hosts, at_share(decisions, 0.5), hosts, at_share(decisions, 0.99), hosts, at_share(affinities, 0.5), hosts,
        at_share(affinities, 0.99), hosts, at_share(changes, 0.5), hosts, at_share(plain, 0.5));
}

}  // namespace
}  // namespace axle

int main() {
    for (const int hosts : {50, 1'000, 10'000, 100'000}) axle::run(hosts);
}
