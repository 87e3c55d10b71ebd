#include "common/loop/loop.hpp"

#include <condition_variable>
#include <cstdlib>
#include <ctime>
#include <cxxabi.h>

#include "common/base/ensure.hpp"
#include "common/base/log.hpp"
#include "common/loop/loop_impl.hpp"

namespace axle {

struct Loop::Impl::Signal {
    Signal(Impl& owner, int number, std::function<void()> then) : impl(owner), told(std::move(then)) {
        ev_signal_init(
            &watch, [](struct ev_loop*, ev_signal* w, int) { static_cast<Signal*>(w->data)->fired(); }, number);
        watch.data = this;
        ev_signal_start(impl.ev, &watch);
    }
    ~Signal() { ev_signal_stop(impl.ev, &watch); }
    void fired() { impl.watched("signal", told); }

    Impl& impl;
    std::function<void()> told;
    ev_signal watch{};
};

Loop::Impl::Impl(std::string name_given) : name(std::move(name_given)), ev(ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV)) {
    ENSURE(ev != nullptr, "the kernel offers epoll");
    ev_async_init(&wake, [](struct ev_loop*, ev_async* w, int) { static_cast<Impl*>(w->data)->run_posted(); });
    wake.data = this;
    ev_async_start(ev, &wake);
}

Loop::Impl::~Impl() {
    while (waking != 0) std::this_thread::yield();
    signals.clear();
    timers.clear();
    for (;;) {  // a job that is destroyed may post: a reply that nobody gave, for one
        std::vector<std::function<void()>> jobs;
        {
            const std::lock_guard lock(mutex);
            jobs.swap(posted);
        }
        if (jobs.empty()) break;
    }
    ev_async_stop(ev, &wake);
    ev_loop_destroy(ev);
}

std::int64_t Loop::Impl::now_us() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
}

void Loop::Impl::told_slow(const char* what, const std::type_info& code, std::int64_t took_us) {
    slow.fetch_add(1, std::memory_order_relaxed);
    int status = 0;
    char* const words = abi::__cxa_demangle(code.name(), nullptr, nullptr, &status);
    log::warning(
        fmt::format("loop {}: {} held the loop for {} ms (limit {})", name, what, took_us / 1000, kSlowUs / 1000),
        {{"CALLBACK", words != nullptr ? words : code.name()}});
    std::free(words);
}

void Loop::Impl::check_thread() const {
    const auto owner = thread.load(std::memory_order_relaxed);
    ENSURE(owner == std::thread::id{} || owner == std::this_thread::get_id(),
           "timers and watches are for the loop's thread: post()");
}

void Loop::Impl::run_posted() {
    std::vector<std::function<void()>> jobs;
    {
        const std::lock_guard lock(mutex);
        jobs.swap(posted);
    }
    for (auto& job : jobs) {
        watched("posted job", job);
        job = nullptr;  // what it owns goes before the next one runs
    }
}

Loop::Loop(std::string name) : impl_(std::make_unique<Impl>(std::move(name))) {}
Loop::~Loop() {
    ENSURE(impl_->thread.load() == std::thread::id{}, "a loop is destroyed after run() has returned");
}

void Loop::run() {
    Impl& in = *impl_;
    {
        std::unique_lock lock(in.mutex);
        ENSURE(!in.running, "one thread runs a loop");
        in.in_place_over.wait(lock, [&] { return in.in_place == 0; });
        in.running = true;
        in.thread = std::this_thread::get_id();
    }
    for (;;) {
        in.run_posted();
        {
            const std::lock_guard lock(in.mutex);
            if (!in.posted.empty()) continue;
            if (in.stopping && in.waking == 0) {
                in.running = in.stopping = false;
                in.thread = std::thread::id{};
                return;
            }
            if (in.stopping) continue;
        }
        ev_run(in.ev, EVRUN_ONCE);
    }
}

void Loop::stop() {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
    ev_async_send(impl_->ev, &impl_->wake);
}

bool Loop::on_own_thread() const {
    return impl_->thread.load(std::memory_order_relaxed) == std::this_thread::get_id();
}

void Loop::post(std::function<void()> job) {
    Impl& in = *impl_;
    {
        const std::lock_guard lock(in.mutex);
        in.posted.push_back(std::move(job));
        if (in.posted.size() > 1) return;  // one wake-up a batch
        ++in.waking;
    }
    ev_async_send(in.ev, &in.wake);  // not under the mutex: it is what the woken thread asks for first
    --in.waking;
}

void Loop::call(const std::function<void()>& job) {
    if (on_own_thread()) return job();
    std::mutex mutex;
    std::condition_variable done_told;
    bool done = false;
    {
        std::unique_lock lock(impl_->mutex);
        if (!impl_->running) {
            ++impl_->in_place;
            lock.unlock();
            job();
            lock.lock();
            if (--impl_->in_place == 0) impl_->in_place_over.notify_all();
            return;
        }
        impl_->posted.emplace_back([&] {  // run() returns only when the queue is empty, so this runs
            job();
            const std::lock_guard told(mutex);
            done = true;
            done_told.notify_one();
        });
        ev_async_send(impl_->ev, &impl_->wake);
    }
    std::unique_lock lock(mutex);
    done_told.wait(lock, [&] { return done; });
}

WallTime Loop::wall() const {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return {std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000};
}

BootTime Loop::boot() const {
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return {std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000};
}

TimerId Loop::after(milliseconds delay, std::function<void()> then) {
    Impl& in = *impl_;
    const TimerId id = ++in.last_timer;
    auto timer = std::make_unique<Timer>(*this, "timer", [&in, id, then = std::move(then)] {
        const auto spent = in.timers.extract(id);  // the callback may ask for the next one, or cancel this
        then();
    });
    timer->start(delay);
    in.timers.emplace(id, std::move(timer));
    return id;
}

void Loop::cancel(TimerId timer) {
    impl_->check_thread();
    impl_->timers.erase(timer);
}

void Loop::on_signal(int number, std::function<void()> then) {
    impl_->check_thread();
    impl_->signals.erase(number);
    impl_->signals.emplace(number, std::make_unique<Impl::Signal>(*impl_, number, std::move(then)));
}

std::uint64_t Loop::slow_callbacks() const {
    return impl_->slow.load(std::memory_order_relaxed);
}

}  // namespace axle
