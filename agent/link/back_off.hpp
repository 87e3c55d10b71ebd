// How long an agent waits before it dials again. Ten thousand that lost the same orchestrator must not come back in the
// same instant: each wait is a random one from half to one and a half of a delay, which doubles up to a maximum.
#pragma once
#include <algorithm>

#include "common/base/clock.hpp"

namespace axle {

inline milliseconds jittered(milliseconds delay, Random& random) {
    const auto ms = static_cast<std::uint64_t>(delay.count());
    return milliseconds{ms / 2 + random.below(ms + 1)};
}

class BackOff {
  public:
    BackOff(milliseconds first, milliseconds most) : first_(first), most_(most), delay_(first) {}

    milliseconds next(Random& random) {
        const milliseconds wait = jittered(delay_, random);
        delay_ = std::min(delay_ * 2, most_);
        return wait;
    }
    void reset() { delay_ = first_; }

  private:
    const milliseconds first_, most_;
    milliseconds delay_;
};

}  // namespace axle
