// One libev loop: the thread of a core, or the one that carries all connections. It is the Executor and the Clock of
// its thread. A callback that takes over 50 ms is counted and named in the log.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/base/clock.hpp"

namespace axle {

// Constructed and destroyed on any thread, not while it runs. Unless said otherwise methods are for the loop's own
// thread (the one inside run()) or for any one thread while it doesn't run. Watches and timers must not outlive it.
class Loop final : public Executor, public Clock {
  public:
    explicit Loop(std::string name);  // stands in the log beside slow callbacks
    ~Loop() override;
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    // Runs callbacks on the calling thread until stop(). What was posted until then has run when it returns. May be
    // called again after it has returned.
    void run();
    // Any thread, idempotent. A stop() before run() makes that run() do what was posted, and return.
    void stop();
    bool on_own_thread() const;  // any thread

    // Any thread. In order. What is posted after the end of run() waits for the next run() or is destroyed with the
    // loop.
    void post(std::function<void()> job) override;
    // Any thread. Runs the job on the loop's thread and waits for it; in place when this is that thread or nothing runs
    // the loop.
    void call(const std::function<void()>& job);

    WallTime wall() const override;  // any thread
    BootTime boot() const override;  // any thread
    TimerId after(milliseconds delay, std::function<void()> then) override;
    void cancel(TimerId timer) override;

    // The signal is taken over for the whole process by this loop; a second handler replaces the first.
    void on_signal(int number, std::function<void()> then);

    std::uint64_t slow_callbacks() const;  // any thread: how many took over 50 ms since the start

    struct Impl;
    Impl& impl() { return *impl_; }  // for the watches of this folder

  private:
    std::unique_ptr<Impl> impl_;
};

// Watches a descriptor that somebody else owns and closes, after the watch. Level-triggered: called again as long as
// it is ready. Errors and hang-ups show as readable and writable. May be destroyed inside its own callback. Loop thread
// only.
class IoWatch {
  public:
    using Ready = std::function<void(bool readable, bool writable)>;
    IoWatch(Loop& loop, const char* name, int fd, bool read, bool write, Ready ready);  // name: a literal
    ~IoWatch();
    IoWatch(const IoWatch&) = delete;
    IoWatch& operator=(const IoWatch&) = delete;
    void want(bool read, bool write);  // neither: pauses
    bool wants_read() const;
    bool wants_write() const;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

// A timer that is started again and again. May be destroyed inside its own callback. Loop thread only.
class Timer {
  public:
    Timer(Loop& loop, const char* name, std::function<void()> then);  // name: a literal
    ~Timer();
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    void start(milliseconds delay);  // once; one that runs already is set anew
    void repeat(milliseconds every);
    void stop();
    bool active() const;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace axle
