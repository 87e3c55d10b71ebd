// The simulation is worth something only if it finds bugs: each planted one is found, by some of a few seeds.
#include "orchestrator/core/planted.hpp"

#include <cstdlib>
#include <filesystem>

#include <doctest/doctest.h>

#include "tests/support/cloud/history.hpp"
#include "tests/support/planted_found.hpp"
#include "tests/support/temp_dir.hpp"

using namespace axle;
using namespace axle::test;

#ifdef AXLE_FAULTS
namespace {

// What the first seed that finds it says; "" when none does.
std::string found_with(bool PlantedCoreBugs::*bug) {
    std::string trouble;
    planted_in_core().*bug = true;
    for (std::uint64_t seed = 1; seed <= 40 && trouble.empty(); ++seed)
        trouble = play_with_faults(draw_history(seed, 120, true)).trouble;
    planted_in_core().*bug = false;
    return trouble;
}

}  // namespace

TEST_CASE("a history that fails is made shorter, written down, and fails alike when it is read again") {
    const TempDir found;
    const char* before = std::getenv("AXLE_FOUND");
    const std::string otherwise = before != nullptr ? before : std::filesystem::temp_directory_path().string();
    ::setenv("AXLE_FOUND", found.path().c_str(), 1);
    planted_in_core().share_addresses = true;
    History history;
    Play play;
    for (std::uint64_t seed = 1; seed <= 40 && play.trouble.empty(); ++seed) {
        history = draw_history(seed, 120, true);
        play = play_with_faults(history);
    }
    const std::string told = report(history, play, play_with_faults);
    ::setenv("AXLE_FOUND", otherwise.c_str(), 1);
    const std::string path = found.path() + fmt::format("/sim-{}.history", history.seed);
    CHECK(told.find("tests/run replay " + path) != std::string::npos);
    const auto shorter = read_history(path);
    REQUIRE(shorter);
    CHECK(shorter->acts.size() < 20);
    CHECK(fail_alike(play_with_faults(*shorter).trouble, play.trouble));
    planted_in_core().share_addresses = false;
    CHECK(play_with_faults(*shorter).trouble == "");
}
TEST_CASE("an answer before its change is durable is found") {
    planted_found("a change is answered before it is durable", found_with(&PlantedCoreBugs::answer_before_durable));
}
TEST_CASE("a watch that misses a change when it comes back is found") {
    planted_found("a watch that comes back misses a change", found_with(&PlantedCoreBugs::drop_event_at_resume));
}
TEST_CASE("an address given to two is found") {
    planted_found("an address is given to two", found_with(&PlantedCoreBugs::share_addresses));
}
TEST_CASE("a host that is overbooked is found") {
    planted_found("a host is overbooked", found_with(&PlantedCoreBugs::forget_claims));
}
TEST_CASE("VMs put on one host that are to be kept apart are found") {
    planted_found("VMs that are kept apart are put on one host", found_with(&PlantedCoreBugs::forget_neighbours));
}
TEST_CASE("an epoch given twice is found") {
    planted_found("an epoch is given twice", found_with(&PlantedCoreBugs::reuse_epochs));
}
TEST_CASE("VMs that nobody wakes when there is room are found") {
    planted_found("VMs that wait for room are never looked at again", found_with(&PlantedCoreBugs::lose_wakeups));
}
TEST_CASE("a host that is told of a change before it is durable is found") {
    planted_found("a host is told of a change before it is durable", found_with(&PlantedCoreBugs::tell_before_durable));
}
TEST_CASE("a request that gets another one's reply is found") {
    planted_found("a request that is asked again gets another one's reply",
                  found_with(&PlantedCoreBugs::mix_up_replies));
}
#endif
