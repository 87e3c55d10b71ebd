// An orchestrator and an agent with real disks, killed at every durable step of a workload: what was acknowledged is
// there, all converges, and nothing is left over.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include <doctest/doctest.h>

#include "tests/crash/cloud/disks.hpp"
#include "tests/crash/store/child.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/temp_dir.hpp"

namespace axle::test {
namespace {

using std::chrono::minutes;

// The steps of the workload; the number of a step is acknowledged when its answer came.
Mutation step(Cloud& cloud, int number) {
    switch (number) {
        case 1:
            return Cloud::create(Kind::vm, "default",
                                 R"({"name":"web","spec":{"disks":{"root":{"size":"1GiB"}},)"
                                 R"("nics":{"eth0":{"network":"blue"}}}})");
        case 2:
            return Cloud::create(Kind::volume, "default", R"({"name":"data","spec":{"size":"1GiB"}})");
        case 3:
            return Cloud::act(Kind::vm, "default", "web", "attach", R"({"disk":"data","volume":"data"})");
        case 4:
            return Cloud::act(Kind::vm, "default", "web", "stop", R"({"force":true})");
        default:
            return Cloud::remove(Kind::vm, "default", cloud.vm("web")->meta.id.str(), true);
    }
}
constexpr int kSteps = 5;

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
    for (int i = 1; i <= kSteps; ++i) {
        const Reply reply = cloud.ask_and_wait(step(cloud, i));
        REQUIRE_MESSAGE(reply.result, (reply.result ? "" : reply.result.error().message));
        acknowledge(static_cast<std::uint64_t>(i));
        cloud.run_for(seconds{4});
    }
    cloud.run_for(seconds{20});
    REQUIRE(cloud.violation() == "");
}

// "" or what of the acknowledged steps is not so.
std::string missing_of(const Cloud& cloud, std::uint64_t acknowledged) {
    const Vm* vm = cloud.vm("web");
    const Volume* data = cloud.volume("data");
    if (acknowledged >= kSteps) {
        if (vm != nullptr) return "the VM was deleted and lives";
        return data == nullptr ? "the disk that stays with its user is gone" : "";
    }
    if (acknowledged >= 2 && data == nullptr) return "the volume is gone";
    if (acknowledged >= 1 && vm == nullptr) return acknowledged == kSteps - 1 ? "" : "the VM is gone";
    if (vm == nullptr) return "";
    if (acknowledged >= 3 && !vm->spec.disks.contains("data")) return "the attached disk is gone";
    if (acknowledged >= 4 && vm->spec.power != Power::stopped) return "the stop is forgotten";
    return "";
}

void check_after(const std::string& dir, std::uint64_t acknowledged) {
    CloudOnDisk on_disk(dir);
    Cloud& cloud = on_disk.cloud();
    REQUIRE(cloud.violation() == "");
    REQUIRE(cloud.orchestrator_runs());
    CHECK(missing_of(cloud, acknowledged) == "");
    CHECK(cloud.run_until([&] { return cloud.eyes->unsettled().empty(); }, minutes{20}));
    CHECK(cloud.eyes->unsettled() == "");
    CHECK(cloud.violation() == "");
}

// Which of the points: all, or in a short run each so-many-th (AXLE_KILL_EVERY), another set every day.
struct Points {
    int first = 1, every = 1;
};
Points points_of_this_run() {
    const char* every = std::getenv("AXLE_KILL_EVERY");
    Points points{.every = every != nullptr ? std::max(1, std::atoi(every)) : 1};
    const auto day = std::chrono::duration_cast<std::chrono::days>(std::chrono::system_clock::now().time_since_epoch());
    points.first = 1 + static_cast<int>(day.count() % points.every);
    return points;
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
    const Points points = points_of_this_run();
    int killed = 0;
    for (int kill_at = points.first;; kill_at += points.every) {
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
    MESSAGE(fmt::format("killed at {} points: {}, and every {} from there", killed, points.first, points.every));
    CHECK(killed * points.every > 50);
}

}  // namespace
}  // namespace axle::test
