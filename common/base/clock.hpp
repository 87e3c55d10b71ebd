// The seam through which cores see time. Production: common/loop. Simulator: a virtual clock. Core code includes no
// other source of time.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>

namespace axle {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Milliseconds since 1970-01-01 UTC by the wall clock, which may jump. For display, tokens, certificates.
struct WallTime {
    std::int64_t ms = 0;
    auto operator<=>(const WallTime&) const = default;
};
// Milliseconds since the machine booted (CLOCK_BOOTTIME); never jumps, never compared between machines. For time-outs.
struct BootTime {
    std::int64_t ms = 0;
    auto operator<=>(const BootTime&) const = default;
    BootTime operator+(milliseconds d) const { return {ms + d.count()}; }
    milliseconds operator-(BootTime other) const { return milliseconds{ms - other.ms}; }
};

using TimerId = std::uint64_t;  // 0: none

class Clock {
  public:
    virtual ~Clock() = default;
    virtual WallTime wall() const = 0;
    virtual BootTime boot() const = 0;
    // Calls `then` once on the core thread, not before `delay`. Never inside after() itself.
    virtual TimerId after(milliseconds delay, std::function<void()> then) = 0;
    // The timer will not fire any more; an unknown or spent id is ignored.
    virtual void cancel(TimerId timer) = 0;
};

// Random numbers for ids, addresses and jitter. Production: getrandom. Simulator: from the seed.
class Random {
  public:
    virtual ~Random() = default;
    virtual std::uint64_t next() = 0;
    // Uniform in [0, bound). bound > 0.
    std::uint64_t below(std::uint64_t bound) { return next() % bound; }
};

// Runs things on the thread that owns a core. post() may be called from any thread; what was posted runs in order.
class Executor {
  public:
    virtual ~Executor() = default;
    virtual void post(std::function<void()> job) = 0;
};

}  // namespace axle
