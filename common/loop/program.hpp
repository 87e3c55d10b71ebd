// What every long-running program of ours does alike: ends on SIGTERM and SIGINT, tells the service manager that it is
// ready and alive.
#pragma once
#include <atomic>
#include <future>
#include <thread>
#include <vector>

#include "common/loop/loop.hpp"

namespace axle {

class Program {
  public:
    // io: takes the signals. others: loops that must turn, too, for the program to count as alive; they must outlive
    // it.
    Program(Loop& io, std::vector<Loop*> others = {});
    ~Program();  // the loops' threads end

    // Runs the loops, each on a thread of its own. Ignores SIGPIPE.
    void start();
    void tell_ready();
    void wait();  // until a signal, or end()
    // Any thread. for_good: false: the process begins anew by itself, and the service manager is not told that it ends.
    void end(bool for_good = true);
    bool is_ending() const { return ending_; }
    // Stops one loop and joins its thread; idempotent. io stops last, in the destructor.
    void stop_loop(Loop& loop);

  private:
    void notify_watchdog();

    Loop& io_;
    std::vector<Loop*> others_;
    std::atomic<bool> ending_ = false, for_good_ = true;
    std::promise<void> end_wanted_;
    struct Running {
        Loop* loop;
        std::jthread thread;
    };
    std::vector<Running> running_;
};

}  // namespace axle
