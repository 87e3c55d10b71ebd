#include "common/loop/workers.hpp"

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "common/base/ensure.hpp"
#include "common/base/log.hpp"

namespace axle {

struct Workers::Impl {
    struct Lane {
        std::string name;
        std::deque<std::function<void()>> jobs;
        int running = 0, running_max = 0;
        bool in_turn = false;  // stands in `turns`: it has a job and may run one more
    };

    Impl(std::string name_given, WorkersOptions given) : name(std::move(name_given)), options(given) {
        common.running_max = options.threads;
    }
    // false: it is not taken, and the mutex is still held. Else it is not: who is told of a job asks for it at once.
    bool submit(std::unique_lock<std::mutex>& lock, Lane& lane, std::size_t lane_max, std::function<void()> job);
    // true: there is a turn more, and a worker is to be told.
    [[nodiscard]] bool offer(Lane& lane);
    void serve();
    void run(const std::function<void()>& job) const;

    const std::string name;
    const WorkersOptions options;
    mutable std::mutex mutex;  // guards all below but `threads`
    std::condition_variable work_told;
    Lane common;
    std::unordered_map<std::string, Lane> lanes;
    std::deque<Lane*> turns;
    std::size_t waiting = 0;
    bool closed = false;
    std::vector<std::thread> threads;
};

bool Workers::Impl::offer(Lane& lane) {
    if (lane.in_turn || lane.jobs.empty() || lane.running >= lane.running_max) return false;
    lane.in_turn = true;
    turns.push_back(&lane);
    return true;
}

bool Workers::Impl::submit(std::unique_lock<std::mutex>& lock, Lane& lane, std::size_t lane_max,
                           std::function<void()> job) {
    if (closed || waiting >= options.queue_max || lane.jobs.size() >= lane_max) return false;
    lane.jobs.push_back(std::move(job));
    ++waiting;
    const bool told = offer(lane);
    lock.unlock();
    if (told) work_told.notify_one();
    return true;
}

void Workers::Impl::run(const std::function<void()>& job) const {
    try {
        job();
    } catch (const std::exception& e) {
        log::error(fmt::format("worker {}: a job threw: {}", name, e.what()));
    }
}

void Workers::Impl::serve() {
    std::unique_lock lock(mutex);
    for (;;) {
        work_told.wait(lock, [&] { return !turns.empty() || (closed && waiting == 0); });
        if (turns.empty()) return;
        Lane& lane = *turns.front();
        turns.pop_front();
        lane.in_turn = false;
        auto job = std::move(lane.jobs.front());
        lane.jobs.pop_front();
        --waiting;
        ++lane.running;
        if (offer(lane)) work_told.notify_one();  // at the end of the line, so that lanes take turns
        if (closed && waiting == 0) work_told.notify_all();
        lock.unlock();
        run(job);
        job = nullptr;
        lock.lock();
        --lane.running;
        (void)offer(lane);  // its turn is this worker's, if nobody else takes it
        if (&lane != &common && lane.running == 0 && lane.jobs.empty()) lanes.erase(std::string(lane.name));
    }
}

Workers::Workers(std::string name, WorkersOptions options) : impl_(std::make_unique<Impl>(std::move(name), options)) {
    ENSURE(options.threads > 0 && options.lane_running_max > 0, "workers have threads and lanes may use some");
    for (int i = 0; i < options.threads; ++i) impl_->threads.emplace_back([this] { impl_->serve(); });
}

Workers::~Workers() {
    stop();
}

bool Workers::submit(std::function<void()> job) {
    std::unique_lock lock(impl_->mutex);
    return impl_->submit(lock, impl_->common, impl_->options.queue_max, std::move(job));
}

bool Workers::submit(const std::string& lane, std::function<void()> job) {
    std::unique_lock lock(impl_->mutex);
    auto& found = impl_->lanes[lane];
    found.name = lane;
    found.running_max = impl_->options.lane_running_max;
    if (impl_->submit(lock, found, impl_->options.lane_queue_max, std::move(job))) return true;
    if (found.running == 0 && found.jobs.empty()) impl_->lanes.erase(lane);
    return false;
}

void Workers::stop() {
    std::vector<std::thread> threads;
    {
        const std::lock_guard lock(impl_->mutex);
        impl_->closed = true;
        threads.swap(impl_->threads);
    }
    impl_->work_told.notify_all();
    for (auto& thread : threads) {
        ENSURE(thread.get_id() != std::this_thread::get_id(), "a worker doesn't stop its own pool");
        thread.join();
    }
}

std::size_t Workers::waiting() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->waiting;
}

}  // namespace axle
