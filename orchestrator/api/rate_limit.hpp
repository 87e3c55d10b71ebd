// Requests a second for each caller (token bucket), and how many streams each has open. Any thread.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "common/base/clock.hpp"

namespace axle::api {

class RateLimiter {
  public:
    // per_second 0: no limit.
    RateLimiter(double per_second, double burst) : per_second_(per_second), burst_(burst) {}

    // Takes one; nullopt: it may go on. Else how long until there is one.
    std::optional<milliseconds> take(const std::string& caller, BootTime now);
    std::size_t callers() const;

  private:
    struct Bucket {
        double tokens = 0;
        BootTime at;
    };
    void forget_full_ones(BootTime now);  // they are as new ones

    const double per_second_, burst_;
    mutable std::mutex mutex_;
    std::unordered_map<std::string, Bucket> buckets_;
};

// Counts what is open for each caller; a place is given back when the ticket goes.
class Places {
  public:
    explicit Places(std::size_t each_max) : state_(std::make_shared<State>()) { state_->each_max = each_max; }
    using Ticket = std::shared_ptr<void>;
    Ticket take(const std::string& caller);  // null: all are taken
    std::size_t taken() const;
    std::size_t each_max() const { return state_->each_max; }

  private:
    struct State {
        std::size_t each_max = 0;
        std::mutex mutex;
        std::unordered_map<std::string, std::size_t> open;
        std::size_t total = 0;
    };
    std::shared_ptr<State> state_;
};

}  // namespace axle::api
