// Bridges, taps, settings: made as the plan says, removed when it doesn't, and nothing of others touched.
#include <doctest/doctest.h>

#include "agent/network/host_settings.hpp"
#include "tests/contract/network/lab.hpp"
#include "tests/support/skip.hpp"

using namespace axle;
using namespace axle::test;

#define PRIVATE_NETWORK() \
    if (const std::string why_not_here = enter_private_network(); !why_not_here.empty()) SKIP_TEST(why_not_here.c_str())

namespace {

// All that a person could see of the host's network.
std::string picture() {
    return says({"ip", "addr"}) + says({"ip", "route"}) + says({"nft", "-s", "list", "ruleset"}) +
           read_file("/proc/sys/net/ipv4/ip_forward").value_or("?");
}
// Without what the kernel finds out by and by (carrier, operational state).
std::string links() {
    std::string out = says({"ip", "link"});
    for (const std::string passing : {"NO-CARRIER,", ",LOWER_UP", " state UP", " state DOWN", " state UNKNOWN"}) {
        for (auto at = out.find(passing); at != std::string::npos; at = out.find(passing, at))
            out.erase(at, passing.size());
    }
    return out;
}
bool has_link(const std::string& name) {
    return links().find(name + ":") != std::string::npos;
}
std::string first_reason(const NetworkReport& report, NetworkId id) {
    const auto& conditions = report.networks.at(id).conditions;
    return conditions.empty() ? "" : conditions.front().reason;
}

}  // namespace

TEST_CASE("what was made is as the plan says, and its removal leaves the host as it was") {
    PRIVATE_NETWORK();
    const std::string before = picture();
    {
        Host host;
        NetworkDocument blue = nat_network(1);
        const NicPlan nic = nic_on(blue, 1, 10);
        const NetworkReport report = host.apply({{blue}, {nic}});
        CHECK(report.networks.at(blue.id).ready);
        CHECK(report.networks.at(blue.id).conditions.empty());
        CHECK(report.tap_errors.empty());
        const std::string bridge = says({"ip", "-d", "addr", "show", "dev", blue.bridge});
        CHECK(bridge.find("inet 10.90.1.1/24") != std::string::npos);
        CHECK(bridge.find("link/ether 52:54:00:90:01:01") != std::string::npos);
        CHECK(bridge.find("alias axle network " + blue.id.str()) != std::string::npos);
        CHECK(bridge.find("inet6") == std::string::npos);
        CHECK(bridge.find("forward_delay 0") != std::string::npos);
        const std::string tap = says({"ip", "-d", "link", "show", "dev", nic.tap});
        CHECK(tap.find("master " + blue.bridge) != std::string::npos);
        CHECK(tap.find("alias axle nic " + nic.vm.str() + " eth0") != std::string::npos);
        CHECK(tap.find("persist on") != std::string::npos);
        CHECK(read_file("/proc/sys/net/ipv4/ip_forward").value_or("") == "1\n");
        CHECK(host.remove_all());
        CHECK(picture() == before);
        CHECK(host.remove_all());  // again
    }
    CHECK(picture() == before);
}

TEST_CASE("an apply of the same plan changes nothing, also by another process") {
    PRIVATE_NETWORK();
    Host host;
    NetworkDocument blue = nat_network(1);
    const NicPlan nic = nic_on(blue, 1, 10);
    const NetworkPlan plan{{blue}, {nic}};
    host.apply(plan);
    const auto pid = read_file(host.folder() + "/dnsmasq/" + blue.id.str() + "/pid");
    const std::string handles = says({"nft", "-a", "list", "ruleset"}), links_before = links();
    host.apply(plan);
    CHECK(says({"nft", "-a", "list", "ruleset"}) == handles);
    CHECK(links() == links_before);
    host.restart();
    host.apply(plan);
    CHECK(links() == links_before);
    REQUIRE(pid);
    CHECK(read_file(host.folder() + "/dnsmasq/" + blue.id.str() + "/pid").value_or("") == *pid);
}

TEST_CASE("rules that somebody flushed or changed are there again after the next apply") {
    PRIVATE_NETWORK();
    Host host;
    NetworkDocument blue = nat_network(1);
    const NicPlan nic = nic_on(blue, 1, 10);
    const NetworkPlan plan{{blue}, {nic}};
    host.apply(plan);
    const std::string rules = says({"nft", "-s", "list", "ruleset"});
    for (const std::vector<std::string>& tampering :
         {std::vector<std::string>{"nft", "flush", "ruleset"},
          std::vector<std::string>{"nft", "delete", "element", "bridge", "axle", "axle_macs", "{",
                                   "\"" + nic.tap + "\"", ".", nic.mac, "}"},
          std::vector<std::string>{"nft", "flush", "chain", "inet", "axle", "axle_input"},
          std::vector<std::string>{"nft", "add", "rule", "inet", "axle", "axle_from_guest", "tcp", "dport", "22",
                                   "accept"}}) {
        must(tampering);
        CHECK(says({"nft", "-s", "list", "ruleset"}) != rules);
        host.apply(plan);
        CHECK(says({"nft", "-s", "list", "ruleset"}) == rules);
    }
}

TEST_CASE("what left the plan goes, but a tap that a guest has open stays until it is off, and is shut") {
    PRIVATE_NETWORK();
    Host host;
    NetworkDocument blue = nat_network(1);
    const NicPlan nic = nic_on(blue, 1, 10), other = nic_on(blue, 2, 11);
    host.apply({{blue}, {nic, other}});
    {
        Guest guest(nic.tap, nic.mac);
        Guest neighbour(other.tap, other.mac);
        const Fd ears = neighbour.frames("eth0"), mouth = guest.frames("eth0");
        send_frame(mouth, udp(nic.mac, nic.address, 7, 7, "while it is wanted"));
        CHECK(hears(ears, "while it is wanted", 3000));
        host.apply({{blue}, {other}});
        CHECK(has_link(nic.tap));
        send_frame(mouth, udp(nic.mac, nic.address, 7, 7, "after it left"));
        CHECK_FALSE(hears(ears, "after it left", 300));
        host.apply({{}, {}});
        CHECK(has_link(nic.tap));
        CHECK(has_link(blue.bridge));  // its taps are on it
    }
    host.apply({{}, {}});
    CHECK_FALSE(has_link(nic.tap));
    CHECK_FALSE(has_link(blue.bridge));
    CHECK_FALSE(file_exists(host.folder() + "/dnsmasq/" + blue.id.str()));
}

TEST_CASE("interfaces of others stay, whatever they are called") {
    PRIVATE_NETWORK();
    Host host;
    NetworkDocument blue = nat_network(1);
    const NicPlan nic = nic_on(blue, 1, 10);
    must({"ip", "link", "add", blue.bridge, "type", "bridge"});
    must({"ip", "link", "add", "axbtheirs", "type", "bridge"});
    must({"ip", "tuntap", "add", "axttheirs", "mode", "tap"});
    const NetworkReport report = host.apply({{blue}, {nic}});
    CHECK(first_reason(report, blue.id) == "BridgeFailed");
    CHECK(report.tap_errors.contains(nic.tap));
    host.apply({{}, {}});
    CHECK(host.remove_all());
    for (const std::string& name : {blue.bridge, std::string("axbtheirs"), std::string("axttheirs")}) {
        CHECK(has_link(name));
        must({"ip", "link", "del", name});
    }
}

TEST_CASE("a range that the host reaches otherwise is refused, and its address too") {
    PRIVATE_NETWORK();
    Host host;
    NetworkDocument blue = nat_network(1);
    must({"ip", "link", "add", "vpn0", "type", "veth", "peer", "name", "vpn1"});
    must({"ip", "link", "set", "vpn0", "up"});
    must({"ip", "route", "add", "10.90.0.0/16", "dev", "vpn0"});
    NetworkReport report = host.apply({{blue}, {}});
    CHECK_FALSE(report.networks.at(blue.id).ready);
    CHECK(first_reason(report, blue.id) == "RangeOverlaps");
    CHECK(report.networks.at(blue.id).conditions.front().message.find("vpn0") != std::string::npos);
    CHECK_FALSE(has_link(blue.bridge));
    must({"ip", "route", "del", "10.90.0.0/16", "dev", "vpn0"});
    must({"ip", "addr", "add", "10.90.1.77/32", "dev", "vpn0"});
    CHECK(first_reason(host.apply({{blue}, {}}), blue.id) == "RangeOverlaps");
    must({"ip", "addr", "del", "10.90.1.77/32", "dev", "vpn0"});
    must({"ip", "route", "add", "0.0.0.0/1", "dev", "vpn0"});  // a VPN that takes all
    CHECK(host.apply({{blue}, {}}).networks.at(blue.id).ready);
    // One that comes later takes nothing away from guests that live there.
    must({"ip", "route", "add", "10.90.0.0/16", "dev", "vpn0"});
    report = host.apply({{blue}, {}});
    CHECK(report.networks.at(blue.id).ready);
    CHECK(first_reason(report, blue.id) == "RangeOverlaps");
    must({"ip", "link", "del", "vpn0"});
}

TEST_CASE("a bridged network uses the host's bridge and leaves it as it is") {
    PRIVATE_NETWORK();
    Host host;
    NetworkDocument house{.id = network_id(3), .name = "default/house", .type = NetworkType::bridged, .bridge = "br7"};
    const NicPlan nic{vm_id(3), "eth0", house.id, tap_name(vm_id(3), "eth0"), "52:54:00:aa:00:03", ""};
    NetworkReport report = host.apply({{house}, {nic}});
    CHECK(first_reason(report, house.id) == "BridgeMissing");
    CHECK(report.tap_errors.contains(nic.tap));
    must({"ip", "link", "add", "br7", "type", "bridge"});
    must({"ip", "link", "set", "br7", "up"});
    const std::string before = says({"ip", "-d", "addr", "show", "dev", "br7"});
    report = host.apply({{house}, {nic}});
    CHECK(report.networks.at(house.id).ready);
    CHECK(report.tap_errors.empty());
    CHECK(says({"ip", "link", "show", "dev", nic.tap}).find("master br7") != std::string::npos);
    host.apply({{}, {}});
    CHECK_FALSE(has_link(nic.tap));
    const std::string after = says({"ip", "-d", "addr", "show", "dev", "br7"});
    CHECK(after.substr(0, after.find("numtxqueues")).size() > 0);
    CHECK(after.find("br7") != std::string::npos);
    CHECK(before.find("forward_delay 1500") != std::string::npos);
    CHECK(after.find("forward_delay 1500") != std::string::npos);
    must({"ip", "link", "del", "br7"});
}

TEST_CASE("a setting of the host is put back, unless somebody changed it since") {
    PRIVATE_NETWORK();
    const std::string path = "/proc/sys/net/ipv4/conf/lo/arp_ignore";
    must({"sh", "-c", "echo 0 >" + path});
    TempDir temp;
    HostSettings settings(temp / "settings.json");
    CHECK(settings.set(path, "1"));
    CHECK(HostSettings(temp / "settings.json").set(path, "1"));
    CHECK(HostSettings(temp / "settings.json").restore_all());
    CHECK(read_file(path).value_or("") == "0\n");
    CHECK_FALSE(file_exists(temp / "settings.json"));
    CHECK(settings.set(path, "1"));
    must({"sh", "-c", "echo 2 >" + path});
    CHECK(settings.restore_all());
    CHECK(read_file(path).value_or("") == "2\n");
    must({"sh", "-c", "echo 0 >" + path});
}

TEST_CASE("what the kernel changes along with forwarding stays as it was, on and off") {
    PRIVATE_NETWORK();
    const std::string forward = "/proc/sys/net/ipv4/ip_forward";
    const std::string along = "/proc/sys/net/ipv4/conf/all/accept_redirects";
    for (const std::string chosen : {"0", "1"}) {
        must({"sh", "-c", "echo 0 >" + forward + "; echo " + chosen + " >" + along});
        TempDir temp;
        HostSettings settings(temp / "settings.json");
        CHECK(settings.set(forward, "1"));
        CHECK(read_file(along).value_or("") == chosen + "\n");
        CHECK(settings.restore_all());
        CHECK(read_file(forward).value_or("") == "0\n");
        CHECK(read_file(along).value_or("") == chosen + "\n");
    }
}

TEST_CASE("forwarding stays on for others who found it on: their rules translate addresses") {
    PRIVATE_NETWORK();
    const std::string forward = "/proc/sys/net/ipv4/ip_forward";
    must({"sh", "-c", "echo 0 >" + forward});
    Host host;
    host.apply({{nat_network(1)}, {}});
    must({"nft", "add", "table", "ip", "theirs"});
    must({"nft", "add", "chain", "ip", "theirs", "out", "{", "type", "nat", "hook", "postrouting", "priority", "100",
          ";", "}"});
    must({"nft", "add", "rule", "ip", "theirs", "out", "ip", "saddr", "172.17.0.0/16", "masquerade"});
    CHECK(host.remove_all());
    CHECK(read_file(forward).value_or("") == "1\n");
    must({"nft", "delete", "table", "ip", "theirs"});
    must({"sh", "-c", "echo 0 >" + forward});
}
