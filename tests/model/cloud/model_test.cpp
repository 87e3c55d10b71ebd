// What people do, generated, against a small model of what they are owed (tests/support/cloud/reference.hpp).
#include <cstdio>
#include <cstdlib>

#include <doctest/doctest.h>

#include "tests/support/cloud/history.hpp"

using namespace axle;
using namespace axle::test;

TEST_CASE("every answer is one that the reference model calls right, and in the end all is as users were promised") {
    if (std::getenv("TEST_REPLAY") != nullptr) return;
    Coverage coverage;
    int histories = 0, failed = 0;
    for (const std::uint64_t seed : seeds_to_play(20, 2)) {
        History history = draw_model_history(seed, 100);
        const Play play = play_where_least_was_met(history, coverage);
        history.acts = play.acts;
        for (const auto& [pair, count] : play.coverage) coverage[pair] += count;
        ++histories;
        if (play.trouble.empty()) continue;
        ++failed;
        FAIL_CHECK(report(history, play, play_against_reference));
    }
    std::printf("figures: %d histories %d failed %zu of %zu pairs of a state and an action met\n", histories, failed,
                coverage.size(), possible_pairs());
}

TEST_CASE("a history that was written down is played again") {
    const char* path = std::getenv("TEST_REPLAY");
    if (path == nullptr) return;
    const auto history = read_history(path);
    REQUIRE(history);
    const Play play = play_against_reference(*history);
    for (const std::string& line : play.log) MESSAGE(line);
    CHECK(play.trouble == "");
    std::printf("figures: 1 histories %d failed\n", play.trouble.empty() ? 0 : 1);
}
