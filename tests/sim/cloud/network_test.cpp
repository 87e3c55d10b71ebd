// A network over several hosts, as the orchestrator tells each of them.
#include <algorithm>

#include <doctest/doctest.h>

#include "tests/sim/cloud/fixture.hpp"

using namespace axle;
using namespace axle::test;
using std::chrono::minutes;

namespace {

// What is wrong with what the hosts were told; empty: each knows exactly the guests on the others, and where they are.
std::string wrong_peers(Furnished& cloud) {
    for (const auto& host : cloud.hosts) {
        for (const auto& [id, told] : host.machine->bridges) {
            std::vector<std::string> knows, should;
            for (const NetworkPeer& peer : told.peers) knows.push_back(peer.mac + " " + peer.address + " " + peer.host);
            for (const auto& [key, object] : cloud.world().all(Kind::vm)) {
                const Vm& vm = static_cast<const Vm&>(*object);
                SimulatedMachine* at = cloud.machine_of(vm);
                if (at == nullptr || at == host.machine.get() || vm.status.gone) continue;
                for (const auto& [name, nic] : vm.spec.nics) {
                    const VmNicStatus& s = vm.status.nics.at(name);
                    if (nic.network.id == id) should.push_back(s.mac + " " + s.address + " " + at->facts.underlay);
                }
            }
            std::ranges::sort(knows);
            std::ranges::sort(should);
            if (knows != should)
                return fmt::format("knows [{}], should [{}]", fmt::join(knows, ", "), fmt::join(should, ", "));
            if (!told.peers.empty() && (told.vni == 0 || told.underlay != host.machine->facts.underlay))
                return "a network with peers has no number, or not this host's address";
        }
    }
    return "";
}
bool agree(Furnished& cloud) {
    return cloud.run_until([&] { return wrong_peers(cloud).empty(); }, minutes{5});
}

}  // namespace

TEST_CASE("each host of a network knows the guests on the others, and only hosts with guests know the network") {
    Furnished cloud;
    for (std::size_t i = 0; i < cloud.hosts.size(); ++i) {
        const std::string name = fmt::format("h{}", i);
        REQUIRE(cloud.makes_vm(name, fmt::format(R"(,"hostSelector":{{"n":"{}"}})", i)) == "ok");
    }
    cloud.run_for(minutes{1});
    CHECK(cloud.world().all(Kind::vm).size() == 3);
    CHECK(std::ranges::none_of(cloud.hosts, [](const auto& host) { return !host.machine->bridges.empty(); }));
    std::vector<std::string> hosts;
    for (const auto& [key, id] : cloud.world().names_of(Kind::host)) hosts.push_back(key.name);
    for (std::size_t i = 0; i < hosts.size(); ++i) {
        REQUIRE(cloud.does(Cloud::patch(Kind::host, "", hosts[i], fmt::format(R"({{"labels":{{"n":"{}"}}}})", i))) ==
                "ok");
        CHECK(cloud.run_until([&] { return cloud.is_running(fmt::format("h{}", i)); }));
        CHECK(agree(cloud));
        CHECK(wrong_peers(cloud) == "");
        const auto with =
            std::ranges::count_if(cloud.hosts, [](const auto& host) { return !host.machine->bridges.empty(); });
        CHECK(with == static_cast<std::ptrdiff_t>(i) + 1);
    }
    // Its guests elsewhere are known by their cards: one more, one less, one gone.
    REQUIRE(cloud.does(Cloud::patch(Kind::vm, "default", "h1", R"({"spec":{"nics":{"eth1":{"network":"blue"}}}})")) ==
            "ok");
    CHECK(agree(cloud));
    CHECK(wrong_peers(cloud) == "");
    REQUIRE(cloud.does(Cloud::patch(Kind::vm, "default", "h1", R"({"spec":{"nics":{"eth0":null}}})")) == "ok");
    CHECK(agree(cloud));
    CHECK(wrong_peers(cloud) == "");
    REQUIRE(cloud.deletes("h2", true) == "ok");
    CHECK(cloud.settles());
    CHECK(agree(cloud));
    CHECK(wrong_peers(cloud) == "");
    CHECK(cloud.violation() == "");
}

TEST_CASE("a crowd of guests is told to the others in a few documents, and to its own host at once") {
    constexpr int kCrowd = 30;
    Furnished cloud;
    for (int i = 0; i < kCrowd; ++i) REQUIRE(cloud.makes_vm(fmt::format("g{}", i)) == "ok");
    CHECK(cloud.settles());
    CHECK(agree(cloud));
    for (const auto& host : cloud.hosts) {
        CHECK(host.network_puts >= 2);
        CHECK(host.network_puts < kCrowd / 2);
    }
    CHECK(cloud.violation() == "");
}

TEST_CASE("a running guest's NIC and the size of its disk follow the spec, and no disk gets smaller") {
    Furnished cloud({.hosts = 1});
    REQUIRE(cloud.makes_vm("web") == "ok");
    REQUIRE(cloud.settles());
    const VmId id{cloud.vm("web")->meta.id};
    const VolumeId root{cloud.vm("web")->spec.disks.at("root").volume.id};
    REQUIRE(cloud.does(Cloud::patch(
                Kind::vm, "default", "web",
                R"({"spec":{"nics":{"eth1":{"network":"blue"}},"disks":{"root":{"size":"3GiB"}}}})")) == "ok");
    CHECK(cloud.settles());
    CHECK(cloud.machine().domains[id].live.nics.size() == 2);
    CHECK(cloud.run_until([&] { return cloud.volume("web-root")->status.size == 3 * kGiB; }));
    CHECK(cloud.machine().volumes[root].size == 3 * kGiB);
    CHECK_FALSE(cloud.vm("web")->status.needs_reboot);
    CHECK(
        cloud.does(Cloud::patch(Kind::volume, "default", "web-root", R"({"spec":{"size":"2GiB"}})")).find("smaller") !=
        std::string::npos);
    CHECK(cloud.does(Cloud::patch(Kind::vm, "default", "web", R"({"spec":{"disks":{"root":{"size":"2GiB"}}}})"))
              .find("smaller") != std::string::npos);
    // Off: by the file.
    REQUIRE(cloud.acts("web", "stop") == "ok");
    CHECK(cloud.settles());
    REQUIRE(cloud.does(Cloud::patch(Kind::volume, "default", "web-root", R"({"spec":{"size":"5GiB"}})")) == "ok");
    CHECK(cloud.run_until([&] { return cloud.machine().volumes[root].size == 5 * kGiB; }));
    REQUIRE(cloud.does(Cloud::patch(Kind::vm, "default", "web", R"({"spec":{"nics":{"eth1":null}}})")) == "ok");
    REQUIRE(cloud.acts("web", "start") == "ok");
    CHECK(cloud.settles());
    CHECK(cloud.machine().domains[id].live.nics.size() == 1);
    CHECK(cloud.violation() == "");
}
