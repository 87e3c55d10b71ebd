// Near or far from other VMs, by hosts or zones: required rules refuse, wishes score.
#include <algorithm>

#include "common/base/counted.hpp"
#include "orchestrator/scheduler/scheduler.hpp"

namespace axle {
namespace {

const Uuid& domain_of(const NeighbourRule& rule, const HostState& host) {
    return rule.over == Domain::zone ? host.zone : host.id;
}

std::string where(const NeighbourRule& rule, const HostState& host) {
    return rule.over == Domain::zone ? fmt::format("zone {}", host.zone_name) : fmt::format("host {}", host.name);
}

std::optional<std::string> reject_by(const NeighbourRule& rule, const HostState& host) {
    if (rule.over == Domain::zone && !host.zone)
        return fmt::format("is in no zone, {} goes by zones: axle host set {} zone=NAME", rule.name, host.name);
    const std::int64_t there = rule.count_at(host);
    if (rule.policy == Affinity::apart) {
        if (there == 0) return std::nullopt;
        return fmt::format("{} has {} that {} keeps apart", where(rule, host), counted(there, "VM"), rule.name);
    }
    if (there > 0 || (rule.counts.empty() && rule.may_be_first)) return std::nullopt;
    if (rule.counts.empty()) return fmt::format("{} wants to be where no VM is yet", rule.name);
    return fmt::format("{} has none of the {} that {} wants to be with", where(rule, host),
                       counted(rule.neighbours.size(), "VM"), rule.name);
}

// Far: the fewer the better. Near: the more the better, measured by where most of them are.
double wish_of(const NeighbourRule& rule, const HostState& host) {
    const auto there = static_cast<double>(rule.count_at(host));
    if (rule.policy == Affinity::apart) return 1 / (1 + there);
    std::int64_t most = 0;
    for (const auto& [domain, count] : rule.counts) most = std::max(most, count);
    return most == 0 ? 1 : there / static_cast<double>(most);
}

}  // namespace

void NeighbourRule::count() {
    counts.clear();
    for (const Neighbour& n : neighbours) {
        const Uuid& at = over == Domain::zone ? n.zone : static_cast<const Uuid&>(n.host);
        if (at) ++counts[at];
    }
}

std::int64_t NeighbourRule::count_at(const HostState& host) const {
    const auto found = counts.find(domain_of(*this, host));
    return found == counts.end() ? 0 : found->second;
}

std::optional<std::string> reject_affinity(const VmRequest& request, const HostState& host) {
    for (const NeighbourRule& rule : request.rules) {
        if (!rule.required) continue;
        if (auto why = reject_by(rule, host)) return why;
    }
    return std::nullopt;
}

std::optional<double> score_affinity(const VmRequest& request, const HostState& host) {
    double sum = 0;
    int wishes = 0;
    for (const NeighbourRule& rule : request.rules) {
        if (rule.required) continue;
        sum += wish_of(rule, host);
        ++wishes;
    }
    if (wishes == 0) return std::nullopt;
    return sum / wishes;
}

}  // namespace axle
