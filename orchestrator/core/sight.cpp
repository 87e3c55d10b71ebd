// What a host last told of its guests is no knowledge any more when it has been silent for long: its VMs are shown as
// unknown, which says nothing against them. It is no evidence of anything either, and nothing is done about them.
#include "orchestrator/core/controllers.hpp"

namespace axle {
namespace {

constexpr milliseconds kShortSilence{60'000};  // an agent that restarts, a cable that is put into another socket
constexpr milliseconds kComingBack{300'000};   // not heard of since our start: thousands of hosts connect anew

}  // namespace

bool Controllers::is_out_of_sight(const Vm& vm) const {
    if (!vm.status.placement) return false;
    const Uuid& host = vm.status.placement->host.id;
    if (links_.is_connected(host)) return false;
    // What an earlier run of ours has said holds until the host speaks.
    return vm.status.phase == VmPhase::unknown || out_of_sight_.contains(host);
}

void Controllers::watch_sight(const Uuid& host) {
    const bool there = links_.is_connected(host);
    if (there || pipeline_.world().find<Host>(host) == nullptr) {
        silent_since_.erase(host);
        if (there)
            heard_.insert(host);
        else
            heard_.erase(host);
        if (out_of_sight_.erase(host) == 0) return;
    } else {
        const BootTime now = pipeline_.clock().boot();
        const BootTime since = silent_since_.try_emplace(host, now).first->second;
        if (now - since < (heard_.contains(host) ? kShortSilence : kComingBack)) return;
        if (!out_of_sight_.insert(host).second) return;
    }
    for (const Key& key : pipeline_.world().referrers(host))
        if (key.kind == Kind::vm) enqueue(key);
}

}  // namespace axle
