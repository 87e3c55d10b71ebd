// Rules of affinity as the scheduler asks about them: by whom a VM wants to stand or not, and where those are now.
// Pure.
#pragma once
#include "orchestrator/core/world.hpp"
#include "orchestrator/scheduler/scheduler.hpp"

namespace axle {

// Its placement group, its own terms, and the VMs that want to be apart from it. Costs as much as there are VMs that
// the rules are about.
std::vector<NeighbourRule> neighbour_rules_of(const World& world, const Vm& vm);

// Whether a rule of one is about the other, as far as can be told without looking at any third.
bool may_concern(const Vm& one, const Vm& other);

}  // namespace axle
