#include "agent/core/attempt.hpp"

#include <algorithm>

namespace axle {

Attempt::Attempt(Clock& clock, Random& random, std::function<void()> look)
    : clock_(clock), random_(random), look_(std::move(look)) {}

Attempt::~Attempt() {
    for (const TimerId timer : {deadline_, scheduled_, retry_, later_}) clock_.cancel(timer);
}

void Attempt::kick() {
    if (busy_) {
        if (!planted().lose_wakeups) again_ = true;
        return;
    }
    if (backing_off_ || scheduled_ != 0) return;
    scheduled_ = clock_.after(milliseconds{0}, life_.wrap([this] {
        scheduled_ = 0;
        if (busy_) {
            again_ = true;
        } else {
            look_();
        }
    }));
}

void Attempt::kick_now() {
    failures_ = 0;
    if (backing_off_) {
        backing_off_ = false;
        clock_.cancel(retry_);
    }
    kick();
}

void Attempt::look_after(milliseconds delay) {
    const BootTime at = clock_.boot() + delay;
    if (later_ != 0 && later_at_ <= at) return;
    clock_.cancel(later_);
    later_at_ = at;
    later_ = clock_.after(delay, life_.wrap([this] {
        later_ = 0;
        kick();
    }));
}

void Attempt::back_off() {
    const auto doubled = kFirstDelay * (1LL << std::min(failures_, 8));
    const milliseconds delay = std::min<milliseconds>(doubled, kMaxDelay);
    const auto half = static_cast<std::uint64_t>(delay.count() / 2);
    ++failures_;
    again_ = false;  // the look after the wait sees all
    backing_off_ = true;
    clock_.cancel(retry_);
    retry_ = clock_.after(milliseconds{static_cast<std::int64_t>(half + random_.below(half + 1))}, life_.wrap([this] {
        backing_off_ = false;
        kick();
    }));
}

void Attempt::still_going() {
    if (!busy_) return;
    clock_.cancel(deadline_);
    deadline_ = clock_.after(patience_, life_.wrap([this] {
        const auto expire = expire_;  // the next job replaces it
        expire();
    }));
}

std::uint64_t Attempt::begin() {
    ENSURE(!busy_, "one job at a time per object");
    busy_ = true;
    return ++job_;
}

void Attempt::settle() {
    if (busy_ || !again_) return;
    again_ = false;
    kick();
}

}  // namespace axle
