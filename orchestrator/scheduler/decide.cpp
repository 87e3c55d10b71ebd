// Every filter in turn, then the weighted sum of the scores.
#include <algorithm>

#include "orchestrator/scheduler/chain.hpp"

namespace axle {
namespace {

// Of a VM that asks for one host by name, that host's reason is the one that matters.
std::string refusal(const VmRequest& request, const std::vector<Candidate>& candidates, const Refusals& refusals,
                    std::size_t hosts) {
    const std::string named = named_host(request);
    const auto there = std::ranges::find(candidates, named, &Candidate::host);
    if (!named.empty() && there != candidates.end())
        return fmt::format("{} asks for host {}: {}", request.name, named, there->reason);
    if (hosts == 0) return fmt::format("no host for {}: there are no hosts yet", request.name);
    if (refusals.empty()) return fmt::format("no host for {}: the host that its disks lie on is gone", request.name);
    if (hosts == 1) {
        const Refused& only = refusals.begin()->second;
        return fmt::format("no host for {}: {}: {}", request.name, only.host, only.reason);
    }
    std::string text = fmt::format("no host of {} for {}:", hosts, request.name);
    for (const auto& [filter, seen] : refusals)
        text += fmt::format(" {} refused by {} (e.g. {}: {});", seen.count, filter, seen.host, seen.reason);
    text.pop_back();
    return text;
}

// Those that have something to say, turned round where VMs are packed.
template <typename Call>
void each_score(const VmRequest& request, const HostState& host, Call&& call) {
    for (const NamedScore& score : kScores) {
        const auto value = score.of(request, host);
        if (!value) continue;
        const bool packed = score.packed != nullptr && request.strategy == Strategy::pack;
        call(packed ? score.packed : score.name, packed ? 1 - *value : *value, score.weight);
    }
}

}  // namespace

std::optional<Refusal> refusal_of(const VmRequest& request, const HostState& host) {
    for (const NamedFilter& filter : kFilters) {
        if (auto why = filter.rejects(request, host)) return Refusal{filter.name, std::move(*why)};
    }
    return std::nullopt;
}

double total_of(const VmRequest& request, const HostState& host) {
    double total = 0;
    each_score(request, host, [&](const char*, double value, double weight) { total += weight * value; });
    return total;
}

Candidate scored(const VmRequest& request, const HostState& host) {
    Candidate candidate{.host = host.name};
    each_score(request, host, [&](const char* name, double value, double weight) {
        candidate.scores[name] = value;
        candidate.total += weight * value;
    });
    return candidate;
}

void note(Refusals& refusals, const Refusal& refusal, const HostState& host, std::size_t count) {
    Refused& seen = refusals[refusal.filter];
    if (seen.count == 0) seen = {0, host.name, refusal.reason};
    seen.count += count;
}

Decision conclude(const VmRequest& request, std::vector<Candidate> candidates, const Refusals& refusals,
                  std::size_t hosts) {
    Decision decision{.candidates = std::move(candidates)};
    const Candidate* best = nullptr;
    for (const Candidate& c : decision.candidates) {
        if (!c.filter.empty() || c.scores.empty()) continue;
        if (best == nullptr || c.total > best->total || (c.total == best->total && c.host < best->host)) best = &c;
    }
    if (best == nullptr) {
        decision.summary = refusal(request, decision.candidates, refusals, hosts);
        return decision;
    }
    decision.host = best->host;
    decision.summary =
        fmt::format("{} goes to {} (score {:.2f}, best of {})", request.name, best->host, best->total, hosts);
    return decision;
}

Decision decide_among(const VmRequest& request, const std::vector<const HostState*>& hosts) {
    std::vector<Candidate> candidates;
    candidates.reserve(hosts.size());
    Refusals refusals;
    for (const HostState* host : hosts) {
        auto refusal = refusal_of(request, *host);
        if (!refusal) {
            candidates.push_back(scored(request, *host));
            continue;
        }
        note(refusals, *refusal, *host);
        candidates.push_back({.host = host->name, .filter = refusal->filter, .reason = std::move(refusal->reason)});
    }
    return conclude(request, std::move(candidates), refusals, hosts.size());
}

Decision decide(const VmRequest& request, const std::vector<HostState>& hosts) {
    std::vector<const HostState*> all;
    all.reserve(hosts.size());
    for (const HostState& host : hosts) all.push_back(&host);
    return decide_among(request, all);
}

}  // namespace axle
