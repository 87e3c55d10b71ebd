// The simulation is worth something only if it finds bugs: each planted one is found, by some of a few seeds.
#include "orchestrator/core/planted.hpp"

#include <doctest/doctest.h>

#include "tests/support/cloud/history.hpp"

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

TEST_CASE("an answer before its change is durable is found") {
    CHECK(found_with(&PlantedCoreBugs::answer_before_durable) != "");
}
TEST_CASE("a watch that misses a change when it comes back is found") {
    CHECK(found_with(&PlantedCoreBugs::drop_event_at_resume) != "");
}
TEST_CASE("an address given to two is found") {
    CHECK(found_with(&PlantedCoreBugs::share_addresses) != "");
}
TEST_CASE("a host that is overbooked is found") {
    CHECK(found_with(&PlantedCoreBugs::forget_claims) != "");
}
TEST_CASE("an epoch given twice is found") {
    CHECK(found_with(&PlantedCoreBugs::reuse_epochs) != "");
}
TEST_CASE("VMs that nobody wakes when there is room are found") {
    CHECK(found_with(&PlantedCoreBugs::lose_wakeups) != "");
}
#endif
