// What malloc holds and nobody uses any more.
#pragma once
#include <cstdint>

namespace axle {

// Gives it back to the kernel if it is worth the work: after a flood of large requests that is all but everything that
// the process has. Returns the bytes that were not in use, 0: not worth it. May take some ms: not on a loop.
std::int64_t give_back_memory();

}  // namespace axle
