#include "orchestrator/core/schedule.hpp"

#include "orchestrator/core/capacity.hpp"
#include "orchestrator/core/derive.hpp"
#include "orchestrator/core/neighbours.hpp"
#include "orchestrator/core/on_hosts.hpp"
#include "orchestrator/core/planted.hpp"
#include "orchestrator/core/vm_rules.hpp"

namespace axle {

namespace {

// "" or why it makes no guests now. What a guest sees of its machine is recorded when it is placed, for ever, and comes
// from the host's libvirt: where that does not answer, nobody knows it.
std::string why_not_ready(const HostFacts& facts) {
    const Condition* down = find_condition(facts.conditions, "HypervisorDown");
    if (down != nullptr && down->status) return "it can't make guests now: " + down->message;
    return facts.guest_machine.empty() ? "it has not told yet what machine guests get there" : "";
}

}  // namespace

HostState host_state_of(const World& world, const Host& host) {
    const HostFacts& facts = host.status.facts;
    const Usage claimed = planted_in_core().forget_claims ? Usage{} : world.claimed_on_host(host.meta.id);
    HostState s{.name = host.meta.name,
                .connected = host.status.connected,
                .unschedulable = host.spec.unschedulable,
                .labels = host.meta.labels,
                .accelerator = facts.accelerator,
                .guest_machine = facts.guest_machine,
                .guest_cpu_model = facts.guest_cpu_model};
    s.id = HostId{host.meta.id};
    s.not_ready_why = why_not_ready(facts);
    s.ready = s.not_ready_why.empty();
    const Capacity capacity = allocatable_of(host);
    s.cpus_allocatable = capacity.cpus;
    s.cpus_claimed = claimed.cpus;
    s.memory_allocatable = capacity.memory;
    s.memory_claimed = claimed.memory;
    s.disk_overcommit = host.spec.disk_overcommit;
    s.disk_reserve = host.spec.disk_reserve;
    s.bridges = facts.bridges;
    s.features = facts.features;
    s.zone = host.spec.zone.id;
    s.zone_name = host.spec.zone.name;
    for (const auto& [digest, count] : world.images_on(host.meta.id)) s.images.push_back(digest);
    for (const auto& [name, id] : world.names_of(Kind::pool)) {
        const Pool* pool = world.find<Pool>(id);
        if (!pool_is_on(*pool, host)) continue;
        HostPool p{.name = pool->meta.name, .ready = false, .why = "its host has not reported it yet"};
        if (const ReportedPool* there = reported_pool(host, id)) {
            p.ready = there->ready;
            p.why = there->conditions.empty() ? "not ready" : there->conditions.front().message;
            p.size = there->size;
            p.free = there->free;
        }
        p.claimed = world.claimed_in_pool(id, host.meta.id);
        s.pools[PoolId{id}] = std::move(p);
    }
    return s;
}

std::vector<HostState> host_states_of(const World& world) {
    std::vector<HostState> states;
    states.reserve(world.all(Kind::host).size());
    for (const auto& [name, id] : world.names_of(Kind::host))
        states.push_back(host_state_of(world, *world.find<Host>(id)));
    return states;
}

namespace {

Strategy strategy_of(const World& world, const Vm& vm) {
    if (vm.spec.strategy) return *vm.spec.strategy;
    const auto* project = world.find<Project>(vm.meta.project.id);
    return project != nullptr ? project->spec.strategy : Strategy::spread;
}

}  // namespace

Result<VmRequest> request_of(const World& world, const Vm& vm) {
    VmRequest r{
        .name = vm.meta.name,
        .cpus = vm.spec.cpus.value_or(1),
        .memory = vm.spec.memory.value_or(kGiB),
        .accelerator = vm.spec.accelerator,
        .host_selector = vm.spec.host_selector,
        .id = vm.meta.id,
        .rules = planted_in_core().forget_neighbours ? std::vector<NeighbourRule>{} : neighbour_rules_of(world, vm),
        .strategy = strategy_of(world, vm)};
    for (const auto& [name, disk] : vm.spec.disks) {
        const Volume* volume = world.find<Volume>(disk.volume.id);
        if (volume == nullptr) return fail(Code::unavailable, "disk {} is gone", name);
        if (volume->status.phase == VolumePhase::lost && !volume->status.placement)
            return fail(Code::unavailable, "disk {} was lost with its host: restore it from a backup, or delete the VM",
                        name);
        if (volume->spec.image && volume->spec.image_digest.empty()) {
            const Image* image = world.find<Image>(volume->spec.image.id);
            if (volume->status.phase == VolumePhase::failed && !volume->status.conditions.empty())
                return fail(Code::unavailable, "disk {}: {}", name, volume->status.conditions.front().message);
            if (image == nullptr)
                return fail(Code::unavailable, "image {} of disk {} is gone", volume->spec.image.name, name);
            return fail(error(Code::unavailable, "image {} of disk {} is {}", image->meta.name, name,
                              text_of(image->status.phase))
                            .with_reason(image->status.phase == ImagePhase::failed ? "" : kWaitsForImage)
                            .with_hint(fmt::format("axle image show {}", image->meta.name)));
        }
        VolumeRequest v{
            .pool_name = volume->spec.pool.name, .size = volume->spec.size, .image_digest = volume->spec.image_digest};
        v.pool = PoolId{volume->spec.pool.id};
        if (const Image* image = world.find<Image>(volume->spec.image.id);
            image != nullptr && image->status.digest == v.image_digest)
            v.image_size = image->status.size;
        if (volume->status.placement) {
            v.pinned = HostId{volume->status.placement->host.id};
            v.pinned_name = volume->status.placement->host.name;
        }
        r.volumes.push_back(std::move(v));
    }
    for (const auto& [name, nic] : vm.spec.nics) {
        const auto* network = world.find<NetworkObject>(nic.network.id);
        if (network != nullptr && network->spec.type == NetworkType::bridged) r.bridges.push_back(network->spec.bridge);
    }
    return r;
}

}  // namespace axle
