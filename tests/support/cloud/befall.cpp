// What goes wrong in a simulated cloud, act by act.
#include <array>

#include "tests/support/cloud/acts.hpp"

namespace axle::test {
namespace {

bool befall_guest(Cloud& cloud, const Act& act) {
    if (act.verb != "guest-down" && act.verb != "guest-crash" && act.verb != "virsh-destroy") return false;
    const Vm* vm = cloud.orchestrator_runs() ? cloud.vm(vm_name(act.subject)) : nullptr;
    SimulatedMachine* machine = vm != nullptr ? cloud.machine_of(*vm) : nullptr;
    if (machine == nullptr) return true;
    const VmId id{vm->meta.id};
    if (act.verb == "guest-down") machine->guest_shuts_down(id);
    if (act.verb == "guest-crash") machine->guest_crashes(id);
    if (act.verb == "virsh-destroy") machine->virsh_destroy(id);
    return true;
}

std::int64_t jump_of(const Act& act) {
    constexpr std::array<std::int64_t, 4> kHours = {-1, 1, -24 * 3650, 24 * 3650};
    return kHours[static_cast<std::size_t>(act.number) % 4] * 3'600'000;
}

bool befall_orchestrator(Cloud& cloud, const Act& act) {
    const milliseconds span{act.number * 60};
    if (act.verb == "orchestrator-crash") {
        if (cloud.orchestrator_runs()) cloud.restart_orchestrator_in(act.object == 0 ? span * 10 : span / 10);
    } else if (act.verb == "sync-fails") {
        cloud.disk.syncs_left = cloud.orchestrator_runs() ? 1 : 0;
        cloud.disk.space.below_reserve = act.number % 3 == 0;  // for want of room
    } else if (act.verb == "stall") {
        cloud.disk.stalled = true;
        cloud.time.after(span / 2, [&cloud] {
            if (cloud.disk.stalled) cloud.unstall();
        });
    } else if (act.verb == "disk-full") {
        cloud.disk.space.below_reserve = true;
        cloud.time.after(span, [&cloud] { cloud.disk.space.below_reserve = false; });
    } else if (act.verb == "wall-jump") {
        cloud.jump_wall(jump_of(act));
    } else if (act.verb == "slow-wire") {
        cloud.wire_rules.slow_ms = act.number * 3;
    } else if (act.verb == "repeats") {
        cloud.wire_rules.repeats = act.number % 3 == 0 ? 0 : 20;
    } else {
        return false;
    }
    return true;
}

bool befall_host(Cloud& cloud, const Act& act) {
    const std::size_t host = static_cast<std::size_t>(act.subject) % cloud.hosts.size();
    SimulatedMachine& machine = *cloud.hosts[host].machine;
    const milliseconds span{act.number * 120};
    if (act.verb == "agent-crash") {
        if (machine.agent() != nullptr) cloud.crash_agent(host);
    } else if (act.verb == "power-cut") {
        if (machine.agent() != nullptr) cloud.power_cut(host, span);
    } else if (act.verb == "freeze") {
        cloud.freeze(host, span * 2);
    } else if (act.verb == "cut") {
        cloud.cut(host);
    } else if (act.verb == "silence") {
        cloud.silence(host, act.object % 2 == 0 ? Wire::agent : Wire::orchestrator);
    } else if (act.verb == "partition") {
        cloud.partition(host, true);
        cloud.time.after(span * 2, [&cloud, host] { cloud.partition(host, false); });
    } else if (act.verb == "host-faults") {
        machine.faults = act.number % 3 == 0 ? MachineFaults{} : kSomeFaults;
    } else if (act.verb == "stray-file") {
        cloud.bring_stray(host, stray_id(machine.facts.hostname, act));
    } else if (act.verb == "state-full") {
        machine.fill_state_disk(true);
        cloud.time.after(span, [&machine] { machine.fill_state_disk(false); });
    } else if (act.verb == "host-wall-jump") {
        machine.jump_wall(jump_of(act));
    } else if (act.verb == "pools-full") {
        machine.pools_full = true;
        cloud.time.after(span, [&machine] { machine.pools_full = false; });
    } else if (act.verb == "unmount") {
        if (!cloud.orchestrator_runs()) return true;
        for (const auto& [id, pool] : cloud.world().all(Kind::pool)) machine.unmounted.insert(PoolId{id});
        cloud.time.after(span, [&machine] { machine.unmounted.clear(); });
    } else {
        return false;
    }
    return true;
}

}  // namespace

bool befall(Cloud& cloud, const Act& act) {
    return befall_guest(cloud, act) || befall_orchestrator(cloud, act) || befall_host(cloud, act);
}

}  // namespace axle::test
