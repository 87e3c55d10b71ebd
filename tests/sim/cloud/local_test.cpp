// What a person asks of an agent itself while the orchestrator is away, and what becomes of it.
#include <doctest/doctest.h>

#include "tests/sim/cloud/fixture.hpp"

using namespace axle;
using namespace axle::test;
using std::chrono::minutes;

namespace {

// Asks the agent of host 0; "ok" or why not.
std::string asks(Furnished& cloud, Power power, bool force = false) {
    std::optional<Result<>> answer;
    cloud.machine().agent()->set_power("web", power, force, [&](Result<> done) { answer = std::move(done); });
    cloud.run_until([&] { return answer.has_value(); });
    return !answer ? "no answer" : *answer ? "ok" : answer->error().message;
}

Furnished& with_guest(Furnished& cloud) {
    REQUIRE(cloud.makes_vm("web") == "ok");
    REQUIRE(cloud.settles());
    return cloud;
}

}  // namespace

TEST_CASE("a guest that was stopped at its host stays stopped when the orchestrator is back, and the spec says so") {
    Furnished cloud({.hosts = 1});
    with_guest(cloud);
    CHECK(asks(cloud, Power::stopped).find("the orchestrator is connected") != std::string::npos);
    cloud.partition(0, true);
    cloud.run_for(minutes{2});
    CHECK(asks(cloud, Power::stopped, true) == "ok");
    CHECK(cloud.run_until([&] { return !cloud.is_running("web"); }));
    cloud.crash_agent(0);  // it is durable
    cloud.run_for(minutes{2});
    CHECK(!cloud.is_running("web"));
    cloud.partition(0, false);
    CHECK(cloud.run_until([&] { return cloud.vm("web")->spec.power == Power::stopped; }));
    CHECK(cloud.settles());
    CHECK(!cloud.is_running("web"));
    CHECK(cloud.acts("web", "start") == "ok");
    CHECK(cloud.settles());
    CHECK(cloud.is_running("web"));
    CHECK(cloud.violation() == "");
}

TEST_CASE("a guest that was started at its host goes on when the orchestrator is back") {
    Furnished cloud({.hosts = 1});
    with_guest(cloud);
    REQUIRE(cloud.acts("web", "stop", R"({"force":true})") == "ok");
    REQUIRE(cloud.settles());
    cloud.partition(0, true);
    cloud.run_for(minutes{2});
    CHECK(asks(cloud, Power::running) == "ok");
    CHECK(cloud.run_until([&] { return cloud.is_running("web"); }));
    const auto starts = cloud.machine().domains.begin()->second.starts;
    cloud.partition(0, false);
    CHECK(cloud.run_until([&] { return cloud.vm("web")->spec.power == Power::running; }));
    CHECK(cloud.settles());
    CHECK(cloud.is_running("web"));
    CHECK(cloud.machine().domains.begin()->second.starts == starts);
    CHECK(cloud.violation() == "");
}

TEST_CASE("what was asked at the host gives way to a spec that has changed meanwhile") {
    Furnished cloud({.hosts = 1});
    with_guest(cloud);
    cloud.partition(0, true);
    cloud.run_for(minutes{2});
    CHECK(asks(cloud, Power::stopped, true) == "ok");
    CHECK(cloud.run_until([&] { return !cloud.is_running("web"); }));
    Mutation patch = Cloud::patch(Kind::vm, "default", "web", R"({"spec":{"priority":5}})");
    CHECK(cloud.does(std::move(patch)) == "ok");
    cloud.partition(0, false);
    CHECK(cloud.run_until([&] { return cloud.is_running("web"); }));
    CHECK(cloud.settles());
    CHECK(cloud.vm("web")->spec.power == Power::running);
    CHECK(cloud.violation() == "");
}
