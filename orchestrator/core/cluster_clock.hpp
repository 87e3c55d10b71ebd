// Cluster time: milliseconds that retention runs on (DESIGN 4). Stored, advanced by the boot-time clock; time off
// counts at most one hour a start. Where it lies behind the wall clock it runs at double speed until level; ahead of it
// it waits. So a wall clock that jumps by years expunges nothing early. Pure.
#pragma once
#include <algorithm>
#include <cstdint>

namespace axle {

struct ClusterClock {
    static constexpr std::int64_t kOffMax = 3'600'000;
    static constexpr std::int64_t kApartMax = INT64_C(30) * 24 * 3'600'000;

    std::int64_t time = 0;  // ms
    // At start: what was stored, and how far the wall clock has moved since it was stored.
    static ClusterClock start(std::int64_t stored, std::int64_t stored_wall, std::int64_t wall) {
        return {stored + std::clamp<std::int64_t>(wall - stored_wall, 0, kOffMax)};
    }
    // `passed` ms by the boot-time clock.
    void advance(std::int64_t passed, std::int64_t wall) {
        const std::int64_t behind = wall - time;
        if (behind < 0)
            time += std::clamp<std::int64_t>(passed + behind, 0, passed);
        else
            time += passed + std::min(passed, std::max<std::int64_t>(behind - passed, 0));
    }
    bool is_apart(std::int64_t wall) const { return wall - time > kApartMax || time - wall > kApartMax; }
};

}  // namespace axle
