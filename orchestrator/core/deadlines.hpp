// When what is deleted goes for good.
#pragma once
#include "orchestrator/core/transaction.hpp"

namespace axle {

// Of something deleted: it can be restored until then (cluster time) at most. Never later than it was.
void expunge_by(Transaction& tx, const Key& key, std::int64_t at);

}  // namespace axle
