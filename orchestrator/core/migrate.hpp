// Beginning to move a VM to another host, within a command or a controller's pass. Core thread, in a transaction.
#pragma once
#include "orchestrator/core/transaction.hpp"

namespace axle {

struct MoveWish {
    std::string host = {};  // name or id; empty: the scheduler's choice
    bool cold = false;
    std::int64_t bandwidth = 0;  // bytes a second at most; 0: no limit
    std::string requester;
};
// The task. A refusal names what is missing, for each host that was looked at.
Result<Uuid> begin_move(Transaction& tx, const Vm& vm, const MoveWish& wish);

// Code::busy while the VM does what nothing else may be done beside.
Result<> check_no_exclusive(const World& world, const Vm& vm);

}  // namespace axle
