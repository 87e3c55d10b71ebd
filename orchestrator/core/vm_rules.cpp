#include "orchestrator/core/vm_rules.hpp"

#include <algorithm>

#include "orchestrator/core/severity.hpp"

namespace axle {
namespace {

constexpr std::int64_t kFirstGeneration = 1;  // that of a create

bool run_is_over(const Vm& vm) {
    const VmReport& r = vm.status.report;
    return r.start_serial >= vm.spec.start_serial && r.last_end != RunEnd::none && r.state != DomainState::running &&
           r.state != DomainState::paused;
}

GoalState reached() {
    return {.state = GoalState::reached};
}
GoalState open(std::string why) {
    return {.state = GoalState::open, .waiting_for = std::move(why)};
}

std::string what_is_in_the_way(const Vm& vm) {
    if (vm.status.migration) return "it is being moved to host " + vm.status.migration->host.name;
    for (const Condition& c : vm.status.conditions) {
        if (!c.status && c.type == "Scheduled") return c.message;
    }
    for (const Condition& c : vm.status.report.conditions) {
        const Severity severity = severity_of(c);
        const bool in_the_way = severity == Severity::step || severity == Severity::trouble;
        if (in_the_way && !c.message.empty()) return c.message;
    }
    return "";
}

}  // namespace

bool has_ended_by_itself(const Vm& vm) {
    return vm.spec.power != Power::stopped && run_is_over(vm) && vm.status.report.last_end == RunEnd::guest_shutdown;
}

VmPhase phase_of(const Vm& vm, bool in_sight) {
    const VmReport& r = vm.status.report;
    if (vm.meta.deletion) return vm.meta.deletion->final ? VmPhase::expunging : VmPhase::deleted;
    if (!vm.status.placement)
        return find_condition(vm.status.conditions, "Scheduled") != nullptr ? VmPhase::waiting : VmPhase::pending;
    if (!in_sight) return VmPhase::unknown;
    const bool off = r.state == DomainState::absent || r.state == DomainState::shut_off;
    if (vm.status.migration && off && vm.spec.power == Power::running)  // between two hosts
        return vm.status.migration->live ? VmPhase::running : VmPhase::stopped;
    switch (r.state) {
        case DomainState::running:
            return vm.spec.power == Power::stopped ? VmPhase::stopping : VmPhase::running;
        case DomainState::paused:
            return VmPhase::paused;
        case DomainState::stopping:
            return VmPhase::stopping;
        case DomainState::crashed:
            return VmPhase::crashed;
        case DomainState::absent:
        case DomainState::shut_off:
            break;
    }
    if (vm.spec.power == Power::stopped)
        return r.settled || vm.status.observed_generation > 0 ? VmPhase::stopped : VmPhase::creating;
    if (run_is_over(vm))
        return r.last_end == RunEnd::crashed || r.last_end == RunEnd::failed ? VmPhase::crashed : VmPhase::stopped;
    return r.state == DomainState::absent ? VmPhase::creating : VmPhase::starting;
}

GoalState goal_of(const Task& task, const Vm& vm) {
    const VmReport& r = vm.status.report;
    const bool seen = vm.status.observed_generation >= task.spec.generation;
    const bool off = r.state == DomainState::shut_off || r.state == DomainState::absent;
    // A wish for a VM that still waits for a place: no host has anything to do for it.
    const bool nowhere = !vm.status.placement && task.spec.generation > kFirstGeneration;
    switch (task.spec.goal) {
        case TaskGoal::vm_running:
            // Paused, and not settled: it is yet to be resumed.
            if (seen && (r.state == DomainState::running || (r.state == DomainState::paused && r.settled)))
                return reached();
            if (seen && run_is_over(vm)) return reached();
            return open(what_is_in_the_way(vm));
        case TaskGoal::vm_paused:
            if (seen && r.state == DomainState::paused) return reached();
            if (seen && r.settled && run_is_over(vm))
                return {.state = GoalState::failed,
                        .error = {"guest-is-off",
                                  fmt::format("the guest was off ({}) before it could be paused", text_of(r.last_end)),
                                  "axle vm start " + vm.meta.name}};
            return open(what_is_in_the_way(vm));
        case TaskGoal::vm_stopped: {
            if (nowhere || (seen && off && r.settled)) return reached();
            const Condition* late = find_condition(r.conditions, "StopTimedOut");
            if (seen && late != nullptr && late->status)
                return {.state = GoalState::failed,
                        .error = {"stop-timed-out", late->message,
                                  "the guest runs on; to switch it off: axle vm stop " + vm.meta.name + " --force"}};
            return open(what_is_in_the_way(vm));
        }
        case TaskGoal::vm_changed:
            return nowhere || (seen && r.settled) ? reached() : open(what_is_in_the_way(vm));
        case TaskGoal::vm_deleted:
            return vm.meta.deletion && (!vm.status.placement || (off && seen))
                       ? reached()
                       : open("the guest is being switched off");
        default:
            return open("");
    }
}

const Condition* find_condition(const std::vector<Condition>& conditions, std::string_view type) {
    const auto found = std::ranges::find(conditions, type, &Condition::type);
    return found == conditions.end() ? nullptr : &*found;
}

bool set_condition(std::vector<Condition>& conditions, Condition condition) {
    const auto found = std::ranges::find(conditions, condition.type, &Condition::type);
    if (found == conditions.end()) {
        conditions.push_back(std::move(condition));
        return true;
    }
    if (found->status == condition.status && found->reason == condition.reason) condition.since = found->since;
    if (*found == condition) return false;
    *found = std::move(condition);
    return true;
}

bool drop_condition(std::vector<Condition>& conditions, std::string_view type) {
    return std::erase_if(conditions, [&](const Condition& c) { return c.type == type; }) > 0;
}

}  // namespace axle
