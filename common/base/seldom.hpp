// A line of the log that strangers can bring about: so many a minute and no more. Any thread.
#pragma once
#include <mutex>
#include <optional>
#include <string>

#include "common/base/clock.hpp"

namespace axle {

class Seldom {
  public:
    explicit Seldom(int a_minute) : a_minute_(a_minute) {}

    // What to write; nullopt: nothing. The first line after some were left out says how many.
    std::optional<std::string> line(std::string text, BootTime now) {
        const std::lock_guard lock(mutex_);
        if (!began_ || now - *began_ >= milliseconds{60'000}) {
            began_ = now;
            said_ = 0;
        }
        if (said_ >= a_minute_) return ++left_out_, std::nullopt;
        ++said_;
        if (left_out_ > 0) text += " (and " + std::to_string(left_out_) + " more like this before)";
        left_out_ = 0;
        return text;
    }

  private:
    const int a_minute_;
    std::mutex mutex_;  // guards the rest
    std::optional<BootTime> began_;
    int said_ = 0;
    long left_out_ = 0;
};

}  // namespace axle
