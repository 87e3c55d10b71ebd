// The real core of the agent on a simulated host: random use, random faults between any two events; what must never
// happen is checked as it happens; when the faults stop, all converges.
#include <cstdlib>

#include <doctest/doctest.h>

#include "tests/sim/agent/world.hpp"

using namespace axle;
using namespace axle::test;

namespace {

MachineFaults some_faults() {
    return {.fails = 5,
            .lies = 4,
            .hangs = 1,
            .loses_hints = 20,
            .late_hints = 10,
            .no_space = 1,
            .deaf_guests = 10,
            .slow_ms = 300};
}

// "" or what went wrong.
std::string run_history(std::uint64_t seed, int acts, World** kept = nullptr) {
    static std::unique_ptr<World> world;
    world = std::make_unique<World>(seed);
    if (kept != nullptr) *kept = world.get();
    for (int i = 0; i < acts; ++i) {
        world->machine.faults = world->random.chance(70) ? some_faults() : MachineFaults{};
        world->do_something();
        world->time.run_for(milliseconds{world->random.between(0, world->random.chance(10) ? 200'000 : 4'000)});
        if (!world->violation().empty()) return world->violation();
    }
    return world->converge(std::chrono::minutes{40});
}

std::uint64_t histories() {
    const char* wanted = std::getenv("SIM_HISTORIES");
    return wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 60;
}

}  // namespace

TEST_CASE("whatever happens, nothing forbidden does, and when the faults stop all converges") {
    if (const char* one = std::getenv("TEST_SEED")) {
        const std::uint64_t seed = std::strtoull(one, nullptr, 10);
        World* world = nullptr;
        const std::string trouble = run_history(seed, 60, &world);
        for (const auto& line : world->machine.log) MESSAGE(line);
        CHECK(trouble == "");
        return;
    }
    for (std::uint64_t seed = 1; seed <= histories(); ++seed) {
        INFO("replay: TEST_SEED=", seed, " build/dev/tests/sim_agent");
        CHECK(run_history(seed, 60) == "");
    }
}

TEST_CASE("the same seed gives the same history") {
    World* world = nullptr;
    const auto trace = [&] {
        run_history(7, 30, &world);
        return std::pair(world->time.events_run(), world->machine.files);
    };
    const auto first = trace();
    CHECK(first == trace());
}
