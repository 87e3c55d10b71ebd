// Hears from the kernel what others do to the network: to what bears our mark, and to the host's own addresses and
// routes. It only says "look again"; what we do ourselves is heard, too, and then nothing is found to be done.
#pragma once
#include <functional>
#include <memory>

#include "agent/network/network.hpp"
#include "common/loop/loop.hpp"

namespace axle {

class NetlinkWatch {
  public:
    // Constructed, called and destroyed on any thread; `told` is called on the loop's. Without the kernel's groups (no
    // such family) it is silent, with a line in the log.
    NetlinkWatch(Loop& loop, std::function<void(NetworkHint)> told);
    ~NetlinkWatch();
    NetlinkWatch(const NetlinkWatch&) = delete;
    NetlinkWatch& operator=(const NetlinkWatch&) = delete;

    // Of one kind: told at once, then no more often than this, the last one never lost.
    static constexpr milliseconds kOursEvery{200}, kHostEvery{2'000};

  private:
    struct Ears;
    struct Place;
    Loop& loop_;
    std::shared_ptr<Place> place_;  // of the loop's thread
};

}  // namespace axle
