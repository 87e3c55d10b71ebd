// A host that burns down, and the word of a person that it did.
#include "orchestrator/core/lost_host.hpp"

#include "tests/sim/cloud/fixture.hpp"

using namespace axle;
using namespace axle::test;
using std::chrono::hours;
using std::chrono::minutes;

namespace {

struct Burning : Furnished {
    Burning() : Furnished({.seed = 11, .hosts = 2}) {
        REQUIRE(makes_vm("web") == "ok");
        REQUIRE(settles());
        name = vm("web")->status.placement->host.name;
        other = name == "h0" ? "h1" : "h0";
        REQUIRE(does(act(Kind::host, "", other, "cordon")) == "ok");
        REQUIRE(does(create(Kind::vm, "default", R"({"name":"thin","spec":{"nics":{"eth0":{"network":"blue"}}}})")) ==
                "ok");
        REQUIRE(settles());
        REQUIRE(does(act(Kind::host, "", other, "uncordon")) == "ok");
        REQUIRE(vm("thin")->status.placement->host.name == name);
    }
    std::string gives_up() {
        Mutation word = remove(Kind::host, "", name);
        word.lost = true;
        return does(std::move(word));
    }
    void burns() {
        power_cut(static_cast<std::size_t>(name[1] - '0'), hours{24 * 365});
        REQUIRE(run_until(
            [&] { return !static_cast<const Host&>(*world().named(Kind::host, {}, name)).status.connected; }));
    }

    std::string name, other;
};

}  // namespace

TEST_CASE("a host that is connected isn't given up, and one with guests isn't removed without the word") {
    Burning cloud;
    CHECK(cloud.gives_up().find("is connected: it is not lost") != std::string::npos);
    CHECK(cloud.does(Cloud::remove(Kind::host, "", cloud.name)).find("is used by") != std::string::npos);
    cloud.burns();
    CHECK(cloud.does(Cloud::remove(Kind::host, "", cloud.name)).find("is used by") != std::string::npos);
    cloud.run_for(hours{2});
    CHECK(cloud.vm("thin")->status.placement->host.name == cloud.name);  // silence alone is no evidence
    CHECK(cloud.violation() == "");
}

TEST_CASE("of a host that is given up, guests without disks there start anew, others are lost and said to be") {
    for (const int restart_after_ms : {-1, 0, 5, 20, 60, 200}) {
        CAPTURE(restart_after_ms);
        Burning cloud;
        cloud.burns();
        const Uuid burnt = cloud.world().named(Kind::host, {}, cloud.name)->meta.id;
        CHECK(consequences_of_loss(cloud.world(), burnt).size() == 2);
        REQUIRE(cloud.gives_up() == "ok");
        if (restart_after_ms >= 0) {
            cloud.run_for(milliseconds{restart_after_ms});
            cloud.crash_orchestrator();
            cloud.start_orchestrator();
        }
        REQUIRE(cloud.run_until([&] { return cloud.is_running("thin"); }));
        CHECK(cloud.vm("thin")->status.placement->host.name == cloud.other);
        REQUIRE(cloud.run_until([&] { return cloud.world().all(Kind::host).size() == 1; }));
        CHECK(cloud.volume("web-root")->status.phase == VolumePhase::lost);
        CHECK_FALSE(cloud.vm("web")->status.placement);
        CHECK(cloud.vm("web")->status.phase == VmPhase::waiting);
        cloud.run_for(minutes{5});
        CHECK(cloud.volume("web-root")->status.phase == VolumePhase::lost);  // never made anew
        const Uuid id = cloud.vm("web")->meta.id;
        REQUIRE(cloud.deletes("web", true) == "ok");
        CHECK(cloud.run_until([&] { return cloud.world().find<Vm>(id) == nullptr; }));  // nobody is left to confirm it
        CHECK(cloud.run_until([&] { return cloud.world().all(Kind::volume).empty(); }));
        CHECK(cloud.violation() == "");
    }
}

TEST_CASE("a host that was given up and comes back keeps its guest running, and has it again by a person's word") {
    for (const bool volume_only : {false, true}) {
        CAPTURE(volume_only);
        Burning cloud;
        const std::size_t number = static_cast<std::size_t>(cloud.name[1] - '0');
        const VmId id{cloud.vm("web")->meta.id};
        const Uuid disk = cloud.volume("web-root")->meta.id;
        cloud.power_cut(number, minutes{20});
        REQUIRE(cloud.run_until([&] {
            return !static_cast<const Host&>(*cloud.world().named(Kind::host, {}, cloud.name)).status.connected;
        }));
        REQUIRE(cloud.gives_up() == "ok");
        REQUIRE(cloud.run_until([&] { return cloud.world().all(Kind::host).size() == 1; }));
        REQUIRE(cloud.run_until([&] { return cloud.unclaimed(DocumentKind::vm).size() == 1; }, hours{1}));
        cloud.run_for(minutes{5});
        CHECK(cloud.machine(number).is_running(id));
        CHECK(cloud.unclaimed(DocumentKind::volume).size() == 1);
        const auto starts = cloud.machine(number).domains[id].starts;
        REQUIRE(cloud.does(cloud.adopt(cloud.name, volume_only ? disk : Uuid{id})) == "ok");
        CHECK(cloud.settles());
        REQUIRE(cloud.vm("web")->status.placement);
        CHECK(cloud.vm("web")->status.placement->host.name == cloud.name);
        CHECK(cloud.volume("web-root")->status.phase == VolumePhase::ready);
        CHECK(cloud.is_running("web"));
        CHECK(cloud.machine(number).domains[id].starts == starts);
        CHECK(cloud.deletes("web", true) == "ok");
        CHECK(cloud.deletes("thin", true) == "ok");
        CHECK(cloud.expunges());
        CHECK(cloud.violation() == "");
    }
}

TEST_CASE("a host that is removed takes along what it told: a network that it had can be deleted") {
    for (const bool connected : {true, false}) {
        CAPTURE(connected);
        Furnished cloud({.seed = 12, .hosts = 2});
        REQUIRE(cloud.does(Cloud::create(Kind::vm, "default",
                                         R"({"name":"thin","spec":{"nics":{"eth0":{"network":"blue"}}}})")) == "ok");
        REQUIRE(cloud.settles());
        const Ref host = cloud.vm("thin")->status.placement->host;
        const Uuid network = cloud.world().named(Kind::network, cloud.vm("thin")->meta.project.id, "blue")->meta.id;
        const std::size_t number = static_cast<std::size_t>(host.name[1] - '0');
        REQUIRE(cloud.does(Cloud::act(Kind::host, "", host.name, "cordon")) == "ok");
        if (!connected) cloud.power_cut(number, hours{24 * 365});
        if (!connected) cloud.run_for(minutes{2});
        REQUIRE(cloud.deletes("thin", true) == "ok");
        if (!connected) {  // the guest's end can't be confirmed: the host is given up
            Mutation word = Cloud::remove(Kind::host, "", host.name);
            word.lost = true;
            REQUIRE(cloud.does(std::move(word)) == "ok");
        } else {
            REQUIRE(cloud.run_until([&] { return cloud.world().all(Kind::vm).empty(); }));
            CHECK(cloud.world().hosts_told(network).contains(host.id));
            cloud.power_cut(number, hours{24 * 365});
            REQUIRE(cloud.does(Cloud::remove(Kind::host, "", host.name)) == "ok");
        }
        REQUIRE(cloud.run_until([&] { return cloud.world().find<Host>(host.id) == nullptr; }));
        CHECK(cloud.world().hosts_told(network).empty());
        REQUIRE(cloud.does(Cloud::remove(Kind::network, "default", "blue")) == "ok");
        CHECK(cloud.run_until([&] { return cloud.world().find<NetworkObject>(network) == nullptr; }, minutes{5}));
        CHECK(cloud.world().check_indexes() == "");
        CHECK(cloud.violation() == "");
    }
}
