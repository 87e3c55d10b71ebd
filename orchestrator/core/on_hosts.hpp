// What hosts tell of pools and networks (common/model/on_host.hpp): where it stands, and what follows for the pool or
// the network as a whole. Pure, but for those that take a transaction.
#pragma once
#include <vector>

#include "orchestrator/core/transaction.hpp"

namespace axle {

const ReportedPool* reported_pool(const Host& host, const Uuid& pool);  // null: it has not told of it
// The entry, made if it isn't there.
ReportedPool& note_pool(Host& host, const Ref& pool);
// From now on the host may have furniture of the VM's networks, whether it has said so or not.
void note_networks(Transaction& tx, const Vm& vm, const Uuid& host);
// Rows of Table::networks_on_hosts.
std::string network_on_key(const Uuid& host, const Uuid& network);
Result<> load_networks_on_hosts(const Store& store, World& world);

// The pool with its status filled in.
ObjectPtr pool_as_told(const World& world, const Pool& pool);

struct NetworkSummary {
    bool ready = false;  // on every host that has told of it, and one has
    std::vector<Condition> conditions;
};
NetworkSummary summary_of(const World& world, const Uuid& network);

// Pools that the host has told of before a change, and not after it.
std::vector<Key> pools_no_longer_told(const ChangeEvent& event);

}  // namespace axle
