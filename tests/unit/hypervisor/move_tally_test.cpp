// How far a live move is said to be.
#include "agent/hypervisor/move_tally.hpp"

#include <vector>

#include <doctest/doctest.h>

using namespace axle;

namespace {

constexpr std::int64_t kMiB = 1 << 20;

std::vector<int> percents(MoveTally& tally, const std::vector<MoveStats>& all) {
    std::vector<int> out;
    for (const MoveStats& stats : all) {
        const LiveMoveProgress p = tally.take(stats);
        out.push_back(p.total == 0 ? -1 : static_cast<int>(p.done * 100 / p.total));
    }
    return out;
}

}  // namespace

TEST_CASE("disks and then memory are one way, which never goes back") {
    MoveTally tally(256 * kMiB);
    const std::vector<MoveStats> told = {
        {},  // the job has begun, no more
        {.disk_total = 768 * kMiB, .disk_left = 384 * kMiB},
        {.disk_total = 768 * kMiB},
        // Memory: QEMU counts the video memory too. The mirror of the disks is told on, or not.
        {.memory_total = 272 * kMiB, .memory_left = 272 * kMiB},
        {.disk_total = 768 * kMiB, .disk_left = kMiB, .memory_total = 272 * kMiB, .memory_left = 136 * kMiB},
        {.memory_total = 272 * kMiB, .memory_left = 204 * kMiB},  // the guest has written much of it again
        {.memory_total = 272 * kMiB, .downtime_ms = 12},
    };
    CHECK(percents(tally, told) == std::vector{0, 37, 75, 75, 87, 87, 100});
}

TEST_CASE("a guest whose disks stay where they are moves its memory") {
    MoveTally tally(128 * kMiB);
    CHECK(percents(tally, {{.memory_total = 128 * kMiB, .memory_left = 64 * kMiB}, {.memory_total = 128 * kMiB}}) ==
          std::vector{50, 100});
    const LiveMoveProgress end = tally.take({.memory_total = 128 * kMiB, .downtime_ms = 7});
    CHECK(end.total == 128 * kMiB);
    CHECK(end.downtime_ms == 7);
}

TEST_CASE("what libvirt says that can't be is no more than all, and no less than before") {
    MoveTally tally(64 * kMiB);
    CHECK(tally.take({.disk_total = kMiB, .disk_left = 9 * kMiB}).done == 0);
    CHECK(tally.take({.memory_total = 1, .memory_left = 1 << 30}).done == 0);
    CHECK(tally.take({.memory_total = 64 * kMiB, .memory_left = -1}).done == tally.take({}).total);
}
