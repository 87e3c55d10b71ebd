// Why a VM is where it is. A decision can be as long as the fleet; it is in a row of its own, written when a place is
// taken and read when somebody asks, so that neither the VM's record nor the world carries it along.
#pragma once
#include "common/model/compute.hpp"
#include "orchestrator/core/transaction.hpp"

namespace axle {

// Each belongs to one placement of a VM, also to one that is yet to come by a move.
void keep_decision(Transaction& tx, const Uuid& vm, const Epoch& placement, const Decision& decision);
// Rows that go with placements which a change ends. after: null: the VM is gone. Every commit asks.
std::vector<Write> decisions_that_go(const Vm& before, const Vm* after);
// nullopt: none was kept. Reads what is durable, from disk.
std::optional<Decision> decision_of(const Store& store, const Uuid& vm, const Epoch& placement);

}  // namespace axle
