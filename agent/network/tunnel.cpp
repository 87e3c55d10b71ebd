#include "agent/network/tunnel.hpp"

#include <algorithm>

#include "common/model/format.hpp"

namespace axle {
namespace {

// What is to be added and removed, of the entries of one interface.
template <typename Entry>
struct Difference {
    std::vector<Entry> add, remove;
    Difference(std::vector<Entry> there, std::vector<Entry> wanted, int index) {
        std::erase_if(there, [&](const Entry& e) { return e.index != index; });
        std::ranges::sort(there);
        std::ranges::sort(wanted);
        std::ranges::set_difference(wanted, there, std::back_inserter(add));
        std::ranges::set_difference(there, wanted, std::back_inserter(remove));
    }
};

const Link* find(const std::vector<Link>& links, const std::string& name) {
    const auto found = std::ranges::find(links, name, &Link::name);
    return found == links.end() ? nullptr : &*found;
}

Result<int> make_device(Rtnetlink& rtnl, const std::vector<Link>& links, const NetworkDocument& network,
                        const std::string& alias, int bridge) {
    const std::string name = tunnel_name(network.id);
    const Vxlan wanted{.vni = network.vni, .local = network.underlay, .port = kTunnelPort};
    const Link* there = find(links, name);
    if (there != nullptr && there->alias != alias)
        return fail(Code::conflict, "an interface {} is there that Axle did not make; remove or rename it", name);
    if (there != nullptr && there->vxlan != wanted) {
        TRY_VOID(rtnl.remove_link(there->index));  // the host has another address now
        there = nullptr;
    }
    if (there != nullptr && there->master == bridge && there->up && there->mtu == network.mtu) return there->index;
    int index = there != nullptr ? there->index : 0;
    if (there == nullptr) {
        TRY(made, rtnl.add_vxlan(name, wanted, alias));
        index = made;
        rtnl.keep_silent(index);
    }
    TRY_VOID(rtnl.set_link(index, {.master = bridge, .mtu = network.mtu}));
    TRY_VOID(rtnl.make_port_known_only(index));
    TRY_VOID(rtnl.set_link(index, {.up = true}));
    return index;
}

}  // namespace

bool wants_tunnel(const NetworkDocument& network) {
    return network.type == NetworkType::nat && network.vni > 0 && !network.underlay.empty() && !network.peers.empty();
}

Result<> apply_tunnel(Rtnetlink& rtnl, const std::vector<Link>& links, const KnownNeighbours& known,
                      const NetworkDocument& network, const std::string& alias) {
    const Link* bridge = find(links, network.bridge);
    if (bridge == nullptr) return fail(Code::not_found, "bridge {} is not there", network.bridge);
    const bool wanted = wants_tunnel(network);
    int device = 0;
    if (wanted) {
        TRY(made, make_device(rtnl, links, network, alias, bridge->index));
        device = made;
    }
    std::vector<ForwardingEntry> forwarding;
    std::vector<Neighbour> neighbours;
    for (const NetworkPeer& peer : wanted ? network.peers : std::vector<NetworkPeer>{}) {
        if (why_not(Format::mac, peer.mac)) continue;
        forwarding.push_back({device, peer.mac, peer.host});
        forwarding.push_back({device, peer.mac, ""});
        if (parse_ipv4(peer.address)) neighbours.push_back({bridge->index, peer.address, peer.mac});
    }
    const Difference<ForwardingEntry> ways(known.forwarding, std::move(forwarding), device);
    const Difference<Neighbour> names(known.neighbours, std::move(neighbours), bridge->index);
    // A guest that moved: its new way replaces the old one. What goes goes first, else it would take the new with it.
    if (wanted) {
        TRY_VOID(rtnl.change_forwarding(false, ways.remove));
        TRY_VOID(rtnl.change_forwarding(true, ways.add));
    }
    TRY_VOID(rtnl.change_neighbours(false, names.remove));
    return rtnl.change_neighbours(true, names.add);
}

}  // namespace axle
