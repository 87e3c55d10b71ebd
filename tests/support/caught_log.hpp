// What the process logs while this lives. One at a time.
#pragma once
#include <algorithm>
#include <mutex>
#include <string>
#include <vector>

#include "common/base/log_sink.hpp"

namespace axle::test {

class CaughtLog {
  public:
    CaughtLog() {
        log::set_sink([this](log::Level level, std::string_view message) {
            const std::lock_guard lock(mutex_);
            if (level <= log::Level::warning) troubles_.emplace_back(message);
        });
    }
    ~CaughtLog() { log::set_sink({}); }
    CaughtLog(const CaughtLog&) = delete;
    CaughtLog& operator=(const CaughtLog&) = delete;

    // Warnings and errors up to now, oldest first.
    std::vector<std::string> troubles() const {
        const std::lock_guard lock(mutex_);
        return troubles_;
    }
    std::ptrdiff_t troubles_with(std::string_view words) const {
        return std::ranges::count_if(troubles(),
                                     [&](const std::string& line) { return line.find(words) != line.npos; });
    }

  private:
    mutable std::mutex mutex_;
    std::vector<std::string> troubles_;  // guarded
};

}  // namespace axle::test
