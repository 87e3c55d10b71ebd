// Planted bugs: run-time switches of dev builds. A test turns one on and shows that the simulation finds it; a release
// build has none of them.
#pragma once

namespace axle {

struct PlantedCoreBugs {
    bool answer_before_durable = false;  // whoever waits for the disk is told at once
    bool drop_event_at_resume = false;   // a watch that comes back misses one change
    bool share_addresses = false;        // an address that another has is given again
    bool forget_claims = false;          // capacity isn't looked at when a VM is placed
    bool reuse_epochs = false;           // placements have the same epoch
    bool forget_neighbours = false;      // VMs that are kept apart are put on one host
    bool lose_wakeups = false;           // VMs that wait for room are never looked at again
    bool tell_before_durable = false;    // two steps swapped: a host is told, then the change is durable
    bool mix_up_replies = false;         // a request that is asked again gets another one's reply
};

#ifdef AXLE_FAULTS
inline PlantedCoreBugs& planted_in_core() {
    static PlantedCoreBugs bugs;
    return bugs;
}
#else
constexpr PlantedCoreBugs planted_in_core() {
    return {};
}
#endif

}  // namespace axle
