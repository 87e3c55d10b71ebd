// No room for all: what is held in memory and who has a place stay within limits, and small requests go on.
#include "tests/contract/http/http_fixture.hpp"

using namespace axle;
using namespace axle::http;

namespace {

constexpr std::size_t kMiB = 1 << 20;

void echo_size(Request request, Reply reply) {
    reply.send({.status = 200, .body = std::to_string(request.body.size())});
}

ServerOptions tight() {
    ServerOptions options;
    options.held_max = 4 * kMiB;
    options.body_limit = [](std::string_view, std::string_view) { return std::int64_t{8} << 20; };
    return options;
}

// All of a request but the last byte of its body.
std::string unfinished(std::size_t size) {
    return "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(size + 1) + "\r\n\r\n" +
           std::string(size, 'x');
}

}  // namespace

TEST_CASE("beyond the limit of memory the largest unfinished request is refused in words, others go on") {
    ServerOptions options = tight();
    options.held_max = 16 * kMiB;
    TestServer server(echo_size, options);
    RawSocket large(server.port);
    large.send(unfinished(5 * kMiB));
    REQUIRE(eventually([&] { return server.server.stats().held > 5 * kMiB; }));
    std::vector<std::unique_ptr<RawSocket>> others;
    while (server.server.stats().shed == 0 && others.size() < 20) {
        const std::uint64_t before = server.server.stats().held;
        others.push_back(std::make_unique<RawSocket>(server.port));
        others.back()->send(unfinished(kMiB));
        CHECK(
            eventually([&] { return server.server.stats().shed > 0 || server.server.stats().held >= before + kMiB; }));
    }
    const std::string refusal = large.read_to_end();
    CHECK(refusal.starts_with("HTTP/1.1 503"));
    CHECK(refusal.find("Retry-After") != std::string::npos);
    CHECK(refusal.find("holds 16 MiB") != std::string::npos);
    CHECK(server.server.stats().shed == 1);
    for (const auto& socket : others) {
        socket->send("x");
        CHECK(socket->gets("200 OK"));
    }
}

TEST_CASE("a flood of unfinished requests holds no more memory than the limit, and is forgotten when it ends") {
    TestServer server(echo_size, tight());
    std::atomic<std::uint64_t> most = 0;
    {
        std::vector<std::unique_ptr<RawSocket>> flood;
        for (int i = 0; i < 40; ++i) {
            flood.push_back(std::make_unique<RawSocket>(server.port));
            flood.back()->try_send(unfinished(kMiB));
            most = std::max(most.load(), server.server.stats().held);
            CHECK(server.client().request("POST", "/", {}, "small")->body == "5");
        }
        CHECK(server.server.stats().shed > 20);
    }
    CHECK(most <= 6 * kMiB);  // while room is made for a buffer that has just doubled
    CHECK(eventually([&] { return server.server.stats().held < 64 * 1024; }));
}

TEST_CASE("large requests that workers have are held against the limit, small ones are taken") {
    std::mutex gate;
    std::unique_lock closed(gate);
    TestServer server(
        [&](Request request, Reply reply) {
            if (request.body.size() > kMiB) const std::lock_guard pass(gate);
            echo_size(std::move(request), std::move(reply));
        },
        tight());
    RawSocket first(server.port);
    first.send(unfinished(2 * kMiB - 1) + "x");
    REQUIRE(eventually([&] { return server.server.stats().requests == 1; }));
    const auto refused = server.client().request("POST", "/", {}, std::string(kMiB, 'x'));
    REQUIRE(refused.has_value());
    CHECK(refused->status == 503);
    CHECK(server.client().request("POST", "/", {}, "small")->body == "5");
    closed.unlock();
    CHECK(first.gets("2097152"));
    CHECK(eventually([&] { return server.client().request("POST", "/", {}, std::string(kMiB, 'x'))->status == 200; }));
}

TEST_CASE("answers that nobody takes are held against the limit") {
    ServerOptions options = tight();
    TestServer server(
        [](Request request, Reply reply) {
            reply.send({.status = 200, .body = std::string(request.path == "/large" ? 6 * kMiB : 10, 'x')});
        },
        options);
    std::vector<std::unique_ptr<RawSocket>> readers;
    for (int i = 0; i < 20; ++i) {
        readers.push_back(std::make_unique<RawSocket>(server.port, 2048));
        readers.back()->send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    REQUIRE(eventually([&] { return server.server.stats().requests == 20; }));
    CHECK(eventually([&] { return server.server.stats().shed > 0; }));
    CHECK(eventually([&] { return server.server.stats().held <= 4 * kMiB; }));
    CHECK(server.client().request("GET", "/")->status == 200);
}

TEST_CASE("when all places are taken, the oldest idle connections of who has most make place") {
    ServerOptions options;
    options.connections_max = 8;
    TestServer server(echo_size, options);
    RawSocket few(server.port, 0, "127.0.0.9");
    std::vector<std::unique_ptr<RawSocket>> many;
    for (int i = 0; i < 7; ++i) many.push_back(std::make_unique<RawSocket>(server.port, 0, "127.0.0.8"));
    REQUIRE(eventually([&] { return server.server.stats().connections == 8; }));
    RawSocket newcomer(server.port, 0, "127.0.0.7");
    newcomer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(newcomer.gets("200 OK"));
    CHECK(many[0]->read_to_end() == "");
    few.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(few.gets("200 OK"));
}

TEST_CASE("where nothing may be closed for a newcomer it is turned away, but for our own on the unix socket") {
    const TempDirectory directory;
    ServerOptions options;
    options.connections_max = 8;
    TestServer server(echo_size, options);
    const std::string path = directory.path + "/api.sock";
    REQUIRE(server.server.listen_unix(path).has_value());
    std::vector<std::unique_ptr<RawSocket>> many;
    for (int i = 0; i < 8; ++i) {
        many.push_back(std::make_unique<RawSocket>(server.port));
        many.back()->send(unfinished(10));
    }
    REQUIRE(eventually([&] { return server.server.stats().held >= 80; }));
    REQUIRE(eventually([&] { return server.server.stats().connections == 8; }));
    RawSocket newcomer(server.port);
    CHECK(newcomer.read_to_end() == "");
    CHECK(server.server.stats().turned_away == 1);
    ClientOptions local;
    local.endpoint = *Endpoint::parse("unix:" + path);
    CHECK(Client(local).request("GET", "/")->status == 200);
    for (const auto& socket : many) {
        socket->send("x");
        CHECK(socket->gets("200 OK"));
    }
}

TEST_CASE("requests that were sent ahead wait until earlier answers are taken, and are all answered then") {
    std::atomic<int> answered = 0;
    TestServer server([&](Request, Reply reply) {
        ++answered;
        reply.send({.status = 200, .body = std::string(100'000, 'x')});
    });
    RawSocket reader(server.port, 4096);
    std::string flood;
    for (int i = 0; i < 300; ++i) flood += "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    reader.send(flood + "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    // What the sockets' buffers take (some MiB at most), and then no more: 300 answers have 30 MB.
    int seen = -1;
    CHECK(eventually([&] {
        poll(nullptr, 0, 100);
        return std::exchange(seen, answered.load()) == answered;
    }));
    CHECK(answered < 150);
    CHECK(server.server.stats().held < 400'000);
    CHECK(count(reader.read_to_end(), "200 OK") == 301);
    CHECK(answered == 301);
}

TEST_CASE("large bodies never have all workers") {
    std::mutex gate;
    std::unique_lock closed(gate);
    TestServer server(
        [&](Request request, Reply reply) {
            if (request.body.size() > 20'000) const std::lock_guard pass(gate);
            echo_size(std::move(request), std::move(reply));
        },
        {}, {.threads = 2});
    std::vector<std::unique_ptr<RawSocket>> large;
    for (int i = 0; i < 4; ++i) {
        large.push_back(std::make_unique<RawSocket>(server.port));
        large.back()->send(unfinished(30'000 - 1) + "x");
    }
    REQUIRE(eventually([&] { return server.server.stats().requests == 4; }));
    CHECK(server.client().request("POST", "/", {}, "small")->body == "5");
    closed.unlock();
    for (const auto& socket : large) CHECK(socket->gets("30000"));
}
