// Percent-encoding, endpoints, events, headers, problems.
#include <doctest/doctest.h>

#include "common/http/message.hpp"
#include "common/http/target_reader.hpp"
#include "common/http/url.hpp"
#include "common/http/ws_framer.hpp"

using namespace axle;
using namespace axle::http;

TEST_CASE("percent-encoding goes there and back") {
    CHECK(percent_encode("a b/ä~._-") == "a%20b%2F%C3%A4~._-");
    for (const char* text : {"", "plain", "a b", "100%", "äöü", "?&=#/"})
        CHECK(percent_decode(percent_encode(text)) == text);
    for (const char* text : {"%", "%1", "%zz", "a%0", "%00"}) {
        CAPTURE(text);
        CHECK_FALSE(percent_decode(text).has_value());
    }
    CHECK(query_string({}).empty());
    CHECK(query_string({{"wait", "60s"}, {"q", "a=b"}}) == "?wait=60s&q=a%3Db");
}

TEST_CASE("a target is taken apart and decoded once") {
    const TargetReader reader;
    Request request;
    REQUIRE(reader.read("/v1/a%2520b?wait=60s&filter=a%3Db%26c&empty&x=1+2", request));
    CHECK(request.path == "/v1/a%20b");
    CHECK(request.parameter("wait") == "60s");
    CHECK(request.parameter("filter") == "a=b&c");
    CHECK(request.parameter("x") == "1 2");
    CHECK(request.parameter("empty") == "");
    CHECK_FALSE(request.parameter("none").has_value());
    Request long_path;
    CHECK(reader.read("/" + std::string(7990, 'a'), long_path));
    CHECK(long_path.path.size() == 7991);
}

TEST_CASE("endpoints as people write them") {
    struct Row {
        const char* text;
        const char* whole;
    };
    for (const Row& row :
         {Row{"https://host:7443", "https://host:7443"}, Row{"host", "https://host:7443"},
          Row{"https://host/", "https://host:7443"}, Row{"http://127.0.0.1:80", "http://127.0.0.1:80"},
          Row{"https://[::1]:5", "https://[::1]:5"}, Row{"[2001:db8::1]", "https://[2001:db8::1]:7443"},
          Row{"/run/axle/api.sock", "unix:/run/axle/api.sock"}, Row{"unix:/a", "unix:/a"}}) {
        CAPTURE(row.text);
        const auto endpoint = Endpoint::parse(row.text);
        REQUIRE(endpoint.has_value());
        CHECK(endpoint->str() == row.whole);
    }
    for (const char* text :
         {"", "ftp://a", "https://", "host:", "host:0", "host:65536", "host:x", "[::1", "unix:relative"}) {
        CAPTURE(text);
        CHECK_FALSE(Endpoint::parse(text).has_value());
    }
}

TEST_CASE("events are written and read back, in pieces of any size") {
    const ServerSentEvent first{"change", "12", "{\"a\":1}\nsecond line"}, second{.id = "13", .data = ""};
    const std::string wire = first.str() + ": a comment\n\n" + second.str();
    for (const std::size_t piece : {1, 3, 1000}) {
        EventReader reader;
        std::vector<ServerSentEvent> events;
        for (std::size_t at = 0; at < wire.size(); at += piece)
            for (auto& event : reader.feed(std::string_view(wire).substr(at, piece))) events.push_back(event);
        REQUIRE(events.size() == 2);
        CHECK(events[0].event == "change");
        CHECK(events[0].data == first.data);
        CHECK(events[1].id == "13");
        CHECK(events[1].event.empty());
    }
}

TEST_CASE("headers are found in any case, words of a list too") {
    Headers headers{{"Content-Type", "text/plain"}, {"Connection", "keep-alive, Upgrade"}};
    CHECK(headers.value("content-type") == "text/plain");
    CHECK(headers.lists("CONNECTION", "upgrade"));
    CHECK_FALSE(headers.lists("Connection", "up"));
    headers.set("CONTENT-TYPE", "a");
    CHECK(headers.size() == 2);
    CHECK(headers.value("Content-Type") == "a");
}

TEST_CASE("a problem is JSON whatever its text holds") {
    const Response response = problem(404, "not-found", "no vm \"a\xff\"\n", "look again");
    CHECK(response.status == 404);
    CHECK(response.headers.value("Content-Type") == "application/problem+json");
    CHECK(response.body.starts_with(R"({"status":404,"title":"Not Found","code":"not-found","detail":"no vm \"a)"));
    CHECK(response.body.find("\"hint\":\"look again\"") != std::string::npos);
}

TEST_CASE("WebSocket frames of a client reach a server byte by byte, and the close code comes back") {
    CHECK(websocket_accept("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");  // RFC 6455 1.3
    WsFramer server(true, 1000), client(false, 1000);
    CHECK(client.send("text", false));
    CHECK(client.send(std::string(500, '\0'), true));
    client.ping();
    client.close(1001, "going");
    std::vector<WsMessage> messages, back;
    for (const char byte : client.take_output()) CHECK(server.feed({&byte, 1}, messages));
    REQUIRE(messages.size() == 2);
    CHECK(messages[0].data == "text");
    CHECK(messages[1].binary);
    CHECK(server.received_close() == 1001);
    CHECK(server.close_reason() == "going");
    CHECK(client.feed(server.take_output(), back));
    CHECK(client.is_finished());
    CHECK(server.is_finished());
}

TEST_CASE("an unmasked frame of a client ends the connection as a violation") {
    WsFramer server(true, 1000), other(true, 1000);
    CHECK(other.send("unmasked", false));
    std::vector<WsMessage> messages;
    server.feed(other.take_output(), messages);
    server.take_output();
    CHECK(messages.empty());
    CHECK(server.sent_close() == 1002);
}
