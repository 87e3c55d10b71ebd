// Images that come in while the orchestrator dies, the network is away, and people change their minds.
#include <doctest/doctest.h>

#include "tests/sim/cloud/fixture.hpp"

namespace axle::test {
namespace {

const Image* image(Cloud& cloud, const std::string& name) {
    const ObjectPtr project = cloud.world().named(Kind::project, {}, "default");
    return static_cast<const Image*>(cloud.world().named(Kind::image, project->meta.id, name).get());
}
ImagePhase phase(Cloud& cloud, const std::string& name) {
    const Image* found = image(cloud, name);
    REQUIRE(found != nullptr);
    return found->status.phase;
}
std::string makes_image(Furnished& cloud, const std::string& name, const std::string& url) {
    return cloud.does(Cloud::create(
        Kind::image, "default",
        fmt::format(R"({{"name":"{}","spec":{{{}}}}})", name, url.empty() ? "" : "\"url\":\"" + url + "\"")));
}
// How the last task about this image ended, or stands.
Task task_of(Furnished& cloud, const Uuid& id) {
    std::optional<Task> task;
    cloud.orchestrator().get(Cloud::admin(), {Kind::task, "", id.str()}, [&](Result<Viewed> viewed) {
        if (viewed) task = static_cast<const Task&>(*viewed->object);
    });
    cloud.run_for(seconds{1});
    REQUIRE(task.has_value());
    return *task;
}

TEST_CASE("an upload that was acknowledged becomes an image, whenever the orchestrator dies") {
    for (int after_ms = 0; after_ms <= 24'000; after_ms += 1'200) {
        CAPTURE(after_ms);
        Furnished cloud({.seed = static_cast<std::uint64_t>(after_ms) + 1, .hosts = 1});
        REQUIRE(makes_image(cloud, "up", "") == "ok");
        const Reply taken = cloud.upload("up");
        REQUIRE(taken.result);
        REQUIRE(taken.result->task);
        cloud.run_for(milliseconds{after_ms});
        cloud.restart_orchestrator_in(milliseconds{500});
        cloud.run_for(seconds{1});
        REQUIRE(cloud.run_until([&] { return cloud.orchestrator_runs(); }));
        CHECK(cloud.run_until([&] { return phase(cloud, "up") == ImagePhase::ready; }));
        CHECK(task_of(cloud, taken.result->task).status.phase == TaskPhase::succeeded);
        CHECK(cloud.uploads.empty());
        CHECK(cloud.violation() == "");
    }
}

TEST_CASE("an upload whose bytes are gone after a restart fails as interrupted, and the image takes content again") {
    Furnished cloud({.hosts = 1});
    REQUIRE(makes_image(cloud, "up", "") == "ok");
    const Reply taken = cloud.upload("up");
    REQUIRE(taken.result);
    cloud.crash_orchestrator();
    cloud.uploads.clear();
    cloud.start_orchestrator();
    CHECK(cloud.run_until([&] { return phase(cloud, "up") == ImagePhase::uploading; }));
    const Task task = task_of(cloud, taken.result->task);
    CHECK(task.status.phase == TaskPhase::failed);
    REQUIRE(task.status.error);
    CHECK(task.status.error->code == "interrupted");
    const Reply again = cloud.upload("up");
    REQUIRE(again.result);
    CHECK(again.result->task);
    CHECK(cloud.run_until([&] { return phase(cloud, "up") == ImagePhase::ready; }));
    CHECK(task_of(cloud, again.result->task).status.phase == TaskPhase::succeeded);
}

TEST_CASE("an image that is ready or comes from an address takes no content") {
    Furnished cloud({.hosts = 1});
    REQUIRE(makes_image(cloud, "up", "") == "ok");
    REQUIRE(cloud.upload("up").result);
    CHECK_FALSE(cloud.upload("up").result);  // it is being imported
    CHECK(cloud.run_until([&] { return phase(cloud, "up") == ImagePhase::ready; }));
    CHECK_FALSE(cloud.upload("up").result);
    REQUIRE(makes_image(cloud, "far", "http://images/bad") == "ok");
    cloud.run_for(seconds{60});
    CHECK_FALSE(cloud.upload("far").result);
    CHECK(cloud.uploads.empty());
}

}  // namespace
}  // namespace axle::test
