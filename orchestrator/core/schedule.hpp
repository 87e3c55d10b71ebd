// What the scheduler is asked about: hosts and VMs of the world as values. Pure.
#pragma once
#include "orchestrator/core/world.hpp"
#include "orchestrator/scheduler/scheduler.hpp"

namespace axle {

HostState host_state_of(const World& world, const Host& host);
std::vector<HostState> host_states_of(const World& world);  // by name
// Code::unavailable: it can't be placed yet, and why. The reason kWaitsForImage: it goes on by itself.
inline constexpr const char* kWaitsForImage = "ImagePending";
Result<VmRequest> request_of(const World& world, const Vm& vm);

}  // namespace axle
