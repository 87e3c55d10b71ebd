#include "orchestrator/scheduler/fitting.hpp"

#include <algorithm>
#include <set>

#include "orchestrator/scheduler/chain.hpp"

namespace axle {
namespace {

void claim(HostState& host, const VmRequest& request, std::int64_t count) {
    host.cpus_claimed += count * request.cpus;
    host.memory_claimed += count * request.memory;
    for (const VolumeRequest& volume : request.volumes) {
        if (const auto pool = host.pools.find(volume.pool); pool != host.pools.end())
            pool->second.claimed += count * volume.size;
    }
}

// Why one more would not fit beside `count` of them; empty: it would.
std::string refused_after(const VmRequest& request, HostState host, std::int64_t count) {
    claim(host, request, count);
    auto refusal = refusal_of(request, host);
    return refusal ? std::move(refusal->reason) : "";
}

Fit fit_on(const VmRequest& request, const HostState& host) {
    std::int64_t fits = 0, too_many = kFitMax + 1;  // `fits` of them fit, `too_many` don't
    while (too_many - fits > 1) {
        const std::int64_t middle = fits + (too_many - fits) / 2;
        (refused_after(request, host, middle - 1).empty() ? fits : too_many) = middle;
    }
    return {host.name, fits, refused_after(request, host, fits)};
}

// Those on a host that isn't there any more stand nowhere.
void forget_neighbours_elsewhere(std::vector<VmRequest>& guests, const std::vector<HostState>& hosts) {
    std::set<Uuid> known;
    for (const HostState& host : hosts) known.insert(host.id);
    for (VmRequest& guest : guests) {
        for (NeighbourRule& rule : guest.rules) {
            std::erase_if(rule.neighbours, [&](const Neighbour& n) { return !known.contains(n.host); });
            rule.count();
        }
    }
}

// A rule of one of the guests, and whom it is about, also while they have no place.
struct RuleAbout {
    NeighbourRule* rule;
    std::set<Uuid> vms;
};
std::vector<RuleAbout> rules_of(std::vector<VmRequest>& guests) {
    std::vector<RuleAbout> out;
    for (VmRequest& guest : guests) {
        for (NeighbourRule& rule : guest.rules) {
            out.push_back({&rule, {}});
            for (const Neighbour& n : rule.neighbours) out.back().vms.insert(n.vm);
        }
    }
    return out;
}

void note_place(std::vector<RuleAbout>& rules, const Uuid& vm, const HostState& host) {
    for (RuleAbout& about : rules) {
        if (!about.vms.contains(vm)) continue;
        about.rule->neighbours.push_back({vm, host.id, host.zone});
        about.rule->count();
    }
}

}  // namespace

std::vector<Fit> how_many_fit(const VmRequest& request, const std::vector<HostState>& hosts) {
    std::vector<Fit> out;
    out.reserve(hosts.size());
    for (const HostState& host : hosts) out.push_back(fit_on(request, host));
    std::ranges::stable_sort(out, [](const Fit& a, const Fit& b) { return a.count > b.count; });
    return out;
}

std::vector<Refuge> refuges_of(std::vector<VmRequest> guests, std::vector<HostState>& hosts) {
    std::vector<Refuge> out;
    std::vector<RuleAbout> rules = rules_of(guests);  // before those who lose their place are taken out of them
    forget_neighbours_elsewhere(guests, hosts);
    for (VmRequest& guest : guests) {
        for (VolumeRequest& volume : guest.volumes) volume.pinned = {};
        const Decision decision = decide(guest, hosts);
        out.push_back({guest.name, decision.host, decision.host.empty() ? decision.summary : ""});
        const auto taken = std::ranges::find(hosts, decision.host, &HostState::name);
        if (taken == hosts.end()) continue;
        claim(*taken, guest, 1);
        note_place(rules, guest.id, *taken);
    }
    return out;
}

}  // namespace axle
