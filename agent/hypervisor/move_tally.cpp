#include "agent/hypervisor/move_tally.hpp"

#include <algorithm>

namespace axle {

LiveMoveProgress MoveTally::take(const MoveStats& stats) {
    disks_ = std::max(disks_, stats.disk_total);
    const bool memory_goes = stats.memory_total > 0;  // the disks are there, and only kept alike
    const std::int64_t of_disks = memory_goes ? disks_ : stats.disk_total - stats.disk_left;
    // Of QEMU's own count, which has the video memory in it, the share: the whole is known from the start.
    const double share =
        memory_goes ? 1.0 - static_cast<double>(stats.memory_left) / static_cast<double>(stats.memory_total) : 0;
    const std::int64_t of_memory = static_cast<std::int64_t>(share * static_cast<double>(memory_));
    const std::int64_t total = disks_ + memory_;
    done_ = std::clamp<std::int64_t>(of_disks + of_memory, done_, total);
    return {.done = done_, .total = total, .downtime_ms = stats.downtime_ms};
}

}  // namespace axle
