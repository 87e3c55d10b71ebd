// Rules, names, DHCP's files: pure texts.
#include <doctest/doctest.h>

#include "agent/network/dnsmasq.hpp"
#include "agent/network/firewall.hpp"

using namespace axle;

namespace {

NetworkDocument nat() {
    return {.id = NetworkId{*Uuid::parse("01900000-0000-7000-8000-000000000001")},
            .name = "default/blue",
            .type = NetworkType::nat,
            .bridge = "axbaaaaaaaaaaaa",
            .cidr = "10.90.1.0/24",
            .gateway = "10.90.1.1",
            .domain = "blue.test"};
}
NicPlan nic(const std::string& tap, const std::string& mac, const std::string& address) {
    return {VmId{}, "eth0", nat().id, tap, mac, address};
}
bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("names of bridges and taps fit the kernel, tell NICs apart and stay the same") {
    const VmId vm{*Uuid::parse("01900000-0000-7000-9000-000000000001")};
    CHECK(bridge_name(nat().id) == "axbddnbjx3l4ltm");
    CHECK(bridge_name(nat().id).size() == 15);
    CHECK(tap_name(vm, "eth0").size() == 15);
    CHECK(tap_name(vm, "eth0").starts_with("axt"));
    CHECK(tap_name(vm, "eth0") != tap_name(vm, "eth1"));
    CHECK(tap_name(vm, "eth0") == tap_name(vm, "eth0"));
}

TEST_CASE("rules name each guest's tap, MAC and address, and shut what isn't in the plan") {
    const std::string rules = rules_for({{nat()}, {nic("axta", "52:54:00:00:00:01", "10.90.1.10")}}, {"axtstray"});
    CHECK(has(rules, "\"axta\" . 52:54:00:00:00:01 . 10.90.1.10"));
    CHECK(has(rules, "elements = { \"axtstray\", \"axta\" }"));
    CHECK_FALSE(has(rules, "\"axtstray\" ."));
    CHECK(has(rules, "oifname != \"axbaaaaaaaaaaaa\" masquerade"));
    // On a nat network nobody has any address he likes.
    CHECK_FALSE(has(rules_for({{nat()}, {nic("axta", "52:54:00:00:00:01", "")}}),
                    "axle_any_ip {\n    type ifname\n    elements"));
}

TEST_CASE("between hosts pass frames of known guests only, and only their hosts may send them") {
    NetworkDocument n = nat();
    n.gateway_mac = "52:54:00:90:01:01";
    n.vni = 77;
    n.underlay = "10.200.0.1";
    CHECK_FALSE(has(rules_for({{n}, {}}), "axv"));  // nobody elsewhere: no way out
    n.peers = {{"52:54:00:00:00:02", "10.90.1.11", "10.200.0.2"},
               {"no mac", "10.90.1.12", "10.200.0.3 } accept"},
               {"52:54:00:00:00:04", "nowhere", "10.200.0.4"}};
    const std::string rules = rules_for({{n}, {}}), tunnel = "\"" + tunnel_name(n.id) + "\"";
    CHECK(has(rules, "elements = { " + tunnel + " . 52:54:00:00:00:02 . 10.90.1.11 }"));
    CHECK(has(rules, "elements = { " + tunnel + " . 52:54:00:90:01:01 }"));
    CHECK(has(rules, "udp dport 7445 ip saddr { 10.200.0.2, 10.200.0.4 } accept\n    udp dport 7445 drop"));
    CHECK_FALSE(has(rules, "no mac"));
    CHECK_FALSE(has(rules, "} accept }"));
}

TEST_CASE("what comes from documents is checked and formatted, never copied into the rules") {
    NetworkDocument evil = nat();
    evil.bridge = "a\" accept; drop \"";
    CHECK_FALSE(has(rules_for({{evil}, {}}), "accept; drop"));
    evil = nat();
    evil.cidr = "10.90.1.0/24 drop";
    CHECK_FALSE(has(rules_for({{evil}, {}}), "masquerade"));
    evil = nat();
    evil.forwards = {{Protocol::tcp, 80, "", "1.2.3.4 } drop", 80}};
    CHECK_FALSE(has(rules_for({{evil}, {}}), "dnat ip to"));
    const std::string rules =
        rules_for({{nat()},
                   {nic("tap\"}", "52:54:00:00:00:01", "10.90.1.10"), nic("axtb", "no mac", "10.90.1.11"),
                    nic("axtc", "52:54:00:00:00:03", "10.90.1")}});
    CHECK_FALSE(has(rules, "tap\""));
    CHECK_FALSE(has(rules, "no mac"));
    CHECK(has(rules, "{ \"axtb\", \"axtc\" }"));  // guarded, so that nothing passes
}

TEST_CASE("DHCP answers reservations only, on its bridge only, with values that we formatted") {
    NetworkDocument network = nat();
    network.dns = {"9.9.9.9", "nonsense\nuser=root"};
    network.domain = "x\nport=5353";
    const std::string config = dnsmasq_config(network, "/somewhere");
    CHECK(has(config, "interface=axbaaaaaaaaaaaa\n"));
    CHECK(has(config, "dhcp-range=10.90.1.0,static,255.255.255.0,43200\n"));
    CHECK(has(config, "dhcp-ignore=tag:!known\n"));
    CHECK(has(config, "bind-dynamic\n"));
    CHECK(has(config, "dns-server,9.9.9.9\n"));
    CHECK_FALSE(has(config, "user=root"));
    CHECK_FALSE(has(config, "port=5353"));
    CHECK(has(dnsmasq_config(nat(), "/x"), "local=/blue.test/\n"));
    CHECK(has(dnsmasq_config(nat(), "/x"), "dns-server,10.90.1.1\n"));
}

TEST_CASE("what DHCP did for each guest is read from its log and its leases") {
    const auto leases = read_dhcp_log(
        "Nov 23 06:33:13 dnsmasq-dhcp[7]: DHCPDISCOVER(axbx) 52:54:00:00:00:01 \n"
        "Nov 23 06:33:13 dnsmasq-dhcp[7]: DHCPOFFER(axbx) 10.90.1.10 52:54:00:00:00:01 \n"
        "Nov 23 06:33:13 dnsmasq-dhcp[7]: DHCPREQUEST(axbx) 10.90.1.10 52:54:00:00:00:01 \n"
        "Nov 23 06:33:13 dnsmasq-dhcp[7]: DHCPACK(axbx) 10.90.1.10 52:54:00:00:00:01 vm1\n"
        "Nov 23 06:33:14 dnsmasq-dhcp[7]: DHCPDISCOVER(axbx) 52:54:00:00:00:02 ignored\n"
        "Nov 23 06:33:15 dnsmasq-dhcp[7]: DHCPDISCOVER(axbx) 52:54:00:00:00:01 \n"
        "half a line DHCPACK(",
        {1'795'421'593'000});
    REQUIRE(leases.size() == 2);
    CHECK(leases[0].stage == DhcpStage::answered);
    CHECK(leases[0].address == "10.90.1.10");
    CHECK(leases[1].stage == DhcpStage::asked);
    CHECK(read_dhcp_log("", {}).empty());
    const auto file = read_lease_file("1795421593 52:54:00:00:00:01 10.90.1.10 vm1 01:52\nduid 00:01\n\nx y\n");
    REQUIRE(file.size() == 1);
    CHECK(file[0].mac == "52:54:00:00:00:01");
}
