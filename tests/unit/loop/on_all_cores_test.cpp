#include "common/loop/on_all_cores.hpp"

#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

using namespace axle;

TEST_CASE("each number is worked on once, whatever the count") {
    for (const std::size_t count : {0, 1, 15, 16, 17, 64, 65, 1000, 4096}) {
        std::vector<std::atomic<int>> times(count);
        on_all_cores(count, [&](std::size_t i) { ++times[i]; });
        for (const auto& n : times) CHECK(n == 1);
    }
}

TEST_CASE("a few are done by the caller, whose thread-local things they may use") {
    std::set<std::thread::id> threads;
    on_all_cores(64, [&](std::size_t) { threads.insert(std::this_thread::get_id()); });
    CHECK(threads == std::set{std::this_thread::get_id()});
}
