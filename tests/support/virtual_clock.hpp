// Time, order and chance of a simulation: one queue of events on a virtual clock, with random numbers from one seed
// (SeededRandom). Everything runs on the caller's thread; nothing ever sleeps. The same seed gives the same run.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "common/base/clock.hpp"
#include "tests/support/seeded_random.hpp"

namespace axle::test {

// The queue of all that will happen. Events of the same instant run in the order in which they were asked for.
class VirtualTime {
  public:
    using Key = std::pair<std::int64_t, std::uint64_t>;  // when, and the how-manieth

    std::int64_t now_ms() const { return now_ms_; }
    Key at(std::int64_t when_ms, std::function<void()> job) {
        const Key key{when_ms < now_ms_ ? now_ms_ : when_ms, ++asked_};
        queue_.emplace(key, std::move(job));
        return key;
    }
    Key after(milliseconds delay, std::function<void()> job) { return at(now_ms_ + delay.count(), std::move(job)); }
    void cancel(const Key& key) { queue_.erase(key); }
    bool empty() const { return queue_.empty(); }
    std::size_t waiting() const { return queue_.size(); }
    std::uint64_t events_run() const { return run_; }

    // Runs the next event; false when there is none.
    bool step() {
        if (queue_.empty()) return false;
        auto next = queue_.extract(queue_.begin());
        now_ms_ = next.key().first;
        ++run_;
        next.mapped()();
        if (after_each_) after_each_();
        return true;
    }
    void run_for(milliseconds span) {
        const std::int64_t end = now_ms_ + span.count();
        while (!queue_.empty() && queue_.begin()->first.first <= end) step();
        now_ms_ = end;
    }
    // Runs until the claim holds; false when it does not within `limit`.
    bool run_until(const std::function<bool()>& claim, milliseconds limit) {
        const std::int64_t end = now_ms_ + limit.count();
        while (!claim()) {
            if (queue_.empty() || queue_.begin()->first.first > end) return now_ms_ = end, claim();
            step();
        }
        return true;
    }
    // Called after every event: the place for invariants.
    void after_each(std::function<void()> check) { after_each_ = std::move(check); }

  private:
    std::map<Key, std::function<void()>> queue_;
    std::function<void()> after_each_;
    std::int64_t now_ms_ = 0;
    std::uint64_t asked_ = 0;
    std::uint64_t run_ = 0;
};

// What one simulated process sees of time, and its executor. Destroying it (a crash) drops its timers and posts.
// The boot-time clock counts from `booted_ms` of the simulation's time; the wall clock may be set to jump. A machine's
// quartz may be wrong: it counts `drift_ppm` millionths too fast, or too slow.
class VirtualClock final : public Clock, public Executor {
  public:
    explicit VirtualClock(VirtualTime& time, std::int64_t booted_ms = 0, std::int64_t drift_ppm = 0)
        : time_(time), booted_ms_(booted_ms), drift_ppm_(drift_ppm), pending_(std::make_shared<Pending>()) {}
    ~VirtualClock() override {
        for (const auto& [id, key] : *pending_) time_.cancel(key);
    }
    VirtualClock(const VirtualClock&) = delete;
    VirtualClock& operator=(const VirtualClock&) = delete;

    WallTime wall() const override { return {kWallAtStart + wall_offset_ms_ + counted(time_.now_ms())}; }
    BootTime boot() const override { return {counted(time_.now_ms() - booted_ms_)}; }
    TimerId after(milliseconds delay, std::function<void()> then) override {
        const TimerId id = ++last_;
        schedule(id, time_.now_ms() + (delay.count() < 0 ? 0 : taken_for(delay.count())), std::move(then));
        return id;
    }
    void cancel(TimerId timer) override {
        auto it = pending_->find(timer);
        if (it == pending_->end()) return;
        time_.cancel(it->second);
        pending_->erase(it);
    }
    void post(std::function<void()> job) override { after(milliseconds{0}, std::move(job)); }

    void jump_wall(std::int64_t by_ms) { wall_offset_ms_ += by_ms; }
    std::size_t timers() const { return pending_->size(); }
    // The process stands still until then, as after SIGSTOP: what falls due meanwhile runs when it goes on.
    void freeze_until(std::int64_t when_ms) { frozen_until_ms_ = when_ms; }
    std::int64_t frozen_until_ms() const { return frozen_until_ms_; }

  private:
    using Pending = std::map<TimerId, VirtualTime::Key>;
    void schedule(TimerId id, std::int64_t when_ms, std::function<void()> then) {
        std::weak_ptr<Pending> pending = pending_;
        (*pending_)[id] = time_.at(when_ms, [this, pending, id, then = std::move(then)]() mutable {
            const auto alive = pending.lock();
            if (!alive) return;
            if (frozen_until_ms_ > time_.now_ms()) return schedule(id, frozen_until_ms_, std::move(then));
            alive->erase(id);
            then();
        });
    }
    // What this clock counts in a span of the simulation's time, and the span until it has counted so much.
    std::int64_t counted(std::int64_t ms) const { return ms + ms * drift_ppm_ / 1'000'000; }
    std::int64_t taken_for(std::int64_t ms) const {
        const std::int64_t rate = 1'000'000 + drift_ppm_;
        return drift_ppm_ == 0 ? ms : (ms * 1'000'000 + rate - 1) / rate;
    }
    static constexpr std::int64_t kWallAtStart = 1'800'000'000'000;  // 2027-01-15
    VirtualTime& time_;
    std::int64_t booted_ms_, drift_ppm_;
    std::int64_t wall_offset_ms_ = 0;
    std::int64_t frozen_until_ms_ = 0;
    std::shared_ptr<Pending> pending_;
    TimerId last_ = 0;
};

}  // namespace axle::test
