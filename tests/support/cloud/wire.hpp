// The connection between an agent and an orchestrator in a simulation: encoded messages that come late but in order,
// one way or both ways gone silent, cut so that each end learns of it at another time. Some come twice. Within one
// connection nothing is reordered, TLS sees to that; what the one before it still carries comes among the next one's.
#pragma once
#include <array>
#include <functional>
#include <memory>
#include <string>

#include "common/channel/messages.hpp"
#include "tests/support/virtual_clock.hpp"

namespace axle::test {

struct WireRules {
    std::int64_t slow_ms = 5;        // greatest time of a message
    std::int64_t blind_ms = 10'000;  // greatest time until an end learns of a cut
    unsigned repeats = 0;            // percent of the messages that come twice
};

class Wire : public std::enable_shared_from_this<Wire> {
  public:
    enum Side : std::size_t { agent = 0, orchestrator = 1 };

    Wire(VirtualTime& time, SeededRandom& random, const WireRules& rules)
        : time_(time), random_(random), rules_(rules) {}

    std::unique_ptr<Channel> end(Side side);
    // What a receiver's process does with time: a frozen host takes what came when it thaws.
    void on_delivery(Side to, std::function<std::int64_t()> not_before) {
        ends_[to].not_before = std::move(not_before);
    }
    // Told each message that is sent from this side, before anything happens to it.
    void on_sent(Side from, std::function<void(const Message&)> told) { ends_[from].told_sent = std::move(told); }

    void silence(Side to) { ends_[to].mute = true; }  // nothing that is sent from now on reaches this side
    void cut();                                       // both silent; each end is closed some time later
    bool is_open() const { return ends_[agent].open && ends_[orchestrator].open; }
    std::size_t in_flight() const { return in_flight_; }

  private:
    friend class WireEnd;
    struct End {
        bool open = true;
        bool there = true;
        bool mute = false;
        std::int64_t last_at = 0;
        std::function<void(Message)> told_message;
        std::function<void(std::string)> told_closed;
        std::function<void(const Message&)> told_sent;
        std::function<std::int64_t()> not_before;
    };
    static Side other(Side side) { return side == agent ? orchestrator : agent; }
    void carry(Side to, std::function<void(Wire&)> job);
    void run_when_awake(Side to, std::function<void(Wire&)> job);
    void deliver(Side to, const std::string& text);
    void end_at(Side side, const std::string& why);

    VirtualTime& time_;
    SeededRandom& random_;
    const WireRules& rules_;
    std::array<End, 2> ends_;
    std::size_t in_flight_ = 0;
};

}  // namespace axle::test
