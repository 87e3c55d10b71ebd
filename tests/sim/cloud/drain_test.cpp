// Hosts that are drained, and get back what was moved away.
#include <algorithm>
#include <set>

#include "tests/sim/cloud/moving.hpp"

using namespace axle;
using namespace axle::test;
using std::chrono::minutes;

TEST_CASE("a host that is drained loses its VMs to the others, and who can't go is named") {
    Moving cloud;
    REQUIRE(cloud.makes_vm("two") == "ok");
    REQUIRE(cloud.makes_vm("three") == "ok");
    REQUIRE(cloud.settles());
    const auto left_there = [&] {
        int left = 0;
        for (const char* name : {"web", "two", "three"}) left += cloud.host_of(name) == cloud.from ? 1 : 0;
        return left;
    };
    REQUIRE(cloud.does(Cloud::patch(Kind::vm, "default", "web", R"({"spec":{"power":"paused"}})")) == "ok");
    REQUIRE(cloud.settles());
    REQUIRE(cloud.does(Cloud::act(Kind::host, "", cloud.from, "drain", R"({"parallel":1})")) == "ok");
    cloud.task_id = cloud.last.result->task;
    const auto host = [&] {
        return cloud.world().find<Host>(cloud.hosts[cloud.number(cloud.from)].machine->identity().host);
    };
    REQUIRE(cloud.run_until([&] { return !host()->status.conditions.empty(); }));
    CHECK(host()->status.conditions.front().message.find("web: VM web is paused") != std::string::npos);
    CHECK(left_there() == 1);
    REQUIRE(cloud.acts("web", "resume") == "ok");
    CHECK(cloud.end_of_task() == TaskPhase::succeeded);
    CHECK(left_there() == 0);
    CHECK(host()->status.conditions.empty());
    CHECK(host()->spec.unschedulable);
    REQUIRE(cloud.does(Cloud::act(Kind::host, "", cloud.from, "undrain")) == "ok");
    CHECK(!host()->spec.unschedulable);
    cloud.check_one();
}

TEST_CASE("a drain right after a move does not wait long for the old copy to be gone") {
    Moving cloud;
    REQUIRE(cloud.does(Cloud::act(Kind::host, "", cloud.third(), "cordon")) == "ok");  // there is one way: back
    REQUIRE(cloud.migrates() == "ok");
    REQUIRE(cloud.end_of_task() == TaskPhase::succeeded);
    REQUIRE(cloud.does(Cloud::act(Kind::host, "", cloud.to, "drain")) == "ok");
    CHECK(cloud.run_until([&] { return cloud.host_of("web") == cloud.from; }, seconds{30}));
    cloud.check_one();
}

TEST_CASE("a drain that is cancelled, or taken back, moves nobody more") {
    for (const bool cancel : {true, false}) {
        CAPTURE(cancel);
        Moving cloud;
        REQUIRE(cloud.does(Cloud::patch(Kind::vm, "default", "web", R"({"spec":{"power":"paused"}})")) == "ok");
        REQUIRE(cloud.settles());
        REQUIRE(cloud.does(Cloud::act(Kind::host, "", cloud.from, "drain")) == "ok");
        cloud.task_id = cloud.last.result->task;
        cloud.run_for(minutes{1});
        CHECK(cloud.does(cancel ? Cloud::act(Kind::task, "", cloud.task_id.str(), "cancel")
                                : Cloud::act(Kind::host, "", cloud.from, "undrain")) == "ok");
        CHECK(cloud.end_of_task() == (cancel ? TaskPhase::cancelled : TaskPhase::superseded));
        REQUIRE(cloud.acts("web", "resume") == "ok");
        cloud.run_for(minutes{5});
        CHECK(cloud.host_of("web") == cloud.from);
        cloud.check_one();
    }
}

TEST_CASE("what a drain moved away comes back when asked, but for what a person has moved or deleted meanwhile") {
    for (const bool crash : {false, true}) {
        CAPTURE(crash);
        Moving cloud;
        for (const char* name : {"two", "three", "four"}) {
            REQUIRE(cloud.makes_vm(name) == "ok");
            REQUIRE(cloud.settles());
            if (cloud.host_of(name) == cloud.from) continue;
            REQUIRE(cloud.acts(name, "migrate", fmt::format(R"({{"host":"{}"}})", cloud.from)) == "ok");
            cloud.task_id = cloud.last.result->task;
            REQUIRE(cloud.end_of_task() == TaskPhase::succeeded);
        }
        const auto host = [&] {
            return cloud.world().find<Host>(cloud.hosts[cloud.number(cloud.from)].machine->identity().host);
        };
        REQUIRE(cloud.does(Cloud::act(Kind::host, "", cloud.from, "drain")) == "ok");
        cloud.task_id = cloud.last.result->task;
        REQUIRE(cloud.end_of_task() == TaskPhase::succeeded);
        CHECK(host()->status.away.size() == 4);
        const std::string third = cloud.host_of("two") == cloud.to ? cloud.third() : cloud.to;
        REQUIRE(cloud.acts("two", "migrate", fmt::format(R"({{"host":"{}"}})", third)) == "ok");
        cloud.task_id = cloud.last.result->task;
        REQUIRE(cloud.end_of_task() == TaskPhase::succeeded);
        CHECK(host()->status.away.size() == 3);
        REQUIRE(cloud.deletes("three", true) == "ok");
        REQUIRE(cloud.does(Cloud::act(Kind::host, "", cloud.from, "undrain", R"({"takeBack":true})")) == "ok");
        cloud.task_id = cloud.last.result->task;
        if (crash) {
            cloud.run_for(milliseconds{300});
            cloud.crash_orchestrator();
            cloud.start_orchestrator();
        }
        CHECK(cloud.end_of_task() == TaskPhase::succeeded);
        CHECK(cloud.host_of("web") == cloud.from);
        CHECK(cloud.host_of("four") == cloud.from);
        CHECK(cloud.host_of("two") == third);
        CHECK(host()->status.away.empty());
        CHECK_FALSE(host()->spec.take_back);
        CHECK_FALSE(host()->spec.unschedulable);
        cloud.check_one();
    }
}

TEST_CASE("a drain moves as many at a time as was asked for, and tells how many are left") {
    Moving cloud;
    for (const std::string& host : {cloud.to, cloud.third()})
        REQUIRE(cloud.does(Cloud::act(Kind::host, "", host, "cordon")) == "ok");
    for (const char* name : {"two", "three", "four", "five"}) REQUIRE(cloud.makes_vm(name) == "ok");
    REQUIRE(cloud.settles());
    for (const std::string& host : {cloud.to, cloud.third()})
        REQUIRE(cloud.does(Cloud::act(Kind::host, "", host, "uncordon")) == "ok");
    REQUIRE(cloud.does(Cloud::act(Kind::host, "", cloud.from, "drain", R"({"parallel":2})")) == "ok");
    cloud.task_id = cloud.last.result->task;
    std::set<std::string> told;
    std::ptrdiff_t most = 0;
    const auto is_over = [&] {
        const auto* task = cloud.task(cloud.task_id);
        if (task == nullptr) return true;
        told.insert(task->status.step);
        most = std::max(most, std::ranges::count_if(cloud.world().all(Kind::vm), [](const auto& vm) {
                            return static_cast<const Vm&>(*vm.second).status.migration.has_value();
                        }));
        return is_terminal(task->status.phase);
    };
    CHECK(cloud.run_until(is_over, minutes{30}));
    CHECK(cloud.end_of_task() == TaskPhase::succeeded);
    CHECK(most == 2);
    for (const char* step : {"5 VMs left, 2 of them on their way", "3 VMs left, 2 of them on their way",
                             "1 VM left, 1 of them on their way"}) {
        CAPTURE(step);
        CHECK(told.contains(step));
    }
    cloud.check_one();
}
