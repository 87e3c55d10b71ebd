#include "agent/network/ports.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

using namespace axle;

namespace {

constexpr const char* kTcp =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    "   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 x 100 0\n"
    "   1: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 x 100 0\n"
    "   2: 010200C0:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3 1 x 100 0\n"
    "   3: 010200C0:1F90 020200C0:9999 01 00000000:00000000 00:00000000 00000000     0        0 4 1 x 100 0\n"
    "garbage\n   4: zz:00 x 0A\n";

Forward forward(std::int64_t port, const char* listen = "") {
    return {.protocol = Protocol::tcp, .host_port = port, .listen = listen, .address = "10.90.0.5", .guest_port = 80};
}

}  // namespace

TEST_CASE("a port that a program of the host listens on is taken, on the addresses where it listens") {
    const auto listeners = read_listeners(kTcp, Protocol::tcp, false);
    REQUIRE(listeners.size() == 3);
    struct Row {
        const char* name;
        Forward wanted;
        bool taken;
    };
    const Row rows[] = {
        {"on all addresses", forward(22), true},
        {"one address of all", forward(22, "192.0.2.1"), true},
        {"on the loop only", forward(80), false},
        {"on one address", forward(443), true},
        {"on that address", forward(443, "192.0.2.1"), true},
        {"on another address", forward(443, "192.0.2.9"), false},
        {"a connection, no listener", forward(8080), false},
        {"nobody", forward(8081), false},
    };
    for (const Row& row : rows) {
        CAPTURE(row.name);
        CHECK(why_port_taken(row.wanted, listeners).has_value() == row.taken);
    }
    Forward udp = forward(22);
    udp.protocol = Protocol::udp;
    CHECK_FALSE(why_port_taken(udp, listeners));
}

TEST_CASE("a listener on all addresses of IPv6 answers IPv4, too") {
    const auto listeners = read_listeners(
        "   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 0 0 0 0 0 0 9\n"
        "   1: 00000000000000000000000001000000:0051 00000000000000000000000000000000:0000 0A 0 0 0 0 0 0 9\n",
        Protocol::tcp, true);
    CHECK(why_port_taken(forward(80), listeners));
    CHECK_FALSE(why_port_taken(forward(81), listeners));
}

TEST_CASE("of two networks that forward the same port the first has it") {
    std::vector<NetworkDocument> networks(3);
    for (std::size_t i = 0; i < networks.size(); ++i) networks[i].name = fmt::format("default/n{}", i);
    networks[0].id.bytes[0] = 1;
    networks[1].id.bytes[0] = 2;
    networks[0].forwards = {forward(8080, "192.0.2.1")};
    networks[1].forwards = {forward(8080), forward(8081)};
    networks[2].forwards = {forward(8080, "192.0.2.2")};
    const auto refused = take_forwards_away(networks, {});
    REQUIRE(refused.size() == 1);
    CHECK(refused[0].first == networks[1].id);
    CHECK(refused[0].second.find("default/n0") != std::string::npos);
    CHECK(networks[0].forwards.size() == 1);
    CHECK(networks[1].forwards.size() == 1);
    CHECK(networks[2].forwards.size() == 1);
}

TEST_CASE("our own DNS on a gateway takes no port from a forward") {
    std::vector<NetworkDocument> networks(1);
    networks[0].gateway = "192.0.2.1";
    networks[0].forwards = {forward(443)};
    CHECK(take_forwards_away(networks, read_listeners(kTcp, Protocol::tcp, false)).empty());
}
