// Others' firewalls in the way: found, opened only when asked, closed again to the letter.
#include <doctest/doctest.h>

#include "agent/network/foreign_firewall.hpp"
#include "tests/contract/network/lab.hpp"
#include "tests/support/skip.hpp"

using namespace axle;
using namespace axle::test;

#define PRIVATE_NETWORK() \
    if (const std::string why_not_here = enter_private_network(); !why_not_here.empty()) SKIP_TEST(why_not_here.c_str())

namespace {

// The rules that Docker writes, in the filter table of either iptables.
struct Docker {
    explicit Docker(std::string program) : iptables(std::move(program)) {
        run({"-P", "FORWARD", "DROP"});
        run({"-N", "DOCKER-USER"});
        run({"-A", "FORWARD", "-j", "DOCKER-USER"});
        run({"-A", "FORWARD", "-o", "docker0", "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"});
        run({"-A", "FORWARD", "-i", "docker0", "!", "-o", "docker0", "-j", "ACCEPT"});
        run({"-A", "DOCKER-USER", "-j", "RETURN"});
    }
    ~Docker() {
        says({iptables, "-P", "FORWARD", "ACCEPT"});
        says({iptables, "-F"});
        says({iptables, "-X"});
        says({"nft", "delete", "table", "ip", "filter"});
    }
    void run(std::vector<std::string> words) {
        words.insert(words.begin(), iptables);
        must(words);
    }
    std::string rules() { return says({iptables, "-S"}); }
    std::string iptables;
};

// A machine outside, and a guest that has an address.
struct Scene {
    Scene() {
        must({"ip", "link", "add", "up0", "type", "veth", "peer", "name", "eth0", "netns", world.id()});
        must({"ip", "addr", "add", "192.0.2.1/24", "dev", "up0"});
        must({"ip", "link", "set", "up0", "up"});
        world.must({"ip", "addr", "add", "192.0.2.2/24", "dev", "eth0"});
        world.must({"ip", "link", "set", "eth0", "up"});
        must({"ip", "route", "add", "default", "via", "192.0.2.2"});
        nic = nic_on(blue, 1, 10);
    }
    ~Scene() { says({"ip", "link", "del", "up0"}); }
    std::string blocked() {
        std::string out;
        const NetworkReport report = host.apply({{blue}, {nic}});
        for (const Condition& condition : report.networks.at(blue.id).conditions)
            out += condition.reason + ": " + condition.message + "\n";
        return out;
    }
    std::string record() const { return opened_record(host.folder()); }

    Elsewhere world;
    Host host;
    NetworkDocument blue = nat_network(1);
    NicPlan nic;
};

}  // namespace

TEST_CASE("Docker's drop policy is named, and with consent guests are let through until it is taken back") {
    PRIVATE_NETWORK();
    Docker docker("iptables");
    Scene scene;
    const std::string before = docker.rules();
    const std::string said = scene.blocked();
    CHECK_MESSAGE(said.find("Blocked: docker cuts guests off") != std::string::npos, said);
    CHECK_MESSAGE(said.find("iptables -w 5 -I DOCKER-USER -i axb+") != std::string::npos, said);
    CHECK(docker.rules() == before);  // nothing is opened unasked
    Guest guest(scene.nic.tap, scene.nic.mac);
    guest.must({"ip", "addr", "add", "10.90.1.10/24", "dev", "eth0"});
    guest.must({"ip", "route", "add", "default", "via", "10.90.1.1"});
    const Fd server = scene.world.listen(80);
    CHECK_FALSE(guest.connect("192.0.2.2", 80, 500));
    const auto programs = blocking_programs();
    REQUIRE(programs);
    CHECK(*programs == std::vector<std::string>{"docker"});
    for (int i = 0; i < 2; ++i) CHECK(open_foreign_firewalls(scene.record(), *programs, {"axb+"}));
    CHECK(scene.blocked().empty());
    CHECK(seen_client(guest, "192.0.2.2", 80, server).value_or("") == "192.0.2.1");
    // Somebody flushed it meanwhile: told again, opened again, closed without complaint.
    docker.run({"-F", "DOCKER-USER"});
    docker.run({"-A", "DOCKER-USER", "-j", "RETURN"});
    CHECK_FALSE(scene.blocked().empty());
    CHECK(open_foreign_firewalls(scene.record(), {}, {}));  // what was agreed to before
    CHECK(scene.blocked().empty());
    CHECK(scene.host.remove_all());
    CHECK(docker.rules() == before);
    CHECK_FALSE(file_exists(scene.record()));
    CHECK(close_foreign_firewalls(scene.record()));  // again
}

TEST_CASE("a drop policy in iptables-legacy, which nft does not show, is found") {
    PRIVATE_NETWORK();
    if (says({"iptables-legacy", "-S"}).find("-P FORWARD") == std::string::npos)
        SKIP_TEST("iptables-legacy does not work here");
    Scene scene;
    CHECK(scene.blocked().empty());
    {
        Docker docker("iptables-legacy");
        const std::string said = scene.blocked();
        CHECK_MESSAGE(said.find("filter (iptables-legacy)") != std::string::npos, said);
    }
    CHECK(scene.blocked().empty());
}

TEST_CASE("a firewall that nobody knows is named with its chain and stays as it is") {
    PRIVATE_NETWORK();
    Scene scene;
    must({"nft",
          "add table inet theirs; add chain inet theirs f { type filter hook forward priority 10; policy drop; }; "
          "add rule inet theirs f iifname \"lan0\" accept"});
    const std::string before = says({"nft", "-a", "list", "table", "inet", "theirs"});
    const std::string said = scene.blocked();
    CHECK_MESSAGE(said.find("a firewall that is not Axle's cuts guests off") != std::string::npos, said);
    CHECK_MESSAGE(said.find("the policy of chain f of table inet theirs") != std::string::npos, said);
    CHECK(blocking_programs().value_or(std::vector<std::string>{"?"}).empty());
    CHECK(scene.host.remove_all());
    CHECK(says({"nft", "-a", "list", "table", "inet", "theirs"}) == before);
    must({"nft", "delete", "table", "inet", "theirs"});
}
