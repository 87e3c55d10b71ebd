// Random users, random bad luck, a whole cloud: nothing forbidden happens, and when the faults stop all converges.
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include <doctest/doctest.h>

#include "tests/support/cloud/history.hpp"

using namespace axle;
using namespace axle::test;

TEST_CASE("whatever happens to a cloud, nothing forbidden does; when faults stop it converges and clears away") {
    if (std::getenv("TEST_REPLAY") != nullptr) return;
    const auto began = std::chrono::steady_clock::now();
    std::int64_t host_ms = 0;
    int histories = 0, failed = 0;
    for (const std::uint64_t seed : seeds_to_play(12, 2)) {
        const History history = draw_history(seed, 120, true);
        const Play play = play_with_faults(history);
        host_ms += play.virtual_ms * history.hosts;
        ++histories;
        if (play.trouble.empty()) continue;
        ++failed;
        FAIL_CHECK(report(history, play, play_with_faults));
    }
    const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    std::printf("figures: %d histories %d failed %.1f host-hours %.1f seconds\n", histories, failed,
                static_cast<double>(host_ms) / 3.6e6, took);
}

TEST_CASE("the same seed gives the same history") {
    if (std::getenv("TEST_REPLAY") != nullptr) return;
    const History history = draw_history(5, 40, true);
    const Play first = play_with_faults(history), second = play_with_faults(history);
    CHECK(first.events == second.events);
    CHECK(first.log == second.log);
}

TEST_CASE("a history that was written down is played again") {
    const char* path = std::getenv("TEST_REPLAY");
    if (path == nullptr) return;
    const auto history = read_history(path);
    REQUIRE(history);
    const Play play = play_with_faults(*history);
    for (const std::string& line : play.log) MESSAGE(line);
    CHECK(play.trouble == "");
    std::printf("figures: 1 histories %d failed\n", play.trouble.empty() ? 0 : 1);
}
