// A cloud goes to another machine and back, killed at every durable step: never can it be served in two places, nothing
// is lost, and doing it again completes it.
#include <csignal>
#include <filesystem>

#include <doctest/doctest.h>

#include "orchestrator/relocation/archive.hpp"
#include "orchestrator/relocation/relocation.hpp"
#include "orchestrator/store/directory.hpp"
#include "orchestrator/store/identity.hpp"
#include "tests/crash/store/child.hpp"
#include "tests/crash/store/workload.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/temp_dir.hpp"

namespace axle::test {
namespace {

namespace fs = std::filesystem;

constexpr Revision kRevisions = 5;
constexpr WallTime kNow{1'800'000'000'000};

// One directory with an old machine, a new one, and the file that goes from the one to the other.
struct World {
    explicit World(std::string directory) : dir(std::move(directory)) {}
    std::string dir;
    std::string file() const { return dir + "/cloud.tar"; }
    std::string state(const char* machine) const { return dir + "/" + machine; }
    ServiceConfig config(const char* machine) const {
        ServiceConfig out;
        out.state_directory = state(machine);
        return out;
    }
    Result<Relocated> pack() const { return export_orchestrator(config("old"), {file(), "https://new:7443"}, kNow); }
    Result<Relocated> unpack(const char* machine) const { return import_orchestrator(config(machine), file()); }
    bool is_packed() const { return open_archive(file()).has_value(); }
    Result<> serves(const char* machine) const {
        Running run;
        return run.open(store_options(state(machine)));
    }
};

// A cloud of its own with some history, an image and a token.
void found(const World& world) {
    const std::string old = world.state("old");
    {
        Running run;
        REQUIRE(run.open(store_options(old)));
        for (Revision r = 1; r <= kRevisions; ++r) run.store->commit(batch_of(r));
        REQUIRE(run.wait_for(kRevisions));
    }
    REQUIRE(make_directories(old + "/images/incoming", 0711));
    REQUIRE(write_file_durably(old + "/images/abc.qcow2", std::string(700'000, 'i'), 0644));
    REQUIRE(write_file_durably(old + "/images/incoming/x.upload", "half an image", 0600));
    REQUIRE(write_file_durably(old + "/admin.token", "axle_secret\n", 0600));
    for (const char* name : {"/ca.pem", "/ca.key"}) REQUIRE(write_file_durably(old + "/identity" + name, name, 0600));
}

std::string content(const std::string& path) {
    return read_file(path).value_or("not there");
}

// What the old one had is on this machine, and nothing says that it was lost or is in doubt.
void check_whole(const World& world, const char* machine, std::uint64_t incarnation) {
    const std::string state = world.state(machine);
    Running run;
    const auto opened = run.open(store_options(state));
    if (!opened) FAIL(opened.error().message);
    CHECK_FALSE(run.store->state().read_only);
    CHECK(run.store->state().incarnation > incarnation);
    CHECK(flaw_of(*run.store, kRevisions) == "");
    CHECK(content(state + "/images/abc.qcow2") == std::string(700'000, 'i'));
    CHECK(content(state + "/images/incoming/x.upload") == "half an image");
    CHECK(content(state + "/admin.token") == "axle_secret\n");
    CHECK(content(state + "/identity/ca.key") == "/ca.key");
    CHECK((fs::status(state + "/admin.token").permissions() & fs::perms::mask) == fs::perms(0600));
    CHECK(announced(state + "/store").value_or(std::vector<std::string>{}) ==
          std::vector<std::string>{"https://new:7443"});
}

TEST_CASE("child: packs" * doctest::skip()) {
    const auto done = World(child_directory()).pack();
    if (!done) FAIL(done.error().message);
}
TEST_CASE("child: unpacks on the new one" * doctest::skip()) {
    const auto done = World(child_directory()).unpack("new");
    if (!done) FAIL(done.error().message);
}
TEST_CASE("child: unpacks on the old one" * doctest::skip()) {
    const auto done = World(child_directory()).unpack("old");
    if (!done) FAIL(done.error().message);
}

// Runs the child, killed at its first durable step, its second, ... each in a world of its own, until it isn't killed.
int kill_at_each(const char* child, const std::function<void(const World&)>& before,
                 const std::function<void(const World&)>& after) {
    for (int kill_at = 1;; ++kill_at) {
        CAPTURE(kill_at);
        REQUIRE(kill_at < 200);
        const TempDir dir;
        const World world(dir.path());
        before(world);
        Child process(child, {{"AXLE_CHILD_DIR", dir.path()}, {"AXLE_KILL_AT", std::to_string(kill_at)}});
        const int end = process.wait();
        REQUIRE((end == 0 || end == SIGKILL));
        after(world);
        if (end == 0) return kill_at - 1;
    }
}

TEST_CASE("killed at any durable step of packing, a cloud is served where it was or packed, never both") {
#ifndef AXLE_FAULTS
    SKIP_TEST("kill points are compiled into dev builds only");
#endif
    int still_served = 0, only_packed = 0, between = 0;
    const int killed = kill_at_each("child: packs", found, [&](const World& world) {
        const bool packed = world.is_packed();
        const bool served = world.serves("old").has_value();
        CHECK_FALSE((packed && served));
        ++(packed ? only_packed : served ? still_served : between);
        const auto again = world.pack();
        if (!again) FAIL(again.error().message);
        CHECK(world.is_packed());
        const auto refused = world.serves("old");
        REQUIRE_FALSE(refused);
        CHECK(refused.error().message.find("has moved to https://new:7443") != std::string::npos);
        REQUIRE(world.unpack("new"));
        check_whole(world, "new", 1);
    });
    MESSAGE(fmt::format("killed at {} points: {} times served, {} packed, {} neither", killed, still_served,
                        only_packed, between));
    CHECK(killed >= 4);
    CHECK((still_served > 0 && only_packed > 0));
}

static void found_and_pack(const World& world) {
    found(world);
    REQUIRE(world.pack());
}

TEST_CASE("killed at any durable step of unpacking, nothing is served there until it is done again") {
#ifndef AXLE_FAULTS
    SKIP_TEST("kill points are compiled into dev builds only");
#endif
    const int killed = kill_at_each("child: unpacks on the new one", found_and_pack, [](const World& world) {
        const bool begun = fs::exists(world.state("new") + "/store/db");
        const auto served = begun ? world.serves("new") : fail(Code::not_found, "nothing came");
        if (!served) {
            REQUIRE(world.unpack("new"));
        } else {
            const auto twice = world.unpack("new");
            REQUIRE_FALSE(twice);
            CHECK(twice.error().message.find("is served from") != std::string::npos);
        }
        check_whole(world, "new", 1);
        CHECK_FALSE(world.serves("old"));
    });
    MESSAGE(fmt::format("killed at {} points", killed));
    CHECK(killed > 10);
}

TEST_CASE("what never served elsewhere comes back to where it was, killed at any durable step of that") {
#ifndef AXLE_FAULTS
    SKIP_TEST("kill points are compiled into dev builds only");
#endif
    kill_at_each("child: unpacks on the old one", found_and_pack, [](const World& world) {
        if (!world.serves("old")) REQUIRE(world.unpack("old"));
        check_whole(world, "old", 1);
    });
}

}  // namespace
}  // namespace axle::test
