// What only a wire has: halves of messages, silence, nonsense, other releases.
#include "tests/contract/link/rooms.hpp"

using namespace axle;
using namespace axle::test;

namespace {

struct Wire {
    explicit Wire(WsChannelOptions options = {}, http::WebSocketOptions wish = {.message_max = 100'000})
        : server(core, std::move(options), std::move(wish)) {}
    Channel& connect() {
        socket.emplace(server.dial());
        REQUIRE(core.run_until([&] { return !server.channels.empty(); }));
        return *server.channels.front();
    }
    // Reads until the connection is closed, and tells the reason that came before.
    std::string reason() {
        std::string why;
        for (int i = 0; i < 3000; ++i) {
            core.run();
            auto got = socket->read(milliseconds{10});
            if (!got) return why.empty() ? got.error().message : why;
            if (!*got) continue;
            const auto message = decode((*got)->data);
            if (message && *message && std::holds_alternative<Bye>(**message)) why = std::get<Bye>(**message).why;
        }
        return "it stays open";
    }
    WaitingExecutor core;
    TlsServer server;
    std::optional<http::WebSocketClient> socket;
};

}  // namespace

TEST_CASE("a type and fields of a later release are ignored, and the rest is read") {
    Wire wire;
    Ears there(wire.connect());
    REQUIRE(wire.socket->send(R"({"type":"teleport","to":"the moon","nested":{"a":[1,2]}})", false));
    REQUIRE(wire.socket->send(R"({"type":"progress","percent":7,"mood":"good","deep":{"er":[{}]}})", false));
    REQUIRE(wire.core.run_until([&] { return !there.heard.empty(); }));
    CHECK(there.heard.size() == 1);
    CHECK(std::get<TaskNews>(there.heard[0]).percent == 7);
}

TEST_CASE("what can't be read ends the connection with the reason on both ends") {
    struct Row {
        const char* what;
        const char* text;
        const char* reason;
    };
    for (const Row& row :
         {Row{"nonsense", "nonsense", "can't be read"}, Row{"no type", "{}", "without a type"},
          Row{"a type that is no text", R"({"type":3})", "without a type"},
          Row{"a wrong field", R"({"type":"progress","percent":"much"})", "percent"},
          Row{"half a message", R"({"type":"progress","per)", "can't be read"}, Row{"nothing", "", "can't be read"}}) {
        CAPTURE(row.what);
        Wire wire;
        Ears there(wire.connect());
        REQUIRE(wire.socket->send(row.text, false));
        CHECK(wire.reason().find(row.reason) != std::string::npos);
        REQUIRE(wire.core.run_until([&] { return !there.closed.empty(); }));
        CHECK(there.closed[0].find(row.reason) != std::string::npos);
        CHECK(there.heard.empty());
    }
}

TEST_CASE("a message that is too large ends the connection before it is in memory") {
    Wire wire;
    Ears there(wire.connect());
    (void)wire.socket->send("{\"type\":\"progress\",\"message\":\"" + std::string(200'000, 'x') + "\"}", false);
    REQUIRE(wire.core.run_until([&] { return !there.closed.empty(); }));
    CHECK(there.heard.empty());
}

TEST_CASE("who says nothing after connecting is cut off with a reason") {
    Wire wire({.first_message = milliseconds{100}});
    Ears there(wire.connect());
    CHECK(wire.reason().find("no hello came") != std::string::npos);
}

TEST_CASE("silence in the middle of a connection is noticed") {
    Wire wire({}, {.message_max = 100'000, .ping_every = milliseconds{50}});
    Ears there(wire.connect());
    REQUIRE(wire.socket->send(encode(TaskNews{.percent = 1}), false));
    // Nobody reads this socket: pings stay unanswered, as on a line that was cut without a word.
    REQUIRE(wire.core.run_until([&] { return !there.closed.empty(); }));
    CHECK(there.heard.size() == 1);
    CHECK_FALSE(there.closed[0].empty());
}

TEST_CASE("repeated messages arrive as often as they were sent: it is the cores that take each once") {
    Wire wire;
    Ears there(wire.connect());
    for (int i = 0; i < 3; ++i) REQUIRE(wire.socket->send(encode(TaskNews{.percent = 5}), false));
    REQUIRE(wire.core.run_until([&] { return there.heard.size() == 3; }));
}

TEST_CASE("an owner that is busy stops the reading, and nothing is lost") {
    Wire wire({.unhandled_max = 20'000});
    Ears there(wire.connect());
    const std::string text = encode(TaskNews{.message = std::string(1000, 'm')});
    std::size_t sent = 0;
    std::jthread sender([&] {
        for (; sent < 500; ++sent) {
            if (!wire.socket->send(text, false)) return;
        }
    });
    REQUIRE(wire.core.run_until([&] { return there.heard.size() == 500; }));
    sender.join();
    CHECK(there.closed.empty());
}
