// An executor whose jobs run when the test's thread says so; others may post from any thread.
#pragma once
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>

#include "common/base/clock.hpp"

namespace axle::test {

class WaitingExecutor final : public Executor {
  public:
    void post(std::function<void()> job) override {
        {
            const std::lock_guard hold(mutex_);
            jobs_.push_back(std::move(job));
        }
        posted_.notify_one();
    }
    // What is there, and what that posts.
    void run() {
        while (auto job = take(milliseconds{0})) job();
    }
    // Runs jobs as they come until `done`, at most for `patience`; says whether it is done.
    bool run_until(const std::function<bool()>& done, milliseconds patience = seconds{30}) {
        const auto deadline = std::chrono::steady_clock::now() + patience;
        while (!done()) {
            if (std::chrono::steady_clock::now() > deadline) return false;
            if (auto job = take(milliseconds{5})) job();
        }
        return true;
    }

  private:
    std::function<void()> take(milliseconds patience) {
        std::unique_lock hold(mutex_);
        if (!posted_.wait_for(hold, patience, [this] { return !jobs_.empty(); })) return nullptr;
        auto job = std::move(jobs_.front());
        jobs_.pop_front();
        return job;
    }

    std::mutex mutex_;
    std::condition_variable posted_;
    std::deque<std::function<void()>> jobs_;
};

}  // namespace axle::test
