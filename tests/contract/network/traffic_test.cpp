// What guests can do on the networks of a host, and what they can't: real packets.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "tests/contract/network/lab.hpp"
#include "tests/support/skip.hpp"

using namespace axle;
using namespace axle::test;

#define PRIVATE_NETWORK() \
    if (const std::string why_not_here = enter_private_network(); !why_not_here.empty()) SKIP_TEST(why_not_here.c_str())

namespace {

constexpr int kShort = 400;  // how long a claim that nothing comes is watched

// The world outside, 192.0.2.2, behind the host's uplink 192.0.2.1.
struct World : Elsewhere {
    World() {
        test::must({"ip", "link", "add", "up0", "type", "veth", "peer", "name", "eth0", "netns", id()});
        test::must({"ip", "addr", "add", "192.0.2.1/24", "dev", "up0"});
        test::must({"ip", "link", "set", "up0", "up"});
        must({"ip", "addr", "add", "192.0.2.2/24", "dev", "eth0"});
        must({"ip", "link", "set", "eth0", "up"});
        test::must({"ip", "route", "add", "default", "via", "192.0.2.2"});
    }
    ~World() { test::says({"ip", "link", "del", "up0"}); }
};

void give_address(Guest& guest, const NicPlan& nic, const NetworkDocument& network) {
    guest.must({"ip", "addr", "add", nic.address + "/24", "dev", "eth0"});
    guest.must({"ip", "route", "add", "default", "via", network.gateway});
}

// What DHCP gives, "address router mtu dns domain"; empty: no answer.
std::string dhcp(Guest& guest, const std::string& folder, int tries = 4) {
    const std::string script = folder + "/udhcpc-script";
    REQUIRE(
        write_file_durably(script, "#!/bin/sh\n[ \"$1\" = bound ] && echo \"$ip $router $mtu $dns $domain\"\n", 0755));
    const std::string said = guest.says({"busybox", "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t",
                                         std::to_string(tries), "-T", "1", "-O", "mtu", "-s", script});
    const auto from = said.find("10.90.");
    if (from == std::string::npos || said.find("obtained") == std::string::npos) return "";
    return said.substr(from, said.find('\n', from) - from);
}

DhcpStage stage_of(Host& host, NetworkId network, const std::string& mac) {
    for (const Lease& lease : host.leases(network)) {
        if (lease.mac == mac) return lease.stage;
    }
    return DhcpStage::none;
}

bool pings(Elsewhere& from, const std::string& address) {
    return from.says({"busybox", "ping", "-c", "1", "-W", "2", address}).find(" 0% packet loss") != std::string::npos;
}

}  // namespace

TEST_CASE("DHCP gives a guest what is reserved for it, others nothing, and tells how far each got") {
    PRIVATE_NETWORK();
    Host host;
    NetworkDocument blue = nat_network(1);
    blue.mtu = 1400;
    const NicPlan nic = nic_on(blue, 1, 10);
    NicPlan unknown = nic_on(blue, 2, 11);
    blue.reservations.pop_back();
    host.apply({{blue}, {nic, unknown}});
    Guest guest(nic.tap, nic.mac), stranger(unknown.tap, unknown.mac);
    CHECK(stage_of(host, blue.id, nic.mac) == DhcpStage::none);
    CHECK(dhcp(guest, host.folder()) == "10.90.1.10 10.90.1.1 1400 10.90.1.1 cloud.test");
    CHECK(stage_of(host, blue.id, nic.mac) == DhcpStage::answered);
    CHECK(dhcp(stranger, host.folder(), 1).empty());
    CHECK(stage_of(host, blue.id, unknown.mac) == DhcpStage::asked);
    // Its reservation comes: no restart is needed.
    const std::string pid_file = host.folder() + "/dnsmasq/" + blue.id.str() + "/pid";
    const std::string pid = read_file(pid_file).value_or("?");
    unknown = nic_on(blue, 2, 11);
    host.apply({{blue}, {nic, unknown}});
    CHECK(dhcp(stranger, host.folder()).starts_with("10.90.1.11 "));
    // And goes.
    blue.reservations.pop_back();
    host.apply({{blue}, {nic, unknown}});
    CHECK(dhcp(stranger, host.folder(), 2).empty());
    CHECK(read_file(pid_file).value_or("") == pid);
}

TEST_CASE("an address that was another guest's is given to the new one at once") {
    PRIVATE_NETWORK();
    Host host;
    NetworkDocument blue = nat_network(1);
    const NicPlan first = nic_on(blue, 1, 10);
    host.apply({{blue}, {first}});
    {
        Guest guest(first.tap, first.mac);
        CHECK(dhcp(guest, host.folder()).starts_with("10.90.1.10 "));
    }
    blue.reservations.clear();
    const NicPlan second = nic_on(blue, 2, 10);
    host.apply({{blue}, {second}});
    Guest guest(second.tap, second.mac);
    CHECK(dhcp(guest, host.folder()).starts_with("10.90.1.10 "));
}

TEST_CASE("DHCP goes on while we are dead, is adopted by the next of us, and started again if it died") {
    PRIVATE_NETWORK();
    Host host;
    NetworkDocument blue = nat_network(1), red = nat_network(2);
    const NicPlan nic = nic_on(blue, 1, 10);
    const auto pid_of = [&](const NetworkDocument& network) {
        return read_file(host.folder() + "/dnsmasq/" + network.id.str() + "/pid").value_or("");
    };
    host.apply({{blue, red}, {nic}});
    Guest guest(nic.tap, nic.mac);
    const std::string blue_pid = pid_of(blue), red_pid = pid_of(red);
    host.restart();
    CHECK(dhcp(guest, host.folder()).starts_with("10.90.1.10 "));
    host.apply({{blue, red}, {nic}});
    CHECK(pid_of(blue) == blue_pid);
    // A changed configuration restarts only that one.
    red.domain = "other.test";
    host.apply({{blue, red}, {nic}});
    CHECK(pid_of(blue) == blue_pid);
    CHECK(pid_of(red) != red_pid);
    // One that was killed is there again after the next apply; a pid file that names a stranger deceives nobody.
    must({"kill", "-9", blue_pid.substr(0, blue_pid.find('\n'))});
    must({"sh", "-c", fmt::format("echo {} > {}/dnsmasq/{}/pid", ::getpid(), host.folder(), blue.id.str())});
    host.apply({{blue, red}, {nic}});
    CHECK(dhcp(guest, host.folder()).starts_with("10.90.1.10 "));
}

TEST_CASE("a port 53 that somebody has on all addresses is named") {
    PRIVATE_NETWORK();
    Host host;
    const NetworkDocument blue = nat_network(1);
    Fd resolver(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(53);
    REQUIRE(::bind(resolver.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0);
    NetworkReport report = host.apply({{blue}, {}});
    REQUIRE_FALSE(report.networks.at(blue.id).conditions.empty());
    CHECK(report.networks.at(blue.id).conditions.front().reason == "PortTaken");
    CHECK(report.networks.at(blue.id).conditions.front().message.find("ss -lnup") != std::string::npos);
    resolver.reset();
    CHECK(host.apply({{blue}, {}}).networks.at(blue.id).ready);
}

TEST_CASE("a resolver on another address's port 53 and a DHCP client on another interface are not disturbed") {
    PRIVATE_NETWORK();
    World world;
    Host host;
    Fd resolver(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(53);
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(resolver.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0);
    const NetworkDocument blue = nat_network(1);
    CHECK(host.apply({{blue}, {}}).networks.at(blue.id).ready);
    const std::string sockets = says({"ss", "-lnutH", "sport = :53 or sport = :67"});
    CHECK_MESSAGE(sockets.find("192.0.2.1") == std::string::npos, sockets);
    CHECK_MESSAGE(sockets.find("0.0.0.0:53") == std::string::npos, sockets);
    // Names are asked of a guest's own gateway.
    CHECK(sockets.find("10.90.1.1:53") != std::string::npos);
}

TEST_CASE("a guest reaches its gateway, its neighbours, the names of its network and, by NAT, the world") {
    PRIVATE_NETWORK();
    World world;
    Host host;
    NetworkDocument blue = nat_network(1);
    const NicPlan one = nic_on(blue, 1, 10), two = nic_on(blue, 2, 11);
    host.apply({{blue}, {one, two}});
    Guest guest(one.tap, one.mac), neighbour(two.tap, two.mac);
    give_address(guest, one, blue);
    give_address(neighbour, two, blue);
    CHECK(pings(guest, "10.90.1.1"));
    CHECK(pings(guest, "10.90.1.11"));
    const Fd server = world.listen(80), there = neighbour.listen(80);
    CHECK(seen_client(guest, "192.0.2.2", 80, server).value_or("") == "192.0.2.1");  // by its host's address
    CHECK(seen_client(guest, "10.90.1.11", 80, there).value_or("") == "10.90.1.10");
    CHECK(accepted(there, 0) == std::nullopt);
    REQUIRE(dhcp(neighbour, host.folder()).starts_with("10.90.1.11 "));  // dnsmasq knows names by reservation
    const std::string said = guest.says({"busybox", "nslookup", "vm2.cloud.test", "10.90.1.1"});
    CHECK_MESSAGE(said.find("10.90.1.11") != std::string::npos, said);
}

TEST_CASE("nobody from outside and no guest of another network reaches a guest, and no guest the host's services") {
    PRIVATE_NETWORK();
    World world;
    Host host;
    NetworkDocument blue = nat_network(1), red = nat_network(2);
    const NicPlan one = nic_on(blue, 1, 10), two = nic_on(red, 2, 10);
    host.apply({{blue, red}, {one, two}});
    Guest guest(one.tap, one.mac), stranger(two.tap, two.mac);
    give_address(guest, one, blue);
    give_address(stranger, two, red);
    const Fd served = guest.listen(80), ssh = listen_on(22);
    CHECK_FALSE(stranger.connect("10.90.1.10", 80, kShort));
    world.must({"ip", "route", "add", "10.90.0.0/16", "via", "192.0.2.1"});
    CHECK_FALSE(world.connect("10.90.1.10", 80, kShort));
    for (const char* of_the_host : {"10.90.1.1", "10.90.2.1", "192.0.2.1"})
        CHECK_FALSE(guest.connect(of_the_host, 22, kShort));
    CHECK_FALSE(pings(guest, "10.90.2.1"));
    CHECK_FALSE(pings(stranger, "10.90.1.10"));
    // The host itself reaches both, and what it asked is answered.
    CHECK(connect_to("10.90.1.10", 80, 5000));
    CHECK(accepted(served, 1000).value_or("") == "10.90.1.1");
}

TEST_CASE("a forwarded port answers from outside, from the host and from guests, and no more when it is gone") {
    PRIVATE_NETWORK();
    World world;
    Host host;
    NetworkDocument blue = nat_network(1), red = nat_network(2);
    const NicPlan one = nic_on(blue, 1, 10), two = nic_on(blue, 2, 11), three = nic_on(red, 3, 10);
    blue.forwards = {{Protocol::tcp, 8080, "", one.address, 80},
                     {Protocol::tcp, 8081, "192.0.2.77", one.address, 80},
                     {Protocol::tcp, 53, "", one.address, 80}};
    host.apply({{blue, red}, {one, two, three}});
    Guest guest(one.tap, one.mac), neighbour(two.tap, two.mac), stranger(three.tap, three.mac);
    give_address(guest, one, blue);
    give_address(neighbour, two, blue);
    give_address(stranger, three, red);
    const Fd server = guest.listen(80);
    CHECK(seen_client(world, "192.0.2.1", 8080, server).value_or("") == "192.0.2.2");
    CHECK(connect_to("192.0.2.1", 8080, 5000));
    CHECK(accepted(server, 1000));
    CHECK(seen_client(neighbour, "192.0.2.1", 8080, server));
    CHECK(seen_client(stranger, "192.0.2.1", 8080, server));
    CHECK_FALSE(world.connect("192.0.2.1", 8081, kShort));  // listens on another address
    must({"ip", "addr", "add", "192.0.2.77/24", "dev", "up0"});
    CHECK(seen_client(world, "192.0.2.77", 8081, server));
    // Where bridged packets do not pass the rules a second time (no br_netfilter), a guest reaches even itself that
    // way.
    const std::string bridged = "/proc/sys/net/bridge/bridge-nf-call-iptables";
    const std::string was = read_file(bridged).value_or("");
    if (!was.empty()) must({"sh", "-c", "echo 0 >" + bridged});
    CHECK(seen_client(guest, "192.0.2.1", 8080, server));
    CHECK(seen_client(neighbour, "192.0.2.1", 8080, server));
    if (!was.empty()) must({"sh", "-c", "echo " + was.substr(0, 1) + " >" + bridged});
    // Names are still its gateway's to answer.
    CHECK(seen_client(world, "192.0.2.1", 53, server));
    CHECK(neighbour.says({"busybox", "nslookup", "nobody.cloud.test", "10.90.1.1"}).find("NXDOMAIN") !=
          std::string::npos);
    blue.forwards.clear();
    host.apply({{blue, red}, {one, two, three}});
    CHECK_FALSE(world.connect("192.0.2.1", 8080, kShort));
}

TEST_CASE("a guest speaks with its own addresses only, and serves nobody DHCP or routes") {
    PRIVATE_NETWORK();
    Host host;
    NetworkDocument blue = nat_network(1);
    const NicPlan one = nic_on(blue, 1, 10), two = nic_on(blue, 2, 11);
    host.apply({{blue}, {one, two}});
    Guest guest(one.tap, one.mac), neighbour(two.tap, two.mac);
    const Fd mouth = guest.frames("eth0"), ears = neighbour.frames("eth0");
    const std::string all = "ff:ff:ff:ff:ff:ff", other_mac = two.mac, other_ip = two.address;
    const std::string ra = std::string("\x60\0\0\0\0\x0e\x3a\xff", 8) + std::string("\xfe\x80", 2) +
                           std::string(13, '\0') + "\x01" + std::string("\xff\x02", 2) + std::string(13, '\0') +
                           "\x01" + std::string("\x86\0\0\0\x40\0\0\0", 8) + "router";
    std::string echo6 = ra, global6 = ra;
    echo6[40] = static_cast<char>(128);
    global6[40] = static_cast<char>(128);
    global6[8] = 0x20;
    struct Row {
        const char* what;
        std::string frame, marker;
        bool passes;
    };
    const std::vector<Row> rows = {
        {"its own address", udp(one.mac, one.address, 9, 9, "mark-own"), "mark-own", true},
        {"another's IP address", udp(one.mac, other_ip, 9, 9, "mark-ip"), "mark-ip", false},
        {"another's MAC address", udp(other_mac, one.address, 9, 9, "mark-mac"), "mark-mac", false},
        {"the gateway's addresses", udp(blue.gateway_mac, blue.gateway, 9, 9, "mark-gw"), "mark-gw", false},
        {"ARP with its own", arp(one.mac, one.mac, one.address, other_ip), mac_bytes_of(one.mac) + "\x0a\x5a\x01\x0a",
         true},
        {"ARP probe", arp(one.mac, one.mac, "0.0.0.0", other_ip), mac_bytes_of(one.mac) + std::string(4, '\0'), true},
        {"ARP for the gateway's address", arp(one.mac, one.mac, blue.gateway, other_ip), "\x0a\x5a\x01\x01", false},
        {"ARP with a lying sender", arp(one.mac, "52:54:00:66:66:66", one.address, other_ip),
         mac_bytes_of("52:54:00:66:66:66"), false},
        {"a DHCP server's answer", udp(one.mac, one.address, 67, 68, "mark-offer"), "mark-offer", false},
        {"a DHCP request", udp(one.mac, "0.0.0.0", 68, 67, "mark-discover"), "mark-discover", true},
        {"no address, but not DHCP", udp(one.mac, "0.0.0.0", 9, 9, "mark-zero"), "mark-zero", false},
        {"a tagged frame",
         frame(all, one.mac, 0x8100, std::string("\0\x05", 2) + udp(one.mac, one.address, 9, 9, "mark-tag").substr(12)),
         "mark-tag", false},
        {"a frame with two tags",
         frame(all, one.mac, 0x88a8,
               std::string("\0\x05\x81\0\0\x06", 6) + udp(one.mac, one.address, 9, 9, "mark-tags").substr(12)),
         "mark-tags", false},
        {"spanning tree", frame("01:80:c2:00:00:00", one.mac, 0x0026, "BB\x03mark-stp" + std::string(40, '\0')),
         "mark-stp", false},
        {"another protocol", frame(all, one.mac, 0x88b5, "mark-other"), "mark-other", false},
        {"a router advertisement", frame("33:33:00:00:00:01", one.mac, 0x86dd, ra), "router", false},
        {"IPv6, link-local", frame("33:33:00:00:00:01", one.mac, 0x86dd, echo6), "router", true},
        {"IPv6, global", frame("33:33:00:00:00:01", one.mac, 0x86dd, global6), "router", false},
    };
    for (const Row& row : rows) {
        const std::string what = row.what;
        CAPTURE(what);
        send_frame(mouth, row.frame);
        CHECK(hears(ears, row.marker, row.passes ? 3000 : kShort / 2) == row.passes);
    }
}

TEST_CASE("on a bridged network a guest has its MAC address enforced, and its IP address where one is stated") {
    PRIVATE_NETWORK();
    Host host;
    must({"ip", "link", "add", "br7", "type", "bridge"});
    must({"ip", "link", "set", "br7", "up"});
    const NetworkDocument house{
        .id = network_id(3), .name = "default/house", .type = NetworkType::bridged, .bridge = "br7"};
    const auto nic = [&](int n, const std::string& address) {
        return NicPlan{vm_id(n), "eth0", house.id, tap_name(vm_id(n), "eth0"), fmt::format("52:54:00:bb:00:0{}", n),
                       address};
    };
    const NicPlan free = nic(1, ""), stated = nic(2, "10.1.1.2"), third = nic(3, "");
    host.apply({{house}, {free, stated, third}});
    {
        Guest a(free.tap, free.mac), b(stated.tap, stated.mac), c(third.tap, third.mac);
        const Fd from_a = a.frames("eth0"), from_b = b.frames("eth0"), ears = c.frames("eth0");
        send_frame(from_a, udp(free.mac, "10.1.1.99", 9, 9, "any-ip"));
        CHECK(hears(ears, "any-ip", 3000));
        send_frame(from_a, udp(stated.mac, "10.1.1.99", 9, 9, "other-mac"));
        CHECK_FALSE(hears(ears, "other-mac", kShort));
        send_frame(from_a, udp(free.mac, "10.1.1.99", 67, 68, "dhcp-offer"));
        CHECK_FALSE(hears(ears, "dhcp-offer", kShort));
        send_frame(from_b, udp(stated.mac, "10.1.1.2", 9, 9, "stated-ip"));
        CHECK(hears(ears, "stated-ip", 3000));
        send_frame(from_b, udp(stated.mac, "10.1.1.99", 9, 9, "unstated-ip"));
        CHECK_FALSE(hears(ears, "unstated-ip", kShort));
    }
    host.apply({{}, {}});
    must({"ip", "link", "del", "br7"});
}
