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

TEST_CASE("the file of a deleted image goes, whenever the orchestrator dies on the way") {
    for (int after_ms = 0; after_ms <= 60; after_ms += 3) {
        CAPTURE(after_ms);
        Furnished cloud({.seed = static_cast<std::uint64_t>(after_ms) + 1, .hosts = 1});
        const std::size_t before = cloud.image_files.size();
        REQUIRE(makes_image(cloud, "gone", "http://images/gone") == "ok");
        REQUIRE(cloud.run_until([&] { return phase(cloud, "gone") == ImagePhase::ready; }));
        CHECK(cloud.image_files.size() == before + 1);
        REQUIRE(cloud.does(Cloud::remove(Kind::image, "default", "gone", true)) == "ok");
        cloud.run_for(milliseconds{after_ms});
        cloud.crash_orchestrator();
        cloud.start_orchestrator();
        CHECK(cloud.run_until([&] { return cloud.image_files.size() == before; }));
        cloud.run_for(seconds{1});
        std::size_t notes = 0;
        CHECK(cloud.store().scan(Table::meta, "image-file/", "image-file0", false,
                                 [&](auto, auto) { return ++notes > 0; }));
        CHECK(notes == 0);
    }
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

TEST_CASE("below the reserve no content is taken, and what was asked for comes in when there is room") {
    Furnished cloud({.hosts = 1});
    REQUIRE(makes_image(cloud, "up", "") == "ok");
    cloud.disk.space.below_reserve = true;
    const Reply refused = cloud.upload("up");
    REQUIRE_FALSE(refused.result);
    CHECK(refused.result.error().code == Code::no_space);
    CHECK_FALSE(refused.result.error().hint.empty());
    CHECK(cloud.uploads.empty());
    CHECK(phase(cloud, "up") == ImagePhase::uploading);
    cloud.disk.space.below_reserve = false;
    CHECK(cloud.upload("up").result);
    CHECK(cloud.run_until([&] { return phase(cloud, "up") == ImagePhase::ready; }));
}

TEST_CASE("an import whose server is away waits, says until when, and comes in when it is back") {
    Furnished cloud({.hosts = 1});
    REQUIRE(makes_image(cloud, "far", "http://images/away") == "ok");
    const Uuid task = cloud.last.result->task;
    CHECK(cloud.run_until([&] { return cloud.task(task)->status.phase == TaskPhase::waiting; }));
    CHECK(phase(cloud, "far") == ImagePhase::importing);
    const Task waits = task_of(cloud, task);
    CHECK(waits.status.reason.find("HTTP 503; try 2 of 12 is at 20") != std::string::npos);
    CHECK(waits.status.log.size() >= 2);
    cloud.run_for(std::chrono::minutes{10});
    CHECK(cloud.importer().tries >= 4);
    CHECK(cloud.importer().tries <= 12);
    cloud.importer().away = false;
    CHECK(cloud.run_until([&] { return phase(cloud, "far") == ImagePhase::ready; }, std::chrono::minutes{20}));
    CHECK(task_of(cloud, task).status.phase == TaskPhase::succeeded);
    CHECK(image(cloud, "far")->status.conditions.empty());
}

TEST_CASE("an import is tried a bounded number of times; asked for anew it goes on") {
    Furnished cloud({.hosts = 1});
    REQUIRE(makes_image(cloud, "far", "http://images/away") == "ok");
    const Uuid task = cloud.last.result->task;
    CHECK(cloud.run_until([&] { return phase(cloud, "far") == ImagePhase::failed; }, std::chrono::hours{3}));
    const Task failed = task_of(cloud, task);
    CHECK(failed.status.phase == TaskPhase::failed);
    CHECK(failed.status.log.back().find("HTTP 503") != std::string::npos);
    const int tries = cloud.importer().tries;
    cloud.run_for(std::chrono::hours{1});
    CHECK(cloud.importer().tries == tries);
    cloud.importer().away = false;
    REQUIRE(cloud.does(Cloud::act(Kind::image, "default", "far", "import")) == "ok");
    CHECK(cloud.run_until([&] { return phase(cloud, "far") == ImagePhase::ready; }));
    CHECK(task_of(cloud, cloud.last.result->task).status.phase == TaskPhase::succeeded);
    REQUIRE(cloud.does(Cloud::act(Kind::image, "default", "far", "import")) == "ok");  // and changes nothing
    CHECK_FALSE(cloud.last.result->changed);
}

TEST_CASE("who doesn't want to wait for the next try has it now, or cancels") {
    Furnished cloud({.hosts = 1});
    REQUIRE(makes_image(cloud, "far", "http://images/away") == "ok");
    const Uuid task = cloud.last.result->task;
    const auto waits = [&] { return cloud.task(task)->status.phase == TaskPhase::waiting; };
    REQUIRE(cloud.run_until(waits));
    cloud.run_for(std::chrono::minutes{4});
    REQUIRE(cloud.run_until(waits));
    const int tries = cloud.importer().tries;
    REQUIRE(cloud.does(Cloud::act(Kind::image, "default", "far", "import")) == "ok");
    cloud.run_for(seconds{1});
    CHECK(cloud.importer().tries == tries + 1);
    REQUIRE(cloud.run_until(waits));
    REQUIRE(cloud.does(Cloud::act(Kind::task, "", task.str(), "cancel")) == "ok");
    CHECK(cloud.run_until([&] { return phase(cloud, "far") == ImagePhase::failed; }));
    CHECK(task_of(cloud, task).status.phase == TaskPhase::cancelled);
}

TEST_CASE("an image that never came in is deleted for good at once, whatever its import does") {
    for (const int after_s : {0, 2, 22, 60}) {
        CAPTURE(after_s);
        Furnished cloud({.seed = static_cast<std::uint64_t>(after_s) + 1, .hosts = 1});
        REQUIRE(makes_image(cloud, "far", "http://images/away") == "ok");
        const Uuid id = image(cloud, "far")->meta.id;
        cloud.run_for(seconds{after_s});
        REQUIRE(cloud.does(Cloud::remove(Kind::image, "default", "far")) == "ok");
        CHECK(cloud.run_until([&] { return cloud.world().find<Image>(id) == nullptr; }, std::chrono::minutes{2}));
        cloud.run_for(seconds{5});
        CHECK(cloud.importer().forgotten.contains(id));
        const int tries = cloud.importer().tries;
        cloud.run_for(std::chrono::minutes{30});
        CHECK(cloud.importer().tries == tries);
    }
}

TEST_CASE("a task tells the step of its import, and a percentage that never falls") {
    Furnished cloud({.hosts = 1});
    REQUIRE(makes_image(cloud, "far", "http://images/good") == "ok");
    const Uuid task = cloud.last.result->task;
    std::int64_t percent = 0;
    std::set<std::string> steps;
    for (int i = 0; i < 40 && cloud.task(task) != nullptr; ++i) {
        const Task now = task_of(cloud, task);
        if (!now.status.step.empty()) steps.insert(now.status.step);
        CHECK(now.status.percent >= percent);
        percent = now.status.percent;
    }
    CHECK(steps == std::set<std::string>{"converting", "downloading"});
    CHECK(task_of(cloud, task).status.percent == 100);
}

}  // namespace

TEST_CASE("a disk whose image makes it larger than the project may have fails, says so, and comes when it may") {
    Furnished cloud({.hosts = 1});
    REQUIRE(makes_image(cloud, "up", "") == "ok");
    REQUIRE(cloud.does(Cloud::patch(Kind::project, "", "default", R"({"spec":{"limits":{"disk":"64MiB"}}})")) == "ok");
    REQUIRE(cloud.does(Cloud::create(Kind::volume, "default", R"({"name":"disk","spec":{"image":"up"}})")) == "ok");
    const Uuid task = cloud.last.result->task;
    REQUIRE(cloud.upload("up").result);
    CHECK(cloud.run_until([&] { return cloud.volume("disk")->status.phase == VolumePhase::failed; }));
    REQUIRE_FALSE(cloud.volume("disk")->status.conditions.empty());
    const Condition why = cloud.volume("disk")->status.conditions.front();
    CHECK(why.reason == "QuotaExceeded");
    CHECK(why.message.find("axle project set default --limit disk=") != std::string::npos);
    CHECK(cloud.volume("disk")->spec.size == 0);
    CHECK(task_of(cloud, task).status.phase == TaskPhase::failed);
    REQUIRE(cloud.does(Cloud::patch(Kind::project, "", "default", R"({"spec":{"limits":{"disk":"1TiB"}}})")) == "ok");
    CHECK(cloud.run_until([&] { return cloud.volume("disk")->status.phase == VolumePhase::ready; },
                          std::chrono::minutes{20}));
    CHECK(cloud.volume("disk")->spec.size > 0);
    CHECK(cloud.volume("disk")->status.conditions.empty());
}

TEST_CASE("what was done is answered again to who repeats it with its key, whatever came since") {
    Furnished cloud({.hosts = 1});
    Mutation create = Cloud::create(Kind::volume, "default", R"({"name":"disk","spec":{"size":"1GiB"}})");
    create.idempotency_key = "k1";
    REQUIRE(cloud.does(create) == "ok");
    cloud.disk.space.below_reserve = true;
    CHECK(cloud.does(create) == "ok");
    CHECK(cloud.last.result->replayed);
    cloud.disk.space.below_reserve = false;

    REQUIRE(makes_image(cloud, "far", "http://images/away") == "ok");
    const Uuid task = cloud.last.result->task;
    Mutation cancel = Cloud::act(Kind::task, "", task.str(), "cancel");
    cancel.idempotency_key = "k2";
    CHECK(cloud.does(cancel) == "ok");
    CHECK(cloud.run_until([&] { return cloud.task(task) == nullptr; }));
    CHECK(cloud.does(cancel) == "ok");
    CHECK(cloud.last.result->replayed);
    CHECK(cloud.last.result->object->meta.id == task);
}

}  // namespace axle::test
