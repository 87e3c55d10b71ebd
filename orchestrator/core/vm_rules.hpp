// What can be said of a VM from its wish and its host's report: the phase that people see, and whether the goal of a
// task is reached. Pure.
#pragma once
#include <optional>

#include "common/model/compute.hpp"
#include "common/model/fleet.hpp"

namespace axle {

// in_sight: what its host last told of it holds; else nobody knows what a placed VM is doing.
VmPhase phase_of(const Vm& vm, bool in_sight = true);
// The guest ended its run itself, and its host leaves it off until the next start.
bool has_ended_by_itself(const Vm& vm);

struct GoalState {
    enum { open, reached, failed } state = open;
    std::string waiting_for;  // open: what is in the way, for the task's reason
    TaskError error;          // failed
};
GoalState goal_of(const Task& task, const Vm& vm);

// A condition of this type, or null.
const Condition* find_condition(const std::vector<Condition>& conditions, std::string_view type);
// Sets or replaces; keeps `since` where status and reason are the same. true: something changed.
bool set_condition(std::vector<Condition>& conditions, Condition condition);
bool drop_condition(std::vector<Condition>& conditions, std::string_view type);

}  // namespace axle
