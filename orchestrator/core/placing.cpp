// What the scheduler knows: a table of hosts, kept as the world is, brought up to date before each decision.
#include "orchestrator/core/controllers.hpp"
#include "orchestrator/core/schedule.hpp"

namespace axle {

// Hosts whose room or state a change may have touched.
void Controllers::note_hosts_of(const ChangeEvent& event) {
    for (const Object* object : {event.before.get(), event.object.get()}) {
        if (object == nullptr) continue;
        const auto touches = [&](const auto& placed) {
            if (placed) stale_.insert(placed->host.id);
        };
        if (event.kind == Kind::host) {
            stale_.insert(object->meta.id);
        } else if (event.kind == Kind::vm) {
            const VmStatus& status = static_cast<const Vm&>(*object).status;
            touches(status.placement);
            touches(status.migration);
        } else if (event.kind == Kind::volume) {
            const VolumeStatus& status = static_cast<const Volume&>(*object).status;
            touches(status.placement);
            for (const VmPlacement& left : status.leftovers) stale_.insert(left.host.id);
        }
    }
    if (event.kind == Kind::pool) all_stale_ = true;
}

Decision Controllers::decide_for(const VmRequest& request) {
    const World& world = pipeline_.world();
    if (std::exchange(all_stale_, false)) {
        for (const auto& [id, host] : world.all(Kind::host)) stale_.insert(id);
    }
    for (const Uuid& id : std::exchange(stale_, {})) refresh_in_table(id);
    return table_.decide(request);
}

void Controllers::refresh_in_table(const Uuid& id) {
    stale_.erase(id);
    const Host* host = pipeline_.world().find<Host>(id);
    if (host == nullptr || host->is_deleted()) return table_.erase(HostId{id});
    HostState now = state_of(*host);
    const HostState* before = table_.find(HostId{id});
    if (before == nullptr || may_take_more(*before, now)) wake_waiting();
    table_.put(std::move(now));
}

std::vector<HostState> Controllers::host_states() const {
    std::vector<HostState> states = host_states_of(pipeline_.world());
    for (HostState& s : states) s.connected = links_.is_connected(s.id);
    return states;
}

HostState Controllers::state_of(const Host& host) const {
    HostState s = host_state_of(pipeline_.world(), host);
    s.connected = links_.is_connected(host.meta.id);
    return s;
}

}  // namespace axle
