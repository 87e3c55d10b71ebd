#include "tests/support/cloud/wire.hpp"

#include <algorithm>

#include "common/base/ensure.hpp"

namespace axle::test {

class WireEnd final : public Channel {
  public:
    WireEnd(std::shared_ptr<Wire> wire, Wire::Side side) : wire_(std::move(wire)), side_(side) {}
    ~WireEnd() override {
        Wire::End& mine = wire_->ends_[side_];
        mine.there = false;
        mine.told_message = nullptr;
        mine.told_closed = nullptr;
        if (std::exchange(mine.open, false))
            wire_->carry(Wire::other(side_),
                         [side = side_](Wire& w) { w.end_at(Wire::other(side), "the other end is gone"); });
    }
    void send(Message message) override {
        Wire::End& mine = wire_->ends_[side_];
        if (!mine.open) return;
        if (mine.told_sent) mine.told_sent(message);
        const auto deliver = [to = Wire::other(side_), text = encode(message)](Wire& w) { w.deliver(to, text); };
        wire_->carry(Wire::other(side_), deliver);
        if (wire_->random_.chance(wire_->rules_.repeats)) wire_->carry(Wire::other(side_), deliver);
    }
    void on_message(std::function<void(Message)> told) override { wire_->ends_[side_].told_message = std::move(told); }
    void on_closed(std::function<void(std::string)> told) override {
        wire_->ends_[side_].told_closed = std::move(told);
    }
    void close(std::string why) override {
        Wire::End& mine = wire_->ends_[side_];
        if (!std::exchange(mine.open, false)) return;
        wire_->carry(Wire::other(side_), [to = Wire::other(side_), why](Wire& w) { w.end_at(to, why); });
        wire_->time_.after(milliseconds{0}, [weak = wire_->weak_from_this(), side = side_, why] {
            if (const auto wire = weak.lock(); wire && wire->ends_[side].told_closed) {
                const auto told = wire->ends_[side].told_closed;
                told(why);
            }
        });
    }

  private:
    std::shared_ptr<Wire> wire_;
    Wire::Side side_;
};

std::unique_ptr<Channel> Wire::end(Side side) {
    return std::make_unique<WireEnd>(shared_from_this(), side);
}

void Wire::carry(Side to, std::function<void(Wire&)> job) {
    End& end = ends_[to];
    if (end.mute) return;
    end.last_at = std::max(end.last_at, time_.now_ms() + random_.between(0, rules_.slow_ms));
    ++in_flight_;
    time_.at(end.last_at, [weak = weak_from_this(), to, job = std::move(job)]() mutable {
        if (const auto wire = weak.lock()) wire->run_when_awake(to, std::move(job));
    });
}

void Wire::run_when_awake(Side to, std::function<void(Wire&)> job) {
    const std::int64_t awake = ends_[to].not_before ? ends_[to].not_before() : 0;
    if (awake > time_.now_ms()) {  // in the order of their coming: all wait for the same instant
        time_.at(awake, [weak = weak_from_this(), to, job = std::move(job)]() mutable {
            if (const auto wire = weak.lock()) wire->run_when_awake(to, std::move(job));
        });
        ends_[to].last_at = std::max(ends_[to].last_at, awake);
        return;
    }
    --in_flight_;
    job(*this);
}

void Wire::deliver(Side to, const std::string& text) {
    End& end = ends_[to];
    if (!end.open || !end.there) return;
    auto message = decode(text);
    ENSURE(message.has_value() && message->has_value(), "what we encode can be decoded");
    const auto told = end.told_message;  // it may replace or destroy the end
    if (told) told(std::move(**message));
}

void Wire::end_at(Side side, const std::string& why) {
    End& end = ends_[side];
    if (!std::exchange(end.open, false)) return;
    const auto told = end.told_closed;
    if (told) told(why);
}

void Wire::cut() {
    for (const Side side : {agent, orchestrator}) {
        ends_[side].mute = true;
        ++in_flight_;
        time_.after(milliseconds{random_.between(0, rules_.blind_ms)}, [weak = weak_from_this(), side] {
            if (const auto wire = weak.lock())
                wire->run_when_awake(side, [side](Wire& w) { w.end_at(side, "the connection was cut"); });
        });
    }
}

}  // namespace axle::test
