// Both ends of an agent channel in one process: the all-in-one's, and the simulator's. What passes is the encoded text
// of the messages, so that both ends run the same code as over the wire.
#pragma once
#include <functional>
#include <memory>

#include "common/base/clock.hpp"
#include "common/channel/messages.hpp"

namespace axle {

// How a message gets to the other end: posts `deliver` to its executor, at once or later, never out of order. The
// simulator delays here. Default: at once.
using Carry = std::function<void(Executor& to, std::function<void()> deliver)>;

struct LinkEnds {
    std::unique_ptr<Channel> agent;
    std::unique_ptr<Channel> orchestrator;
};

// Each end is used and destroyed on the thread of its executor, which outlives it. Destroying or closing one end closes
// the other. An end whose owner does not keep up (kMaxUndelivered messages) is closed.
LinkEnds join_in_process(Executor& agent, Executor& orchestrator, Carry carry = {});

constexpr int kMaxUndelivered = 100'000;

}  // namespace axle
