// An orchestrator and an agent with real disks, killed at every durable step of a workload: what was acknowledged is
// there, all converges, and nothing is left over.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iterator>

#include <doctest/doctest.h>

#include "tests/crash/cloud/disks.hpp"
#include "tests/crash/store/child.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/walk.hpp"

namespace axle::test {
namespace {

using std::chrono::minutes;

const Vm* web(const Cloud& cloud) {
    return cloud.vm("web");
}
bool has_power(const Cloud& cloud, Power power) {
    return web(cloud) != nullptr && web(cloud)->spec.power == power;
}
bool has_nic(const Cloud& cloud, const char* name) {
    return web(cloud) != nullptr && web(cloud)->spec.nics.contains(name);
}
bool has_disk(const Cloud& cloud, const char* name) {
    return web(cloud) != nullptr && web(cloud)->spec.disks.contains(name);
}
bool is_there(const Cloud& cloud, Kind kind, const char* name) {
    const auto project = cloud.world().named(Kind::project, {}, "default");
    return cloud.world().named(kind, project->meta.id, name) != nullptr;
}
Mutation orders(const char* action, const char* arguments = "") {
    return Cloud::act(Kind::vm, "default", "web", action, arguments);
}
Mutation patches(const char* merge) {
    return Cloud::patch(Kind::vm, "default", "web", merge);
}
Uuid deleted_vm(const Cloud& cloud) {
    for (const auto& [id, vm] : cloud.world().all(Kind::vm))
        if (vm->is_deleted()) return id;
    return {};
}

// A step of the workload. Its number is acknowledged when its answer came; from then on it is so, until the step that
// takes it back is asked for.
struct Step {
    Mutation (*asked)(const Cloud&);
    bool (*is_so)(const Cloud&);
    int until = 1000;
};
using In = const Cloud&;
const Step kSteps[] = {
    /* 1 */ {[](In) {
                 return Cloud::create(Kind::vm, "default",
                                      R"({"name":"web","spec":{"disks":{"root":{"size":"1GiB"}},)"
                                      R"("nics":{"eth0":{"network":"blue"}}}})");
             },
             [](In c) { return web(c) != nullptr; }, 18},
    /* 2 */
    {[](In) { return Cloud::create(Kind::volume, "default", R"({"name":"data","spec":{"size":"1GiB"}})"); },
     [](In c) { return c.volume("data") != nullptr; }},
    /* 3 */
    {[](In) { return orders("attach", R"({"disk":"data","volume":"data"})"); },
     [](In c) { return has_disk(c, "data"); }, 11},
    /* 4 */
    {[](In) { return patches(R"({"spec":{"nics":{"eth1":{"network":"blue"}}}})"); },
     [](In c) { return has_nic(c, "eth1"); }, 12},
    /* 5 */ {[](In) { return orders("pause"); }, [](In c) { return has_power(c, Power::paused); }, 6},
    /* 6 */ {[](In) { return orders("resume"); }, [](In c) { return has_power(c, Power::running); }, 8},
    /* 7 */ {[](In) { return orders("reboot"); }, [](In) { return true; }},
    /* 8 */ {[](In) { return orders("stop"); }, [](In c) { return has_power(c, Power::stopped); }, 9},
    /* 9 */ {[](In) { return orders("start"); }, [](In c) { return has_power(c, Power::running); }, 14},
    /* 10 */
    {[](In) { return Cloud::patch(Kind::volume, "default", "data", R"({"spec":{"size":"2GiB"}})"); },
     [](In c) { return c.volume("data")->spec.size == 2 * kGiB; }},
    /* 11 */ {[](In) { return orders("detach", R"({"disk":"data"})"); }, [](In c) { return !has_disk(c, "data"); }},
    /* 12 */
    {[](In) { return patches(R"({"spec":{"nics":{"eth1":null}}})"); }, [](In c) { return !has_nic(c, "eth1"); }},
    /* 13 */
    {[](In) {
         return Cloud::create(Kind::portforward, "default",
                              R"({"name":"http","spec":{"vm":"web","hostPort":8080,"guestPort":80}})");
     },
     [](In c) { return is_there(c, Kind::portforward, "http"); }, 15},
    /* 14 */
    {[](In) { return orders("stop", R"({"force":true})"); }, [](In c) { return has_power(c, Power::stopped); }, 18},
    /* 15 */
    {[](In) { return Cloud::remove(Kind::portforward, "default", "http"); },
     [](In c) { return !is_there(c, Kind::portforward, "http"); }},
    /* 16 */
    {[](In) { return Cloud::create(Kind::network, "default", R"({"name":"red"})"); },
     [](In c) { return is_there(c, Kind::network, "red"); }, 17},
    /* 17 */
    {[](In) { return Cloud::remove(Kind::network, "default", "red"); },
     [](In c) { return !is_there(c, Kind::network, "red"); }},
    /* 18 */ {[](In) { return Cloud::remove(Kind::vm, "default", "web"); }, [](In c) { return web(c) == nullptr; }, 19},
    /* 19 */
    {[](In c) { return Cloud::act(Kind::vm, "default", deleted_vm(c).str(), "restore"); },
     [](In c) { return web(c) != nullptr; }, 20},
    /* 20 */
    {[](In c) { return Cloud::remove(Kind::vm, "default", web(c)->meta.id.str(), true); },
     [](In c) { return web(c) == nullptr; }},
};

TEST_CASE("child: furnishes" * doctest::skip()) {
    CloudOnDisk on_disk(child_directory());
    on_disk.cloud().furnish();
    on_disk.cloud().run_for(seconds{10});
    acknowledge(1);
}

TEST_CASE("child: works" * doctest::skip()) {
    CloudOnDisk on_disk(child_directory());
    Cloud& cloud = on_disk.cloud();
    cloud.run_for(seconds{5});
    std::uint64_t number = 0;
    for (const Step& step : kSteps) {
        const Reply reply = cloud.ask_and_wait(step.asked(cloud));
        REQUIRE_MESSAGE(reply.result, (reply.result ? "" : reply.result.error().message));
        acknowledge(++number);
        cloud.run_until([&] { return cloud.eyes->unsettled().empty(); }, minutes{2});
    }
    REQUIRE(cloud.violation() == "");
}

// The first of the acknowledged steps that is not so, and that the one which was under way does not take back; 0: none.
int missing_of(const Cloud& cloud, int acknowledged) {
    for (int number = 1; number <= acknowledged; ++number) {
        const Step& step = kSteps[number - 1];
        if (step.until > acknowledged + 1 && !step.is_so(cloud)) return number;
    }
    return 0;
}

void check_after(const std::string& dir, std::uint64_t acknowledged) {
    CloudOnDisk on_disk(dir);
    Cloud& cloud = on_disk.cloud();
    REQUIRE(cloud.violation() == "");
    REQUIRE(cloud.orchestrator_runs());
    CHECK(missing_of(cloud, static_cast<int>(acknowledged)) == 0);
    CHECK(cloud.run_until([&] { return cloud.eyes->unsettled().empty(); }, minutes{20}));
    CHECK(cloud.eyes->unsettled() == "");
    CHECK(cloud.violation() == "");
}

TEST_CASE(
    "killed at any durable step of a workload, a cloud has what it acknowledged, converges, leaves nothing over") {
#ifndef AXLE_FAULTS
    SKIP_TEST("kill points are compiled into dev builds only");
#endif
    const TempDir furnished;
    {
        Child child("child: furnishes", {{"AXLE_CHILD_DIR", furnished.path()}});
        REQUIRE(child.last_acknowledged() == 1);
        REQUIRE(child.wait() == 0);
    }
    const Walk walk = walk_of_this_run();
    int killed = 0;
    for (int kill_at = walk.first;; kill_at += walk.every) {
        CAPTURE(kill_at);
        REQUIRE(kill_at < 1000);
        const TempDir dir;
        std::filesystem::copy(furnished.path(), dir.path(), std::filesystem::copy_options::recursive);
        Child child("child: works", {{"AXLE_CHILD_DIR", dir.path()}, {"AXLE_KILL_AT", std::to_string(kill_at)}});
        const std::uint64_t acknowledged = child.last_acknowledged();
        const int end = child.wait();
        REQUIRE((end == 0 || end == SIGKILL));
        check_after(dir.path(), acknowledged);
        if (end == 0) break;
        ++killed;
    }
    std::printf("walked: %d durable points of %d operations of a cloud: %d, and every %d from there\n", killed,
                static_cast<int>(std::size(kSteps)), walk.first, walk.every);
    CHECK(killed * walk.every > 250);
}

}  // namespace
}  // namespace axle::test
