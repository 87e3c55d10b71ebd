// How much more fits, and what would become of the guests of a host that is lost. By the same filters that place, so
// that no rule is written twice. Pure.
#pragma once
#include <vector>

#include "orchestrator/scheduler/fit.hpp"
#include "orchestrator/scheduler/scheduler.hpp"

namespace axle {

constexpr std::int64_t kFitMax = 100'000;

// For each host, most first. The request's volumes count with their sizes; none of them may be pinned.
std::vector<Fit> how_many_fit(const VmRequest& request, const std::vector<HostState>& hosts);

// Where each of these guests would go if the host that they are on were no more: in this order, each taking the room
// that it needs from `hosts`, which are the others.
std::vector<Refuge> refuges_of(std::vector<VmRequest> guests, std::vector<HostState>& hosts);

}  // namespace axle
