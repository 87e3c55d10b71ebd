// The work on one object: at most one job at a time, late answers ignored by job number, a deadline for each job (its
// passing means: outcome unknown), retries with a jittered, capped back-off, and wake-ups that are never lost.
#pragma once
#include <functional>
#include <utility>

#include "agent/core/life.hpp"
#include "agent/core/planted.hpp"
#include "common/base/clock.hpp"
#include "common/base/ensure.hpp"
#include "common/base/result.hpp"

namespace axle {

class Attempt {
  public:
    // look: examines the object afresh and asks for at most one job. Called from a timer, never inside kick().
    Attempt(Clock& clock, Random& random, std::function<void()> look);
    ~Attempt();
    Attempt(const Attempt&) = delete;
    Attempt& operator=(const Attempt&) = delete;

    void kick();      // look soon; while a job runs: after it; while backing off: when that is over
    void kick_now();  // the same, and a back-off is cut short and forgotten: something that matters has changed
    void look_after(milliseconds delay);  // look then, too (the earlier of several)
    void back_off();                      // the job failed: look again later
    void ease() { failures_ = 0; }        // it works: the next back-off starts small
    bool busy() const { return busy_; }
    bool backing_off() const { return backing_off_; }
    int failures() const { return failures_; }

    // Begins a job. The answer goes to `then` unless it is late; if none comes before the deadline, `then` gets
    // Code::timeout. `then` may begin the next job, back off, or destroy this object.
    template <typename T>
    std::function<void(Result<T>)> job(std::function<void(Result<T>)> then, milliseconds deadline = kDeadline) {
        const std::uint64_t number = begin();
        patience_ = deadline;
        expire_ = [this, number, then, deadline] {
            end(number, [&] { then(fail(Code::timeout, "no answer within {} s", deadline.count() / 1000)); });
        };
        still_going();
        return life_.wrap([this, number, then = std::move(then)](Result<T> answer) {
            end(number, [&] { then(std::move(answer)); });
        });
    }

    // The running job tells progress: its deadline counts from now.
    void still_going();

    static constexpr milliseconds kDeadline{120'000};
    static constexpr milliseconds kFirstDelay{500}, kMaxDelay{60'000};

  private:
    std::uint64_t begin();
    template <typename F>
    void end(std::uint64_t number, F&& then) {
        const bool old = !busy_ || number != job_;
        if (old && !(busy_ && planted().believe_old_answers)) return;
        busy_ = false;
        clock_.cancel(deadline_);
        const auto alive = life_.token();
        then();
        if (!alive.expired()) settle();
    }
    void settle();

    Clock& clock_;
    Random& random_;
    std::function<void()> look_;
    std::uint64_t job_ = 0;
    TimerId deadline_ = 0, scheduled_ = 0, retry_ = 0, later_ = 0;
    BootTime later_at_;
    milliseconds patience_{0};
    std::function<void()> expire_;
    int failures_ = 0;
    bool busy_ = false, again_ = false, backing_off_ = false;
    Life life_;
};

}  // namespace axle
