// The rules in their order and weight, and how a decision is put into words. Of this folder only.
#pragma once
#include <array>

#include "orchestrator/scheduler/scheduler.hpp"

namespace axle {

struct NamedFilter {
    const char* name;
    Filter rejects;
};
inline constexpr std::array kFilters = {
    NamedFilter{"state", reject_state},
    NamedFilter{"labels", reject_labels},
    NamedFilter{"accelerator", reject_accelerator},
    NamedFilter{"features", reject_features},
    NamedFilter{"guest", reject_guest},
    NamedFilter{"networks", reject_networks},
    NamedFilter{"affinity", reject_affinity},
    NamedFilter{"cpus", reject_cpus},
    NamedFilter{"memory", reject_memory},
    NamedFilter{"pools", reject_pools},
};
struct NamedScore {
    const char* name;
    Score of;
    double weight;
    const char* packed = nullptr;  // of room: its name where VMs are packed, and little room is what is looked for
};
// A wish to be near or far outweighs all that room can say.
inline constexpr std::array kScores = {
    NamedScore{"affinity", score_affinity, 10},
    NamedScore{"free-memory", score_free_memory, 2, "full-memory"},
    NamedScore{"free-cpus", score_free_cpus, 1, "full-cpus"},
    NamedScore{"free-space", score_free_space, 1, "full-space"},
    NamedScore{"image-at-hand", score_image_at_hand, 0.5},
};

struct Refusal {
    const char* filter;
    std::string reason;
};
std::optional<Refusal> refusal_of(const VmRequest& request, const HostState& host);  // by the first filter that does
// Of a host that no filter refuses: the weighted sum of its scores, and the same as it is told.
double total_of(const VmRequest& request, const HostState& host);
Candidate scored(const VmRequest& request, const HostState& host);
Decision decide_among(const VmRequest& request, const std::vector<const HostState*>& hosts);

struct Refused {  // by one filter
    std::size_t count = 0;
    std::string host, reason;  // of the first of them
};
using Refusals = std::map<std::string, Refused>;  // by filter
void note(Refusals& refusals, const Refusal& refusal, const HostState& host, std::size_t count = 1);
// Takes the best that fits, or says why there is none. hosts: how many there are.
Decision conclude(const VmRequest& request, std::vector<Candidate> candidates, const Refusals& refusals,
                  std::size_t hosts);

}  // namespace axle
