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
    const auto sight = sights_.find(host);
    return vm.status.phase == VmPhase::unknown || (sight != sights_.end() && sight->second.lost);
}

void Controllers::watch_sight(const Uuid& host) {
    if (pipeline_.world().find<Host>(host) == nullptr) {
        sights_.erase(host);
        return;
    }
    Sight& sight = sights_[host];
    const bool was_lost = sight.lost;
    if (links_.is_connected(host)) {
        sight = {.heard = true};
    } else {
        const BootTime now = pipeline_.clock().boot();
        if (!sight.silent_since) sight.silent_since = now;
        sight.lost = now - *sight.silent_since >= (sight.heard ? kShortSilence : kComingBack);
    }
    if (sight.lost == was_lost) return;
    for (const Key& key : pipeline_.world().referrers(host))
        if (key.kind == Kind::vm) enqueue(key);
}

}  // namespace axle
