#include "agent/link/in_process_link.hpp"

#include <mutex>
#include <utility>

namespace axle {
namespace {

// One direction's receiving side. `told_*` and `open` belong to the thread of `owner`; the rest is under the mutex,
// because the other thread posts while this one goes.
struct Side {
    std::mutex mutex;
    Executor* owner = nullptr;  // null: gone
    int undelivered = 0;

    bool open = true;
    std::function<void(Message)> told_message;
    std::function<void(std::string)> told_closed;
};

class End final : public Channel {
  public:
    End(std::shared_ptr<Side> mine, std::shared_ptr<Side> other, Carry carry)
        : mine_(std::move(mine)), other_(std::move(other)), carry_(std::move(carry)) {}
    ~End() override {
        {
            const std::lock_guard lock(mine_->mutex);
            mine_->owner = nullptr;
        }
        if (mine_->open) hand_over([](Side& side) { end(side, "the other end is gone"); });
        mine_->open = false;
        mine_->told_message = {};
        mine_->told_closed = {};
    }

    void send(Message message) override {
        if (!mine_->open) return;
        const bool kept_up = hand_over([text = encode(message)](Side& side) { deliver(side, text); });
        if (!kept_up) close("the other end does not keep up");
    }
    void on_message(std::function<void(Message)> told) override { mine_->told_message = std::move(told); }
    void on_closed(std::function<void(std::string)> told) override { mine_->told_closed = std::move(told); }
    void close(std::string why) override {
        if (!std::exchange(mine_->open, false)) return;
        hand_over([why](Side& side) { end(side, why); });
        const std::lock_guard lock(mine_->mutex);
        if (mine_->owner == nullptr) return;
        mine_->owner->post([side = std::weak_ptr(mine_), why] {  // as for the other end: never inside this call
            if (auto s = side.lock(); s && s->told_closed) s->told_closed(why);
        });
    }

  private:
    // False when too much waits there already.
    bool hand_over(std::function<void(Side&)> job) {
        const std::lock_guard lock(other_->mutex);
        if (other_->owner == nullptr) return true;
        if (other_->undelivered >= kMaxUndelivered) return false;
        ++other_->undelivered;
        auto run = [side = std::weak_ptr(other_), job = std::move(job)] {
            auto s = side.lock();
            if (!s) return;
            {
                const std::lock_guard guard(s->mutex);
                --s->undelivered;
                if (s->owner == nullptr) return;
            }
            job(*s);
        };
        if (carry_) {
            carry_(*other_->owner, std::move(run));
        } else {
            other_->owner->post(std::move(run));
        }
        return true;
    }
    static void deliver(Side& side, const std::string& text) {
        if (!side.open) return;
        auto message = decode(text);
        if (!message) return end(side, "a message that can't be read: " + message.error().message);
        const auto told = side.told_message;  // it may replace or destroy the end
        if (*message && told) told(std::move(**message));
    }
    static void end(Side& side, const std::string& why) {
        if (!std::exchange(side.open, false)) return;
        const auto told = side.told_closed;
        if (told) told(why);
    }

    std::shared_ptr<Side> mine_, other_;
    Carry carry_;
};

}  // namespace

LinkEnds join_in_process(Executor& agent, Executor& orchestrator, Carry carry) {
    auto to_agent = std::make_shared<Side>();
    auto to_orchestrator = std::make_shared<Side>();
    to_agent->owner = &agent;
    to_orchestrator->owner = &orchestrator;
    return {std::make_unique<End>(to_agent, to_orchestrator, carry),
            std::make_unique<End>(to_orchestrator, to_agent, carry)};
}

}  // namespace axle
