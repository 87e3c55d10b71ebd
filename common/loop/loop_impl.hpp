// Inside of Loop, shared with its watches. Only sources of this folder include it.
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include <ev.h>

#include "common/loop/loop.hpp"

namespace axle {

struct Loop::Impl {
    explicit Impl(std::string name_given);
    ~Impl();
    void run_posted();  // one batch
    // Runs a callback under the eye of the watchdog. what: a literal; job: to name the code behind it.
    template <class Job>
    void watched(const char* what, const Job& job) {
        const std::int64_t before = now_us();
        job();
        const std::int64_t took = now_us() - before;
        if (took > kSlowUs) told_slow(what, job.target_type(), took);
    }
    static std::int64_t now_us();
    void told_slow(const char* what, const std::type_info& code, std::int64_t took_us);
    void check_thread() const;  // a loop has one thread

    static constexpr std::int64_t kSlowUs = 50'000;
    const std::string name;
    struct ev_loop* ev;
    ev_async wake{};
    std::atomic<std::thread::id> thread{};  // inside run()
    std::atomic<std::uint64_t> slow = 0;

    std::atomic<int> waking = 0;  // post()s that have not sent their wake-up yet: run() and the end wait for them

    std::mutex mutex;  // guards the four below
    std::vector<std::function<void()>> posted;
    bool running = false;
    bool stopping = false;
    int in_place = 0;  // call()s that other threads carry out themselves, because nothing runs the loop: run() waits
    std::condition_variable in_place_over;

    TimerId last_timer = 0;
    std::unordered_map<TimerId, std::unique_ptr<Timer>> timers;
    struct Signal;
    std::unordered_map<int, std::unique_ptr<Signal>> signals;
};

}  // namespace axle
