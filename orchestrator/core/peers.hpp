// What the hosts of a network know of each other's guests. Pure; core thread.
#pragma once
#include <set>

#include "common/channel/documents.hpp"
#include "orchestrator/core/world.hpp"

namespace axle {

// Fills in a nat network's guests on other hosts, and which host each is on. With none elsewhere, or while a host's
// address isn't known, the network is this host's alone.
void add_peers(const World& world, const NetworkObject& network, const Uuid& host, NetworkDocument& document);

// Hosts that have a guest in the network.
std::set<Uuid> hosts_of(const World& world, const Uuid& network);

// Networks in which a change of one object makes other hosts know a guest, or reach it, differently. Seldom any: then
// it costs a look at all VMs of each.
std::set<Uuid> networks_seen_elsewhere(const World& world, const Object* before, const Object* after);

}  // namespace axle
