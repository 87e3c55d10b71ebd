// What is told of a disk that moves with its VM: by the host that it leaves, and by the one that it comes to.
#include "tests/sim/cloud/fixture.hpp"

using namespace axle;
using namespace axle::test;
using std::chrono::minutes;

TEST_CASE("a disk of which its old host told trouble while it moved is ready where it has come to") {
    int troubled = 0;
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        CAPTURE(seed);
        Furnished cloud({.seed = seed, .hosts = 2});
        REQUIRE(cloud.makes_vm("web") == "ok");
        REQUIRE(cloud.settles());
        const std::size_t source = cloud.vm("web")->status.placement->host.name == "h0" ? 0 : 1;
        REQUIRE(cloud.acts("web", "migrate") == "ok");
        const auto moves = [&] { return cloud.vm("web")->status.migration.has_value(); };
        REQUIRE(cloud.run_until(
            [&] { return !moves() || cloud.vm("web")->status.migration->phase == MigrationPhase::moving; }));
        cloud.machine(source).unmounted.insert(PoolId{cloud.world().all(Kind::pool).begin()->first});
        cloud.crash_agent(source);  // it looks at its disks when it is back
        const auto is_ready = [&] { return cloud.volume("web-root")->status.phase == VolumePhase::ready; };
        cloud.run_until([&] { return !is_ready() || !moves(); });
        troubled += moves() && !is_ready() ? 1 : 0;
        cloud.run_until([&] { return !moves(); });
        cloud.stop_faults();
        CHECK(cloud.settles());
        CHECK(is_ready());
        CHECK(cloud.violation() == "");
    }
    CHECK(troubled > 0);
}
