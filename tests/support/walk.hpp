// Which of many points a run looks at: all, or in a short run each so-many-th (AXLE_WALK_EVERY), another set every day.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdlib>

namespace axle::test {

struct Walk {
    int first = 1, every = 1;
};

inline Walk walk_of_this_run() {
    const char* every = std::getenv("AXLE_WALK_EVERY");
    Walk walk{.every = every != nullptr ? std::max(1, std::atoi(every)) : 1};
    const auto day = std::chrono::duration_cast<std::chrono::days>(std::chrono::system_clock::now().time_since_epoch());
    walk.first = 1 + static_cast<int>(day.count() % walk.every);
    return walk;
}

}  // namespace axle::test
