// A nat network as one segment over several hosts: a VXLAN device on its bridge that knows every guest elsewhere by the
// network's document. Nothing is flooded, nothing learned: the bridge answers ARP for guests elsewhere, and each host
// serves gateway, DHCP and DNS to its own.
#pragma once
#include <string>
#include <vector>

#include "agent/network/network.hpp"
#include "agent/network/rtnetlink.hpp"

namespace axle {

// Of our own, so that nothing of another's VXLAN (Docker's 4789) is touched by the rules on it.
constexpr int kTunnelPort = 7445;

bool wants_tunnel(const NetworkDocument& network);

// What stands in the kernel's tables, looked at once for all networks.
struct KnownNeighbours {
    std::vector<ForwardingEntry> forwarding;
    std::vector<Neighbour> neighbours;
};

// Makes device and entries as the document says, and takes away entries that it doesn't name; a network that wants no
// tunnel only loses entries (the device is swept). The bridge is there. Workers; idempotent.
Result<> apply_tunnel(Rtnetlink& rtnl, const std::vector<Link>& links, const KnownNeighbours& known,
                      const NetworkDocument& network, const std::string& alias);

}  // namespace axle
