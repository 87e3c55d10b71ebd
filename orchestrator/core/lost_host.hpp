// Giving up a host that is lost, and what becomes of its guests. The command; the work is the controllers'.
#pragma once
#include <string>
#include <vector>

#include "orchestrator/core/service.hpp"
#include "orchestrator/core/transaction.hpp"

namespace axle {

// A sentence for each VM and volume there.
std::vector<std::string> consequences_of_loss(const World& world, const Uuid& host);
// Refused while it is connected. In a dry run only the consequences are of interest (Mutated::notes).
Result<Mutated> give_up_host(Transaction& tx, const Mutation& m, const Host& host);

}  // namespace axle
