#include "orchestrator/core/neighbours.hpp"

#include <algorithm>

#include "orchestrator/core/selector.hpp"

namespace axle {
namespace {

bool wants_apart(const Vm& vm, const Vm& from) {
    return std::ranges::any_of(vm.spec.affinity, [&](const auto& entry) {
        return entry.second.policy == Affinity::apart && selects(entry.second.selector, from.meta.labels);
    });
}

// Where it stands; while it moves: for whoever wants to be apart from it, on both hosts; for who wants to be near,
// where it will be.
void add(const World& world, NeighbourRule& rule, const Vm& vm) {
    const auto stands_on = [&](const Ref& at) {
        const Host* host = world.find<Host>(at.id);
        rule.neighbours.push_back({vm.meta.id, HostId{at.id}, host != nullptr ? host->spec.zone.id : Uuid{}});
    };
    const VmStatus& status = vm.status;
    if (status.migration) stands_on(status.migration->host);
    if (status.placement && (!status.migration || rule.policy == Affinity::apart)) stands_on(status.placement->host);
}

std::optional<NeighbourRule> rule_of_group(const World& world, const Vm& vm) {
    const auto* group = world.find<PlacementGroup>(vm.spec.placement_group.id);
    if (group == nullptr) return std::nullopt;
    NeighbourRule rule{.name = "placement group " + group->meta.name,
                       .policy = group->spec.policy,
                       .over = group->spec.over,
                       .required = group->spec.required,
                       .may_be_first = true};
    for (const Key& key : world.referrers(group->meta.id)) {
        const Vm* other = key.kind == Kind::vm && key.id != vm.meta.id ? world.find<Vm>(key.id) : nullptr;
        if (other != nullptr && !other->is_deleted()) add(world, rule, *other);
    }
    return rule;
}

NeighbourRule rule_of_term(const World& world, const Vm& vm, const std::string& name, const AffinityTerm& term) {
    NeighbourRule rule{.name = "affinity." + name,
                       .policy = term.policy,
                       .over = term.over,
                       .required = term.required,
                       .may_be_first = selects(term.selector, vm.meta.labels)};
    const std::set<Uuid>* fewest = nullptr;
    for (const auto& [key, value] : term.selector) {
        const std::set<Uuid>& labelled = world.vms_labelled({vm.meta.project.id, key, value});
        if (fewest == nullptr || labelled.size() < fewest->size()) fewest = &labelled;
    }
    if (fewest == nullptr) return rule;
    for (const Uuid& id : *fewest) {
        const Vm* other = id != vm.meta.id ? world.find<Vm>(id) : nullptr;
        if (other != nullptr && selects(term.selector, other->meta.labels)) add(world, rule, *other);
    }
    return rule;
}

// Who keeps apart from it, by what and how firmly: a rule holds for both, whoever came first.
std::vector<NeighbourRule> rules_of_others(const World& world, const Vm& vm) {
    std::set<Uuid> others;
    for (const auto& [key, value] : vm.meta.labels) {
        const std::set<Uuid>& apart = world.vms_apart_from({vm.meta.project.id, key, value});
        others.insert(apart.begin(), apart.end());
    }
    std::map<std::pair<Domain, bool>, NeighbourRule> rules;
    for (const Uuid& id : others) {
        const Vm* other = id != vm.meta.id ? world.find<Vm>(id) : nullptr;
        if (other == nullptr) continue;
        for (const auto& [name, term] : other->spec.affinity) {
            if (term.policy != Affinity::apart || !selects(term.selector, vm.meta.labels)) continue;
            NeighbourRule& rule = rules[{term.over, term.required}];
            if (rule.name.empty())
                rule = {.name = fmt::format("affinity.{} of VM {}", name, other->meta.name),
                        .over = term.over,
                        .required = term.required};
            add(world, rule, *other);
        }
    }
    std::vector<NeighbourRule> out;
    for (auto& [key, rule] : rules) out.push_back(std::move(rule));
    return out;
}

}  // namespace

std::vector<NeighbourRule> neighbour_rules_of(const World& world, const Vm& vm) {
    std::vector<NeighbourRule> rules = rules_of_others(world, vm);
    if (auto group = rule_of_group(world, vm)) rules.push_back(std::move(*group));
    for (const auto& [name, term] : vm.spec.affinity) rules.push_back(rule_of_term(world, vm, name, term));
    for (NeighbourRule& rule : rules) rule.count();
    return rules;
}

bool may_concern(const Vm& one, const Vm& other) {
    if (one.meta.project.id != other.meta.project.id) return false;
    if (one.spec.placement_group && one.spec.placement_group.id == other.spec.placement_group.id) return true;
    return wants_apart(other, one) || std::ranges::any_of(one.spec.affinity, [&](const auto& entry) {
               return selects(entry.second.selector, other.meta.labels);
           });
}

}  // namespace axle
