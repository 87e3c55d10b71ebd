// The life of guests in a whole cloud without faults, and the promises of the design one by one.
#include <doctest/doctest.h>

#include "tests/support/cloud/eyes.hpp"

using namespace axle;
using namespace axle::test;
using std::chrono::hours;
using std::chrono::minutes;

namespace {

const char* const kWeb = R"({"name":"web","spec":{"disks":{"root":{"image":"debian","size":"2GiB"}},)"
                         R"("nics":{"eth0":{"network":"blue"}}}})";

struct Furnished : Cloud {
    explicit Furnished(CloudOptions with = {}) : Cloud(with) { furnish(); }
    bool settles(milliseconds limit = minutes{20}) {
        return run_until([this] { return eyes->unsettled().empty(); }, limit);
    }
};

std::string said(const Reply& reply) {
    return reply.lost ? "lost" : reply.result ? "ok" : reply.result.error().message;
}

}  // namespace

TEST_CASE("a guest is made, runs, stops, is deleted, and nothing is left") {
    Furnished cloud;
    REQUIRE(cloud.violation() == "");
    CHECK(said(cloud.ask_and_wait(Cloud::create(Kind::vm, "default", kWeb))) == "ok");
    CHECK(cloud.run_until([&] { return cloud.is_running("web"); }));
    CHECK(cloud.settles());
    CHECK(cloud.eyes->unsettled() == "");
    CHECK(said(cloud.ask_and_wait(Cloud::act(Kind::vm, "default", "web", "stop"))) == "ok");
    CHECK(cloud.settles());
    CHECK(!cloud.is_running("web"));
    CHECK(said(cloud.ask_and_wait(Cloud::remove(Kind::vm, "default", "web", true))) == "ok");
    CHECK(cloud.run_until(
        [&] { return cloud.world().all(Kind::vm).empty() && cloud.world().all(Kind::volume).empty(); }));
    CHECK(cloud.run_until([&] { return cloud.eyes->left_over().empty(); }));
    CHECK(cloud.eyes->left_over() == "");
    CHECK(cloud.violation() == "");
}
