// The machine's clocks, for edges that have a thread of their own and no loop (committers, workers). Cores get a Clock.
#pragma once
#include "common/base/clock.hpp"

namespace axle {

WallTime wall_now();  // may jump
BootTime boot_now();  // CLOCK_BOOTTIME: goes on while the machine sleeps, never jumps

}  // namespace axle
