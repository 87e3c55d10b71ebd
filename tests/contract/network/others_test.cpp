// What others do beside us, or to what is ours.
#include <algorithm>

#include <doctest/doctest.h>

#include "tests/contract/network/lab.hpp"
#include "tests/support/skip.hpp"

using namespace axle;
using namespace axle::test;

#define PRIVATE_NETWORK() \
    if (const std::string why_not_here = enter_private_network(); !why_not_here.empty()) SKIP_TEST(why_not_here.c_str())

namespace {

bool has(const NetworkReport& report, const NetworkDocument& network, const char* type) {
    const auto found = report.networks.find(network.id);
    return found != report.networks.end() && std::ranges::any_of(found->second.conditions, [&](const Condition& c) {
               return c.type == type && c.status;
           });
}

}  // namespace

TEST_CASE("DHCP answers again when somebody deleted the bridge under it") {
    PRIVATE_NETWORK();
    Host host;
    NetworkDocument blue = nat_network(1);
    const NicPlan nic = nic_on(blue, 1, 10);
    host.apply({{blue}, {nic}});
    must({"ip", "link", "del", blue.bridge});
    CHECK(host.apply({{blue}, {nic}}).networks.at(blue.id).ready);
    Guest guest(nic.tap, nic.mac);
    CHECK(guest.says({"busybox", "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "6", "-T", "1", "-s", "/bin/true"})
              .find("10.90.1.10") != std::string::npos);
}

TEST_CASE("a forward takes no port from a program of the host, nor from an earlier network") {
    PRIVATE_NETWORK();
    Host host;
    NetworkDocument blue = nat_network(1), red = nat_network(2);
    const NicPlan one = nic_on(blue, 1, 10), two = nic_on(red, 2, 10);
    blue.forwards = {{Protocol::tcp, 2222, "", one.address, 80}, {Protocol::tcp, 2223, "", one.address, 80}};
    red.forwards = {{Protocol::tcp, 2223, "", two.address, 80}};
    must({"ip", "addr", "add", "198.51.100.1/32", "dev", "lo"});
    {
        const Fd service = listen_on(2222);
        const NetworkReport report = host.apply({{blue, red}, {one, two}});
        CHECK(has(report, blue, "PortTaken"));
        CHECK(has(report, red, "PortTaken"));
        CHECK(report.networks.at(blue.id).ready);
        CHECK(connect_to("198.51.100.1", 2222, 3000));
        CHECK(accepted(service, 3000));
    }
    const NetworkReport report = host.apply({{blue, red}, {one, two}});
    CHECK_FALSE(has(report, blue, "PortTaken"));
    CHECK(has(report, red, "PortTaken"));
    must({"ip", "addr", "del", "198.51.100.1/32", "dev", "lo"});
}

TEST_CASE("what somebody does to our rules, bridges and taps is told at once, and the next apply mends it") {
    PRIVATE_NETWORK();
    Host host;
    NetworkDocument blue = nat_network(1);
    const NicPlan nic = nic_on(blue, 1, 10);
    const NetworkPlan plan{{blue}, {nic}};
    struct Deed {
        const char* what;
        std::vector<std::string> words;
    };
    const Deed deeds[] = {
        {"all rules flushed", {"nft", "flush", "ruleset"}},
        {"one table deleted", {"nft", "delete", "table", "bridge", "axle"}},
        {"a rule added to ours", {"nft", "add", "rule", "inet", "axle", "axle_input", "accept"}},
        {"bridge deleted", {"ip", "link", "del", blue.bridge}},
        {"bridge switched off", {"ip", "link", "set", blue.bridge, "down"}},
        {"gateway's address taken away", {"ip", "addr", "flush", "dev", blue.bridge}},
        {"tap deleted", {"ip", "link", "del", nic.tap}},
        {"tap taken off its bridge", {"ip", "link", "set", nic.tap, "nomaster"}},
    };
    host.apply(plan);
    const auto rules = [] {
        return says({"nft", "-s", "list", "table", "inet", "axle"}) +
               says({"nft", "-s", "list", "table", "bridge", "axle"});
    };
    const std::string before = rules();
    for (const Deed& deed : deeds) {
        CAPTURE(deed.what);
        CHECK(host.is_told(NetworkHint::ours, [&] { must(deed.words); }));
        const NetworkReport report = host.apply(plan);
        CHECK(report.networks.at(blue.id).ready);
        CHECK(report.tap_errors.empty());
        CHECK(rules() == before);
        CHECK(says({"ip", "link", "show", "dev", nic.tap}).find("master " + blue.bridge) != std::string::npos);
        CHECK(says({"ip", "-br", "addr", "show", "dev", blue.bridge}).find("10.90.1.1/24") != std::string::npos);
    }
    // The host's own routes and addresses are facts that networks are admitted by.
    CHECK(host.is_told(NetworkHint::host, [] { must({"ip", "addr", "add", "198.51.100.1/24", "dev", "lo"}); }));
    CHECK(host.is_told(NetworkHint::host, [] { must({"ip", "route", "add", "203.0.113.0/24", "dev", "lo"}); }));
    must({"ip", "route", "del", "203.0.113.0/24", "dev", "lo"});
    must({"ip", "addr", "del", "198.51.100.1/24", "dev", "lo"});
}
