// WebSocket frames cut anywhere: what is between two frames must not matter, wherever a framer lets go of its buffers.
#include "common/http/ws_framer.hpp"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/seeded_random.hpp"

using namespace axle;
using namespace axle::http;

namespace {

constexpr std::size_t kMax = 1 << 20;

std::string frame(bool fin, int opcode, const std::string& payload) {
    std::string bytes;
    bytes += static_cast<char>((fin ? 0x80 : 0) | opcode);
    bytes += static_cast<char>(0x80 | static_cast<int>(payload.size()));
    return bytes + std::string(4, '\0') + payload;  // a mask of nothing
}

std::vector<std::string> texts(const std::vector<WsMessage>& messages) {
    std::vector<std::string> all;
    for (const auto& message : messages) all.push_back(message.data);
    return all;
}

}  // namespace

TEST_CASE("messages of any size pass both ways, however the bytes are cut") {
    test::SeededRandom random(7);
    for (int round = 0; round < 40; ++round) {
        WsFramer client(false, kMax), server(true, kMax);
        for (auto [from, to] :
             {std::pair(&client, &server), std::pair(&server, &client), std::pair(&client, &server)}) {
            std::vector<std::string> sent;
            for (const std::int64_t most : {0, 125, 126, 5'000, 65'535, 70'000}) {
                sent.emplace_back(static_cast<std::size_t>(random.between(0, most)), 'x');
                REQUIRE(from->send(sent.back(), false));
                if (random.chance(50)) from->ping();
            }
            const std::string bytes = from->take_output();
            std::vector<WsMessage> got;
            for (std::size_t at = 0; at < bytes.size();) {
                const auto some =
                    static_cast<std::size_t>(random.chance(30) ? random.between(1, 6) : random.between(1, 20'000));
                REQUIRE(to->feed(std::string_view(bytes).substr(at, some), got));
                from->feed(to->take_output(), got);  // the pongs
                at += some;
            }
            CHECK(texts(got) == sent);
        }
    }
}

TEST_CASE("a message in fragments is one message, with pings between them and byte by byte") {
    WsFramer server(true, kMax);
    const std::string bytes = frame(false, 1, "one ") + frame(true, 9, "ping") + frame(false, 0, "") +
                              frame(false, 0, "two ") + frame(true, 0, "three") + frame(true, 1, "") +
                              frame(true, 1, "next");
    std::vector<WsMessage> got;
    std::string answers;
    for (const char byte : bytes) {
        REQUIRE(server.feed({&byte, 1}, got));
        answers += server.take_output();
    }
    CHECK(texts(got) == std::vector<std::string>{"one two three", "", "next"});
    CHECK(answers == std::string("\x8a\x04ping", 6));
}

TEST_CASE("a closing handshake holds over calls, from either side") {
    WsFramer client(false, kMax), server(true, kMax);
    std::vector<WsMessage> none;
    REQUIRE(client.send("before", false));
    server.feed(client.take_output(), none);
    CHECK_FALSE(server.is_closing());
    CHECK(server.received_close() == 0);
    client.close(1001, "going");
    CHECK(client.is_closing());
    server.feed(client.take_output(), none);
    CHECK(server.received_close() == 1001);
    CHECK(server.close_reason() == "going");
    client.feed(server.take_output(), none);
    CHECK(server.is_finished());
    CHECK(client.is_finished());
    CHECK_FALSE(client.send("after", false));
    CHECK(texts(none) == std::vector<std::string>{"before"});
}

TEST_CASE("a violation between two good messages is answered with a close frame") {
    WsFramer server(true, kMax);
    std::vector<WsMessage> got;
    REQUIRE(server.feed(frame(true, 1, "good"), got));
    CHECK(server.take_output().empty());
    server.feed("\x81\x04nomask", got);  // not masked
    CHECK_FALSE(server.take_output().empty());
    CHECK(server.is_closing());
    CHECK(server.sent_close() == 1002);
    CHECK(texts(got) == std::vector<std::string>{"good"});
}
