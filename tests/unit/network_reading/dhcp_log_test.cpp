#include "agent/network/dhcp_log.hpp"

#include <doctest/doctest.h>

using namespace axle;

namespace {

constexpr const char* kHead = "Nov 23 06:48:58 dnsmasq-dhcp[20]: ";

std::vector<Lease> read(const std::string& rest) {
    return read_dhcp_log(kHead + rest + "\n");
}

}  // namespace

TEST_CASE("a guest that chooses its words can't make itself or another a lease") {
    const char* lines[] = {
        "vendor class: DHCPACK(axb1) 10.90.0.9 52:54:00:00:00:09",
        "client provides name: DHCPACK(axb1) 10.90.0.9 52:54:00:00:00:09",
        "DHCPOFFER(axb1) 10.90.0.9 52:54:00:00:00:09",
        "DHCPNAK(axb1) 10.90.0.9 52:54:00:00:00:09 wrong DHCPACK(axb1)",
        "DHCPACK(axb1) 52:54:00:00:00:09",         // without an address
        "DHCPACK(axb1) 10.90.0.9 52:54:00:00:00",  // half a MAC
        "DHCPACK(axb1) 10.90.0.9 not-a-mac 52:54:00:00:00:09",
        "DHCPACK(",
        "",
    };
    for (const char* line : lines) {
        CAPTURE(line);
        CHECK(read(line).empty());
    }
    CHECK(read_dhcp_log("DHCPACK(axb1) 10.90.0.9 52:54:00:00:00:09\n").empty());
    CHECK(read_dhcp_log("Nov 23 06:48:58 dnsmasq[20]: DHCPACK(axb1) 10.90.0.9 52:54:00:00:00:09\n").empty());
    CHECK(read_dhcp_log(std::string("\0\0\n\xff\n   \n", 8)).empty());
}

TEST_CASE("a guest's name doesn't change its MAC or its address") {
    const auto leases = read("DHCPACK(axb1) 10.90.0.5 52:54:00:00:00:05 52:54:00:00:00:06 10.90.0.6");
    REQUIRE(leases.size() == 1);
    CHECK(leases[0].mac == "52:54:00:00:00:05");
    CHECK(leases[0].address == "10.90.0.5");
    CHECK(leases[0].stage == DhcpStage::answered);
}

TEST_CASE("who asked, and again after its answer, is told apart from who was answered") {
    const std::string log = std::string(kHead) + "DHCPDISCOVER(axb1) 52:54:00:00:00:01 \n" + kHead +
                            "4711 DHCPDISCOVER(axb1) 10.90.0.7 52:54:00:00:00:02 \n" + kHead +
                            "4711 DHCPACK(axb1) 10.90.0.7 52:54:00:00:00:02 vm2\n" + kHead +
                            "DHCPREQUEST(axb1) 10.90.0.7 52:54:00:00:00:02 \n";
    const auto leases = read_dhcp_log(log);
    REQUIRE(leases.size() == 2);
    CHECK(leases[0].stage == DhcpStage::asked);
    CHECK(leases[1].stage == DhcpStage::answered);
    CHECK(leases[1].address == "10.90.0.7");
}

TEST_CASE("a lease counts as an answer, also when the log was cut") {
    const auto file = read_lease_file("1795000000 52:54:00:00:00:01 10.90.0.1 vm1 *\nduid 00:01\nx\n\n");
    REQUIRE(file.size() == 1);
    const auto joined =
        join_leases({{"52:54:00:00:00:01", "", DhcpStage::asked}, {"52:54:00:00:00:02", "", DhcpStage::asked}}, file);
    REQUIRE(joined.size() == 2);
    CHECK(joined[0].stage == DhcpStage::answered);
    CHECK(joined[0].address == "10.90.0.1");
    CHECK(joined[1].stage == DhcpStage::asked);
    CHECK(join_leases({}, file).size() == 1);
}
