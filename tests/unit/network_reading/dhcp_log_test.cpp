#include "agent/network/dhcp_log.hpp"

#include <ctime>

#include <doctest/doctest.h>

using namespace axle;

namespace {

const WallTime kNow = [] {
    std::tm t{.tm_sec = 0, .tm_min = 0, .tm_hour = 12, .tm_mday = 23, .tm_mon = 10, .tm_year = 126, .tm_isdst = -1};
    return WallTime{static_cast<std::int64_t>(std::mktime(&t)) * 1000};
}();
constexpr const char* kHead = "Nov 23 06:48:58 dnsmasq-dhcp[20]: ";

std::vector<Lease> read(const std::string& rest) {
    return read_dhcp_log(kHead + rest + "\n", kNow);
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
    CHECK(read_dhcp_log("DHCPACK(axb1) 10.90.0.9 52:54:00:00:00:09\n", kNow).empty());
    CHECK(read_dhcp_log("Nov 23 06:48:58 dnsmasq[20]: DHCPACK(axb1) 10.90.0.9 52:54:00:00:00:09\n", kNow).empty());
    CHECK(read_dhcp_log(std::string("\0\0\n\xff\n   \n", 8), kNow).empty());
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
    const auto leases = read_dhcp_log(log, kNow);
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

TEST_CASE("a lease file that can't be right gives times that can be counted with") {
    for (const char* expiry : {"9223372036854775807", "-9223372036854775808", "18446744073709551615", "x"}) {
        CAPTURE(expiry);
        const auto file = read_lease_file(std::string(expiry) + " 52:54:00:00:00:01 10.90.0.1 vm1 *\n");
        REQUIRE(file.size() == 1);
        CHECK(file[0].at.ms >= 0);
        CHECK(file[0].at.ms < INT64_C(253'402'300'800'000));
    }
}

TEST_CASE("every stage has its time, and a question after an earlier run's answer is a question") {
    const auto at = [](const char* time, const char* rest) {
        return fmt::format("{} dnsmasq-dhcp[20]: {}\n", time, rest);
    };
    const std::string answered = at("Nov 23 11:00:00", "DHCPACK(axb1) 10.90.0.7 52:54:00:00:00:02 vm2");
    auto leases = read_dhcp_log(answered, kNow);
    REQUIRE(leases.size() == 1);
    CHECK(leases[0].at.ms == kNow.ms - 3'600'000);
    leases = read_dhcp_log(answered + at("Nov 23 11:30:00", "DHCPDISCOVER(axb1) 52:54:00:00:00:02 "), kNow);
    REQUIRE(leases.size() == 1);
    CHECK(leases[0].stage == DhcpStage::asked);
    CHECK(leases[0].at.ms == kNow.ms - 1'800'000);
    // The year isn't told: what would be to come was a year ago.
    leases = read_dhcp_log(at("Dec 24 11:00:00", "DHCPACK(axb1) 10.90.0.7 52:54:00:00:00:02 vm2"), kNow);
    CHECK(leases.at(0).at.ms < kNow.ms - INT64_C(300) * 86'400'000);
    const auto file = read_lease_file("1795000000 52:54:00:00:00:01 10.90.0.1 vm1 *\n");
    CHECK(file.at(0).at.ms == (INT64_C(1795000000) - 12 * 3600) * 1000);
}
