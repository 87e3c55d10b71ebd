// What nobody has a use for any more and is there nevertheless.
#include "orchestrator/core/on_hosts.hpp"
#include "tests/support/cloud/eyes.hpp"

namespace axle::test {

std::string Eyes::left_over() {
    for (std::size_t i = 0; i < cloud_.hosts.size(); ++i) {
        if (auto what = left_on(i); !what.empty()) return fmt::format("h{}: {}", i, what);
    }
    return left_in_store();
}

// Of decisions about places: those of placements that are there; of networks: those on hosts that the world has.
std::string Eyes::left_in_store() {
    for (const auto& [key, decision] : cloud_.disk.tables[static_cast<std::size_t>(Table::decisions)]) {
        const Vm* vm = cloud_.world().find<Vm>(*Uuid::parse(key.substr(0, 36)));
        const auto is_of = [&](const Epoch& epoch) {
            return key.substr(37) == fmt::format("{}.{}", epoch.incarnation, epoch.revision);
        };
        const bool wanted = vm != nullptr && ((vm->status.placement && is_of(vm->status.placement->epoch)) ||
                                              (vm->status.migration && is_of(vm->status.migration->epoch)));
        if (!wanted) return "a decision is left of " + key;
    }
    World read;
    if (!load_networks_on_hosts(cloud_.store(), read)) return "the networks on hosts can't be read";
    for (const auto& [host, object] : cloud_.world().all(Kind::host)) {
        if (read.networks_on(host) != cloud_.world().networks_on(host))
            return "the store has other networks of a host than the world: " + object->meta.name;
    }
    return "";
}

std::string Eyes::left_on(std::size_t number) {
    const World& world = cloud_.world();
    SimulatedMachine& machine = *cloud_.hosts[number].machine;
    const Uuid host = machine.identity().host;
    const auto vm_here = [&](const Uuid& id) {
        const Vm* vm = world.find<Vm>(id);
        return vm != nullptr && vm->status.placement && vm->status.placement->host.id == host;
    };
    for (const auto& [id, domain] : machine.domains) {
        if (domain.state != DomainState::absent && !vm_here(id)) return "a domain is left of " + id.str();
    }
    for (const auto& [tap, nic] : machine.taps) {
        const auto domain = machine.domains.find(nic.vm);
        if (domain == machine.domains.end() || !is_on(domain->second.state)) return "tap " + tap + " is left";
    }
    for (const VmId& vm : machine.seeds) {
        if (!vm_here(vm)) return "a seed is left of " + vm.str();
    }
    for (const auto& [id, file] : machine.volumes) {
        const Volume* volume = world.find<Volume>(id);
        if (volume == nullptr && cloud_.strays.contains(id)) continue;  // nobody's, until somebody says
        if (volume == nullptr || !volume->status.placement || volume->status.placement->host.id != host)
            return "a disk file is left of " + id.str();
    }
    for (const auto& [id, file] : machine.shared->volumes) {
        if (world.find<Volume>(id) == nullptr) return "a disk file is left of " + id.str() + " on a shared pool";
    }
    for (const auto& [id, text] : machine.shared->epoch_files) {
        if (!machine.shared->volumes.contains(id)) return "an epoch file is left of " + id.str();
    }
    for (const auto& [id, network] : machine.bridges) {
        if (world.find<NetworkObject>(id) == nullptr) return "a bridge is left of network " + network.name;
    }
    for (const auto& [name, content] : machine.files) {
        if (!name.starts_with("desired/")) continue;
        const auto record = from_json_text<DocumentRecord>(content.substr(0, content.find('\n')));
        if (!record || record->verdict == Verdict::gone) continue;
        bool owned = true;
        if (record->kind == DocumentKind::vm) owned = vm_here(record->id);
        if (record->kind == DocumentKind::volume)
            owned = world.find<Volume>(record->id) != nullptr || cloud_.strays.contains(VolumeId{record->id});
        if (record->kind == DocumentKind::network) owned = world.find<NetworkObject>(record->id) != nullptr;
        if (record->kind == DocumentKind::pool) owned = world.find<Pool>(record->id) != nullptr;
        if (!owned) return "document " + name + " is left";
    }
    return "";
}

}  // namespace axle::test
