#include "common/base/ensure.hpp"
#include "common/loop/loop_impl.hpp"

namespace axle {

// The state outlives the handle while a callback runs, so that the callback may destroy the handle.
struct IoWatch::State : std::enable_shared_from_this<IoWatch::State> {
    State(Loop::Impl& owner, const char* name_given, Ready ready_given)
        : impl(owner), name(name_given), ready(std::move(ready_given)) {}
    void fired(int events) {
        const auto keep = shared_from_this();
        const std::int64_t before = Loop::Impl::now_us();
        ready((events & EV_READ) != 0, (events & EV_WRITE) != 0);
        const std::int64_t took = Loop::Impl::now_us() - before;
        if (took > Loop::Impl::kSlowUs) impl.told_slow(name, ready.target_type(), took);
    }

    Loop::Impl& impl;
    const char* name;
    Ready ready;
    ev_io watch{};
    int wanted = 0;
};

IoWatch::IoWatch(Loop& loop, const char* name, int fd, bool read, bool write, Ready ready)
    : state_(std::make_shared<State>(loop.impl(), name, std::move(ready))) {
    ev_io_init(
        &state_->watch, [](struct ev_loop*, ev_io* w, int events) { static_cast<State*>(w->data)->fired(events); }, fd,
        0);
    state_->watch.data = state_.get();
    want(read, write);
}

IoWatch::~IoWatch() {
    state_->impl.check_thread();
    ev_io_stop(state_->impl.ev, &state_->watch);
}

void IoWatch::want(bool read, bool write) {
    state_->impl.check_thread();
    const int events = (read ? EV_READ : 0) | (write ? EV_WRITE : 0);
    if (events == state_->wanted) return;
    state_->wanted = events;
    ev_io_stop(state_->impl.ev, &state_->watch);
    if (events == 0) return;
    ev_io_modify(&state_->watch, events);
    ev_io_start(state_->impl.ev, &state_->watch);
}

bool IoWatch::wants_read() const {
    return (state_->wanted & EV_READ) != 0;
}
bool IoWatch::wants_write() const {
    return (state_->wanted & EV_WRITE) != 0;
}

struct Timer::State : std::enable_shared_from_this<Timer::State> {
    State(Loop::Impl& owner, const char* name_given, std::function<void()> then_given)
        : impl(owner), name(name_given), then(std::move(then_given)) {}
    void fired() {
        const auto keep = shared_from_this();
        impl.watched(name, then);
    }

    Loop::Impl& impl;
    const char* name;
    std::function<void()> then;
    ev_timer watch{};
};

Timer::Timer(Loop& loop, const char* name, std::function<void()> then)
    : state_(std::make_shared<State>(loop.impl(), name, std::move(then))) {
    ev_timer_init(
        &state_->watch, [](struct ev_loop*, ev_timer* w, int) { static_cast<State*>(w->data)->fired(); }, 0., 0.);
    state_->watch.data = state_.get();
}

Timer::~Timer() {
    stop();
}

void Timer::start(milliseconds delay) {
    stop();
    ev_now_update(state_->impl.ev);  // else the time that this round has taken so far would be missing
    ev_timer_set(&state_->watch, static_cast<double>(delay.count()) / 1000., 0.);
    ev_timer_start(state_->impl.ev, &state_->watch);
}

void Timer::repeat(milliseconds every) {
    ENSURE(every.count() > 0, "a repeating timer has a period");
    stop();
    const double period = static_cast<double>(every.count()) / 1000.;
    ev_now_update(state_->impl.ev);
    ev_timer_set(&state_->watch, period, period);
    ev_timer_start(state_->impl.ev, &state_->watch);
}

void Timer::stop() {
    state_->impl.check_thread();
    ev_timer_stop(state_->impl.ev, &state_->watch);
}

bool Timer::active() const {
    return ev_is_active(&state_->watch);
}

}  // namespace axle
