// The chain: every filter in turn, then the weighted sum of the scores.
#include <array>

#include "orchestrator/scheduler/scheduler.hpp"

namespace axle {
namespace {

struct NamedFilter {
    const char* name;
    Filter rejects;
};
constexpr std::array kFilters = {
    NamedFilter{"state", reject_state},
    NamedFilter{"labels", reject_labels},
    NamedFilter{"accelerator", reject_accelerator},
    NamedFilter{"features", reject_features},
    NamedFilter{"guest", reject_guest},
    NamedFilter{"networks", reject_networks},
    NamedFilter{"cpus", reject_cpus},
    NamedFilter{"memory", reject_memory},
    NamedFilter{"pools", reject_pools},
};
struct NamedScore {
    const char* name;
    Score of;
    double weight;
};
constexpr std::array kScores = {
    NamedScore{"free-memory", score_free_memory, 2},
    NamedScore{"free-cpus", score_free_cpus, 1},
    NamedScore{"free-space", score_free_space, 1},
    NamedScore{"image-at-hand", score_image_at_hand, 0.5},
};

Candidate look_at(const VmRequest& request, const HostState& host) {
    Candidate candidate{.host = host.name};
    for (const NamedFilter& filter : kFilters) {
        if (auto why = filter.rejects(request, host)) {
            candidate.filter = filter.name;
            candidate.reason = std::move(*why);
            return candidate;
        }
    }
    for (const NamedScore& score : kScores) {
        candidate.scores[score.name] = score.of(request, host);
        candidate.total += score.weight * candidate.scores[score.name];
    }
    return candidate;
}

std::string refusal(const VmRequest& request, const std::vector<Candidate>& candidates) {
    if (candidates.empty()) return fmt::format("no host for {}: there are no hosts yet", request.name);
    if (candidates.size() == 1)
        return fmt::format("no host for {}: {}: {}", request.name, candidates[0].host, candidates[0].reason);
    std::map<std::string, std::pair<int, const Candidate*>> by_filter;
    for (const Candidate& c : candidates) {
        auto& [count, example] = by_filter[c.filter];
        ++count;
        if (example == nullptr) example = &c;
    }
    std::string text = fmt::format("no host of {} for {}:", candidates.size(), request.name);
    for (const auto& [filter, seen] : by_filter)
        text +=
            fmt::format(" {} refused by {} (e.g. {}: {});", seen.first, filter, seen.second->host, seen.second->reason);
    text.pop_back();
    return text;
}

}  // namespace

Decision decide(const VmRequest& request, const std::vector<HostState>& hosts) {
    Decision decision;
    const Candidate* best = nullptr;
    decision.candidates.reserve(hosts.size());
    for (const HostState& host : hosts) decision.candidates.push_back(look_at(request, host));
    for (const Candidate& c : decision.candidates) {
        if (!c.filter.empty()) continue;
        if (best == nullptr || c.total > best->total || (c.total == best->total && c.host < best->host)) best = &c;
    }
    if (best == nullptr) {
        decision.summary = refusal(request, decision.candidates);
        return decision;
    }
    decision.host = best->host;
    decision.summary = fmt::format("{} goes to {} (score {:.2f}, best of {})", request.name, best->host, best->total,
                                   decision.candidates.size());
    return decision;
}

}  // namespace axle
