#include "orchestrator/core/peers.hpp"

#include <algorithm>

namespace axle {
namespace {

const std::string& underlay_of(const World& world, const Uuid& host) {
    static const std::string none;
    const Host* h = world.find<Host>(host);
    return h == nullptr ? none : h->status.facts.underlay;
}

// A NIC as the other hosts of its network know it.
struct PeerNic {
    Uuid network, host;
    std::string mac, address;
    auto operator<=>(const PeerNic&) const = default;
};
// call(network, host, NIC's status)
template <typename F>
void each_peer_nic(const Vm& vm, F&& call) {
    if (!vm.status.placement || vm.status.gone || vm.is_final()) return;
    for (const auto& [name, nic] : vm.spec.nics) {
        const auto status = vm.status.nics.find(name);
        if (status != vm.status.nics.end()) call(nic.network.id, vm.status.placement->host.id, status->second);
    }
}
std::set<PeerNic> peer_nics(const Vm& vm) {
    std::set<PeerNic> out;
    each_peer_nic(vm, [&](const Uuid& network, const Uuid& host, const VmNicStatus& nic) {
        out.insert({network, host, nic.mac, nic.address});
    });
    return out;
}

}  // namespace

void add_peers(const World& world, const NetworkObject& network, const Uuid& host, NetworkDocument& d) {
    const std::string& own = underlay_of(world, host);
    if (network.spec.type != NetworkType::nat || network.status.vni == 0 || own.empty()) return;
    for (const Key& key : world.referrers(network.meta.id)) {
        if (key.kind != Kind::vm) continue;
        each_peer_nic(*world.find<Vm>(key.id), [&](const Uuid& its, const Uuid& at, const VmNicStatus& nic) {
            if (its != network.meta.id || at == host) return;
            if (const std::string& there = underlay_of(world, at); !there.empty())
                d.peers.push_back({nic.mac, nic.address, there});
        });
    }
    if (d.peers.empty()) return;
    d.vni = network.status.vni;
    d.underlay = own;
    std::ranges::sort(d.peers, {}, &NetworkPeer::mac);
}

std::set<Uuid> hosts_of(const World& world, const Uuid& network) {
    std::set<Uuid> out;
    for (const Key& key : world.referrers(network)) {
        if (key.kind != Kind::vm) continue;
        const Vm* vm = world.find<Vm>(key.id);
        if (vm->status.placement) out.insert(vm->status.placement->host.id);
        if (vm->status.migration) out.insert(vm->status.migration->host.id);  // it has guests of its own, soon
    }
    return out;
}

std::set<Uuid> networks_seen_elsewhere(const World& world, const Object* before, const Object* after) {
    std::set<Uuid> out;
    const Object& object = after != nullptr ? *after : *before;
    if (world.all(Kind::host).size() < 2) return out;
    if (object.kind() == Kind::vm) {
        const auto nics = [](const Object* o) {
            return o == nullptr ? std::set<PeerNic>{} : peer_nics(static_cast<const Vm&>(*o));
        };
        const std::set<PeerNic> was = nics(before), is = nics(after);
        std::vector<PeerNic> other;
        std::ranges::set_symmetric_difference(was, is, std::back_inserter(other));
        for (const PeerNic& nic : other) {
            const auto* network = world.find<NetworkObject>(nic.network);
            const bool spans = network != nullptr && network->status.vni != 0 && network->spec.type == NetworkType::nat;
            if (spans && !underlay_of(world, nic.host).empty()) out.insert(nic.network);
        }
    }
    if (object.kind() == Kind::host) {
        const auto underlay = [](const Object* o) {
            return o == nullptr ? std::string{} : static_cast<const Host&>(*o).status.facts.underlay;
        };
        if (underlay(before) == underlay(after)) return out;
        for (const Key& key : world.referrers(object.meta.id)) {
            if (key.kind != Kind::vm) continue;
            for (const PeerNic& nic : peer_nics(*world.find<Vm>(key.id))) out.insert(nic.network);
        }
    }
    return out;
}

}  // namespace axle
