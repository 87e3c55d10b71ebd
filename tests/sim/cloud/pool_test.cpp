// Pools come and go on hosts.
#include "tests/sim/cloud/fixture.hpp"

using namespace axle;
using namespace axle::test;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

std::string makes_pool(Furnished& cloud) {
    return cloud.does(Cloud::create(Kind::pool, "", R"({"name":"extra","spec":{"path":"/pools/extra"}})"));
}
bool has_document(Furnished& cloud, const Uuid& pool) {
    return cloud.machine().files.contains("desired/pool-" + pool.str());
}

}  // namespace

TEST_CASE("a pool that is deleted goes from its hosts, and its name and path are free at once") {
    Furnished cloud({.seed = 31, .hosts = 2});
    REQUIRE(makes_pool(cloud) == "ok");
    REQUIRE(cloud.settles());
    CHECK(cloud.does(Cloud::remove(Kind::pool, "", "extra")) == "ok");
    CHECK(makes_pool(cloud) == "ok");
    CHECK(cloud.settles());
    CHECK(cloud.run_until([&] { return cloud.world().all(Kind::pool).size() == 2; }, minutes{5}));
    CHECK(cloud.violation() == "");
}

TEST_CASE("a pool that is deleted before its host could say that it has it leaves nothing there") {
    Furnished cloud({.seed = 32, .hosts = 1});
    cloud.silence(0, Wire::Side::orchestrator);
    REQUIRE(makes_pool(cloud) == "ok");
    const Uuid pool = cloud.last.result->object->meta.id;
    REQUIRE(cloud.run_until([&] { return has_document(cloud, pool); }, seconds{30}));
    REQUIRE(cloud.world().hosts_told(pool).empty());
    CHECK(cloud.does(Cloud::remove(Kind::pool, "", "extra")) == "ok");
    CHECK(cloud.run_until([&] { return cloud.world().find<Pool>(pool) == nullptr; }, minutes{10}));
    CHECK(cloud.settles());
    const auto record = cloud.machine().files.find("desired/pool-" + pool.str());
    CHECK((record == cloud.machine().files.end() || record->second.find("\"gone\"") != std::string::npos));
    CHECK(cloud.unclaimed().empty());
}
