// How far a live move is, from what libvirt tells of it: first of the disks, then of the memory, each counted by
// itself.
#pragma once
#include <cstdint>

namespace axle {

struct LiveMoveProgress {
    std::int64_t done = 0, total = 0;  // bytes of memory and disks
    std::int64_t downtime_ms = 0;      // expected, after the end measured; 0: not known
};

// One answer of virDomainGetJobStats; bytes, 0 where it doesn't say.
struct MoveStats {
    std::int64_t disk_total = 0, disk_left = 0;
    std::int64_t memory_total = 0, memory_left = 0;
    std::int64_t downtime_ms = 0;
};

// Adds them up. Neither bytes nor their share of the whole ever falls: what a guest writes anew goes twice and counts
// once.
class MoveTally {
  public:
    explicit MoveTally(std::int64_t memory) : memory_(memory) {}  // of the guest, bytes, > 0
    LiveMoveProgress take(const MoveStats& stats);

  private:
    std::int64_t memory_;
    std::int64_t disks_ = 0;
    std::int64_t done_ = 0;
};

}  // namespace axle
