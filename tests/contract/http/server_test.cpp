// Requests and answers over real sockets.
#include <map>

#include "tests/contract/http/http_fixture.hpp"

using namespace axle;
using namespace axle::http;

TEST_CASE("a request is answered with what the handler gave, and the connection is used again") {
    TestServer server([](Request request, Reply reply) {
        Response response{
            201, {{"Content-Type", "text/plain"}, {"X-Peer", request.peer->ip}}, request.method + request.path};
        for (const auto& [name, value] : request.query) response.body += "|" + name + "=" + value;
        response.body += "|" + request.body + "|" + request.headers.value("x-given");
        reply.send(std::move(response));
    });
    Client client = server.client();
    for (int i = 0; i < 3; ++i) {
        const auto answer = client.request("POST", "/v1/a%20b?q=x%2By&p=1+2", {{"X-Given", "100%41"}}, "body");
        REQUIRE(answer.has_value());
        CHECK(answer->status == 201);
        CHECK(answer->body == "POST/v1/a b|p=1 2|q=x+y|body|100%41");
        CHECK(answer->headers.value("X-Peer") == "127.0.0.1");
        CHECK(answer->headers.value("X-Content-Type-Options") == "nosniff");
        CHECK(answer->headers.value("Date").ends_with(" GMT"));
    }
    CHECK(server.server.stats().accepted == 1);
    CHECK(server.server.stats().requests == 3);
}

TEST_CASE("pipelined requests are answered in order") {
    TestServer server(echo);
    RawSocket raw(server.port);
    std::string wire;
    for (int i = 0; i < 100; ++i) wire += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: a\r\n\r\n";
    raw.send(wire);
    const std::string got = raw.read_until("GET /99 ");
    std::size_t at = 0;
    for (int i = 0; i < 100; ++i) {
        at = got.find("GET /" + std::to_string(i) + " ", at);
        REQUIRE(at != std::string::npos);
    }
    CHECK(count(got, "HTTP/1.1 200 OK\r\n") == 100);
}

TEST_CASE("HEAD gives the head of GET without its body") {
    TestServer server(echo);
    Client client = server.client();
    const auto answer = client.request("HEAD", "/x");
    REQUIRE(answer.has_value());
    CHECK(answer->body.empty());
    CHECK(answer->headers.value("Content-Length") == "8");
    CHECK(client.request("GET", "/y")->body == "GET /y ");
}

TEST_CASE("answers may come later, from another thread, in any order: each goes to who asked") {
    std::mutex mutex;
    std::map<std::string, Reply> waiting;
    TestServer server([&](Request request, Reply reply) {
        const std::lock_guard lock(mutex);
        waiting.emplace(request.path, std::move(reply));
    });
    Result<Response> first = fail(Code::internal, "none"), second = first;
    std::thread one([&] { first = server.client().request("GET", "/1"); });
    std::thread two([&] { second = server.client().request("GET", "/2"); });
    CHECK(eventually([&] {
        const std::lock_guard lock(mutex);
        return waiting.size() == 2;
    }));
    for (const char* path : {"/2", "/1"}) waiting.at(path).send({202, {}, std::string("later, to ") + path});
    one.join();
    two.join();
    REQUIRE(first.has_value());
    REQUIRE(second.has_value());
    CHECK(first->status == 202);
    CHECK(first->body == "later, to /1");
    CHECK(second->body == "later, to /2");
}

TEST_CASE("an unanswered reply is a 500, and so is a handler that throws") {
    TestServer server([](Request request, Reply) {
        if (request.path == "/throw") throw std::runtime_error("planted");
    });
    Client client = server.client();
    for (const char* path : {"/drop", "/throw"}) {
        const auto answer = client.request("GET", path);
        REQUIRE(answer.has_value());
        CHECK(answer->status == 500);
        CHECK(answer->headers.value("Content-Type") == "application/problem+json");
        CHECK(answer->body.find("\"code\":\"internal\"") != std::string::npos);
    }
}

TEST_CASE("a request that is not answered by its deadline gets a 504 that says the outcome is unknown") {
    std::mutex mutex;
    std::vector<Reply> waiting;
    TestServer server([&](Request, Reply reply) {
        reply.set_deadline(milliseconds{30});
        const std::lock_guard lock(mutex);
        waiting.push_back(std::move(reply));
    });
    Client client = server.client();
    const auto answer = client.request("GET", "/slow");
    REQUIRE(answer.has_value());
    CHECK(answer->status == 504);
    CHECK(answer->body.find("\"code\":\"timeout\"") != std::string::npos);
    CHECK(answer->body.find("outcome is unknown") != std::string::npos);
    const std::lock_guard lock(mutex);
    waiting.clear();  // the late answer goes nowhere
}

TEST_CASE("bodies over the limit of their route are refused before they are sent") {
    ServerOptions options;
    options.body_limit = [](std::string_view, std::string_view path) { return path == "/big" ? 4'000'000 : 1000; };
    TestServer server(echo, options);
    Client client = server.client();
    CHECK(client.request("POST", "/big", {}, std::string(3'000'000, 'x'))->status == 200);
    const auto refused = client.request("POST", "/small", {}, std::string(1001, 'x'));
    REQUIRE(refused.has_value());
    CHECK(refused->status == 413);
    CHECK(refused->body.find("1001 bytes, at most 1000") != std::string::npos);
    RawSocket raw(server.port);
    raw.send("POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n");
    CHECK(raw.read_to_end().starts_with("HTTP/1.1 413 "));
    CHECK(server.server.stats().refused == 2);
}

TEST_CASE("a client that waits for 100 Continue gets it, then its answer") {
    TestServer server(echo);
    RawSocket raw(server.port);
    raw.send("POST /c HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    CHECK(raw.read_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
    raw.send("ok");
    CHECK(raw.read_until("POST /c ok").find("HTTP/1.1 200 OK") != std::string::npos);
}

TEST_CASE("a form body is refused with the remedy for curl") {
    TestServer server(echo);
    const auto answer =
        server.client().request("POST", "/v1", {{"Content-Type", "application/x-www-form-urlencoded"}}, "{}");
    REQUIRE(answer.has_value());
    CHECK(answer->status == 415);
    CHECK(answer->body.find("-H 'Content-Type: application/json'") != std::string::npos);
    CHECK(server.client().request("POST", "/v1", {{"Content-Encoding", "gzip"}}, "{}")->status == 415);
}

TEST_CASE("what is no proper HTTP is refused on the wire") {
    TestServer server(echo);
    for (const char* wire : {"GET / HTTP/1.0\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01 hello",
                             "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"}) {
        CAPTURE(wire);
        RawSocket raw(server.port);
        raw.send(wire);
        const std::string got = raw.read_to_end();
        CHECK((got.starts_with("HTTP/1.1 400 ") || got.starts_with("HTTP/1.1 505 ")));
        CHECK(got.find("application/problem+json") != std::string::npos);
        CHECK(got.find("Connection: close") != std::string::npos);
    }
}

TEST_CASE("a head that drips in gets 408") {
    ServerOptions options;
    options.head_time = milliseconds{50};
    TestServer server(echo, options);
    RawSocket raw(server.port);
    raw.send("GET / HTTP/1.1\r\nHo");
    CHECK(raw.read_to_end().starts_with("HTTP/1.1 408 "));
}

TEST_CASE("a body that drips in gets 408") {
    ServerOptions options;
    options.body_time = milliseconds{50};
    TestServer server(echo, options);
    RawSocket raw(server.port);
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    CHECK(raw.read_to_end().starts_with("HTTP/1.1 408 "));
}

TEST_CASE("a connection that is idle for too long is closed without a word, and a client dials anew") {
    ServerOptions options;
    options.idle_time = milliseconds{500};
    TestServer server(echo, options);
    RawSocket fresh(server.port);
    CHECK(fresh.read_to_end().empty());
    Client client = server.client();
    CHECK(client.request("GET", "/1").value().status == 200);
    CHECK(eventually([&] { return server.server.stats().connections == 0; }));
    CHECK(client.request("GET", "/2").value().status == 200);
}

TEST_CASE("a client that has closed its half still gets its answer") {
    TestServer server(echo);
    RawSocket raw(server.port);
    raw.send("GET /half HTTP/1.1\r\nHost: a\r\n\r\n");
    shutdown(raw.fd.get(), SHUT_WR);
    CHECK(raw.read_to_end().find("GET /half") != std::string::npos);
    CHECK(eventually([&] { return server.server.stats().connections == 0; }));
}

TEST_CASE("more requests than may wait get 503 with Retry-After") {
    std::mutex mutex;
    std::condition_variable told;
    bool go = false;
    TestServer server(
        [&](Request request, Reply reply) {
            std::unique_lock lock(mutex);
            told.wait(lock, [&] { return go; });
            echo(request, std::move(reply));
        },
        {}, {.threads = 1, .queue_max = 1});
    std::vector<RawSocket> sockets;
    for (int i = 0; i < 3; ++i) {
        sockets.emplace_back(server.port);
        sockets.back().send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        CHECK(eventually([&] { return server.server.stats().requests == static_cast<std::uint64_t>(i) + 1; }));
        if (i == 0) CHECK(eventually([&] { return server.workers.waiting() == 0; }));
    }
    const std::string refused = sockets[2].read_to_end();
    CHECK(refused.starts_with("HTTP/1.1 503 "));
    CHECK(refused.find("Retry-After: 1\r\n") != std::string::npos);
    {
        const std::lock_guard lock(mutex);
        go = true;
    }
    told.notify_all();
    CHECK(sockets[0].read_until("GET / ").starts_with("HTTP/1.1 200 "));
    CHECK(sockets[1].read_until("GET / ").starts_with("HTTP/1.1 200 "));
}

TEST_CASE("2,000 idle connections stand while requests are answered") {
    ServerOptions options;
    options.connections_per_address_max = 3000;
    TestServer server(echo, options);
    std::vector<RawSocket> idle;
    for (int i = 0; i < 2000; ++i) idle.emplace_back(server.port);
    CHECK(eventually([&] { return server.server.stats().connections == 2000; }));
    Client client = server.client();
    for (int i = 0; i < 100; ++i) CHECK(client.request("GET", "/among/many")->status == 200);
    idle.back().send("GET /last HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(idle.back().read_until("GET /last ").find("200 OK") != std::string::npos);
}

TEST_CASE("connections over the limit of one address are turned away") {
    ServerOptions options;
    options.connections_per_address_max = 2;
    TestServer server(echo, options);
    RawSocket one(server.port), two(server.port), three(server.port);
    CHECK(three.read_to_end().empty());
    CHECK(server.server.stats().turned_away == 1);
    one.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    CHECK(one.read_to_end().find("200 OK") != std::string::npos);
    CHECK(eventually([&] { return server.server.stats().connections == 1; }));
    CHECK(server.client().request("GET", "/")->status == 200);
}

TEST_CASE("a taken port is refused with the way to find who has it") {
    TestServer server(echo);
    const auto again = server.server.listen_plain("127.0.0.1", server.port);
    REQUIRE_FALSE(again.has_value());
    CHECK(again.error().code == Code::conflict);
    CHECK(again.error().hint.find("ss -ltnp") != std::string::npos);
    CHECK(server.server.listen_plain("not-an-address", 0).error().code == Code::invalid);
}

TEST_CASE("a unix socket tells who is there, replaces a stale file and refuses a live one") {
    const TempDirectory directory;
    const std::string path = directory.path + "/api.sock";
    TestServer server([](Request request, Reply reply) {
        reply.send({200, {}, std::to_string(request.peer->uid) + " " + std::to_string(request.peer->pid)});
    });
    REQUIRE(server.server.listen_unix(path, 0660).has_value());
    CHECK((std::filesystem::status(path).permissions() & std::filesystem::perms::mask) == std::filesystem::perms(0660));
    ClientOptions options;
    options.endpoint = *Endpoint::parse(path);
    CHECK(Client(options).request("GET", "/")->body == std::to_string(getuid()) + " " + std::to_string(getpid()));
    const auto again = server.server.listen_unix(path);
    REQUIRE_FALSE(again.has_value());
    CHECK(again.error().code == Code::conflict);
    CHECK(again.error().message.find("another process serves") != std::string::npos);

    std::filesystem::create_directory(directory.path + "/file");
    CHECK(server.server.listen_unix(directory.path + "/file").error().code == Code::conflict);

    server.server.stop(milliseconds{1000});
    CHECK_FALSE(std::filesystem::exists(path));
    const auto gone = Client(options).request("GET", "/");
    REQUIRE_FALSE(gone.has_value());
    CHECK(gone.error().code == Code::unavailable);
}

TEST_CASE("a socket file that a dead process left is replaced") {
    const TempDirectory directory;
    const std::string path = directory.path + "/stale.sock";
    {
        const Fd fd(socket(AF_UNIX, SOCK_STREAM, 0));
        struct {
            sa_family_t family = AF_UNIX;
            char path[108] = {};
        } at;
        std::strncpy(at.path, path.c_str(), sizeof at.path - 1);
        REQUIRE(bind(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
    }
    TestServer server(echo);
    CHECK(server.server.listen_unix(path).has_value());
}

TEST_CASE("stop lets a running request finish and closes what is idle") {
    std::mutex mutex;
    std::optional<Reply> waiting;
    TestServer server([&](Request, Reply reply) {
        const std::lock_guard lock(mutex);
        waiting.emplace(std::move(reply));
    });
    RawSocket idle(server.port), busy(server.port);
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(eventually([&] {
        const std::lock_guard lock(mutex);
        return waiting.has_value();
    }));
    std::thread stopper([&] { server.server.stop(milliseconds{20'000}); });
    CHECK(idle.read_to_end().empty());
    waiting->send({200, {}, "done"});
    const std::string got = busy.read_to_end();
    CHECK(got.ends_with("done"));
    CHECK(got.find("Connection: close") != std::string::npos);
    busy.fd.reset();
    stopper.join();
    CHECK(server.server.stats().connections == 0);
}
