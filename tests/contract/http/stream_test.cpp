// Streams, events, WebSockets, uploads over real sockets.
#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <optional>
#include <poll.h>
#include <thread>

#include "common/base/now.hpp"
#include "tests/contract/http/http_fixture.hpp"

using namespace axle;
using namespace axle::http;

namespace {

// What on_closed told, once it has.
struct Told {
    void operator()(std::string reason) {
        const std::lock_guard lock(mutex);
        why = std::move(reason);
        told = true;
    }
    bool is() {
        const std::lock_guard lock(mutex);
        return told;
    }
    std::mutex mutex;
    std::string why;
    bool told = false;
};

struct Closing {
    std::atomic<int> code = 0;
    std::mutex mutex;
    std::vector<std::string> messages;
};

// The request of a client that asks for a WebSocket, in its bytes.
std::string upgrade_of(const std::string& path) {
    return "GET " + path +
           " HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
}

// A file of its own with this many bytes.
std::string file_of(const TempDirectory& directory, std::size_t size) {
    const std::string path = directory.path + "/content";
    const Fd fd(open(path.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600));
    const std::string piece(1 << 20, 'u');
    for (std::size_t done = 0; done < size; done += piece.size())
        REQUIRE(write(fd.get(), piece.data(), std::min(piece.size(), size - done)) > 0);
    return path;
}

}  // namespace

TEST_CASE("events reach a reader as they are written, and the end is told") {
    std::mutex mutex;
    std::optional<Stream> stream;
    TestServer server([&](Request, Reply reply) {
        const std::lock_guard lock(mutex);
        stream = reply.event_stream();
        stream->write(ServerSentEvent{"change", "7", "first\nline"}.str());
    });
    Told told;
    EventReader reader;
    std::vector<ServerSentEvent> seen;
    Client client = server.client();
    const auto end = client.download("/v1/watch", {}, [&](std::string_view bytes) {
        for (auto& event : reader.feed(bytes)) seen.push_back(std::move(event));
        if (seen.size() == 1) {
            stream->on_closed([&](std::string why) { told(std::move(why)); });
            stream->write(ServerSentEvent{.id = "8", .data = "second"}.str());
            stream->close();
        }
        return true;
    });
    REQUIRE(end.has_value());
    CHECK(end->headers.value("Content-Type") == "text/event-stream");
    REQUIRE(seen.size() == 2);
    CHECK(seen[0].data == "first\nline");
    CHECK(seen[0].event == "change");
    CHECK(seen[1].id == "8");
    CHECK(eventually([&] { return told.is(); }));
    CHECK(told.why.empty());
    CHECK_FALSE(stream->write("more"));
    stream.reset();
    CHECK(server.server.stats().accepted == 1);
}

TEST_CASE("who reads a stream in which nothing comes is asked after a signal, and may leave") {
    std::mutex mutex;
    std::optional<Stream> stream;
    TestServer server([&](Request, Reply reply) {
        const std::lock_guard lock(mutex);
        stream = reply.event_stream();
    });
    struct sigaction action {};
    struct sigaction former {};
    action.sa_handler = [](int) {};  // without SA_RESTART, as a terminal's Ctrl-C has it
    REQUIRE(::sigaction(SIGUSR1, &action, &former) == 0);
    std::atomic<bool> over = false;
    std::jthread person([&, reader = ::pthread_self()] {
        while (!over) {
            ::poll(nullptr, 0, 5);
            const std::lock_guard lock(mutex);
            if (stream) ::pthread_kill(reader, SIGUSR1);
        }
    });
    Client client = server.client();
    bool asked = false;
    (void)client.download(
        "/v1/watch", {}, [&](std::string_view bytes) { return !(asked = bytes.empty()); }, milliseconds{20'000});
    over = true;
    person.join();
    ::sigaction(SIGUSR1, &former, nullptr);
    CHECK(asked);
}

TEST_CASE("a reader of events that leaves is noticed") {
    Told told;
    std::mutex mutex;
    Stream stream;
    TestServer server([&](Request, Reply reply) {
        const std::lock_guard lock(mutex);
        stream = reply.event_stream();
        stream.on_closed([&](std::string why) { told(std::move(why)); });
        stream.write("data: x\n\n");
    });
    {
        RawSocket raw(server.port);
        raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        raw.read_until("data: x");
    }
    CHECK(eventually([&] { return told.is(); }));
    CHECK(told.why == "the client went away");
    CHECK_FALSE(stream.is_open());
}

TEST_CASE("a reader of what may be silent for long is noticed when it leaves, of other streams it may close its half") {
    for (const bool endless : {true, false}) {
        CAPTURE(endless);
        Told told;
        std::mutex mutex;
        Stream stream;
        TestServer server([&](Request, Reply reply) {
            const std::lock_guard lock(mutex);
            stream = reply.stream({.headers = {{"Content-Type", "text/plain"}}, .endless = endless});
            stream.on_closed([&](std::string why) { told(std::move(why)); });
            stream.write("so far");
        });
        RawSocket raw(server.port);
        raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        raw.read_until("so far");
        REQUIRE(::shutdown(raw.fd.get(), SHUT_WR) == 0);
        if (endless) {
            CHECK(eventually([&] { return told.is(); }));
            CHECK(told.why == "the client went away");
            continue;
        }
        stream.write("the rest");
        stream.close();
        CHECK(raw.read_until("the rest").find("the rest") != std::string::npos);
        CHECK(eventually([&] { return told.is(); }));
        CHECK(told.why.empty());
    }
}

TEST_CASE("a reader of events that does not read is cut off and costs no more than the limit") {
    Told told;
    std::mutex mutex;
    Stream stream;
    bool open = false;
    TestServer server([&](Request, Reply reply) {
        const std::lock_guard lock(mutex);
        stream = reply.event_stream(1 << 20);
        stream.on_closed([&](std::string why) { told(std::move(why)); });
        open = true;
    });
    RawSocket raw(server.port);
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(eventually([&] {
        const std::lock_guard lock(mutex);
        return open;
    }));
    const std::string event = "data: " + std::string(10'000, 'e') + "\n\n";
    std::size_t most = 0;
    CHECK(eventually([&] {
        most = std::max(most, stream.queued());
        return !stream.write(event);
    }));
    CHECK(most <= (1 << 20));
    CHECK(eventually([&] { return told.is(); }));
    CHECK(told.why == "too slow");
    CHECK(eventually([&] { return server.server.stats().connections == 0; }));
    CHECK(server.server.stats().cut_off == 1);
}

TEST_CASE("a download of known length is written with back-pressure and comes whole") {
    constexpr std::int64_t kSize = 32 << 20;
    std::atomic<std::size_t> most = 0;
    TestServer server([&](Request, Reply reply) {
        Stream stream = reply.stream({200, {{"Content-Type", "application/octet-stream"}}, kSize, 1 << 20});
        for (std::int64_t done = 0; done < kSize; done += 65536) {
            if (!stream.write_when_room(std::string(65536, 'd'))) return;
            most = std::max(most.load(), stream.queued());
        }
    });
    Client client = server.client();
    for (int i = 0; i < 2; ++i) {
        std::int64_t got = 0;
        const auto end = client.download("/image", {}, [&](std::string_view bytes) {
            got += static_cast<std::int64_t>(bytes.size());
            return true;
        });
        REQUIRE(end.has_value());
        CHECK(got == kSize);
    }
    CHECK(most <= (1 << 20) + 65536);
    CHECK(server.server.stats().accepted == 1);
}

TEST_CASE("an aborted stream is no whole body to the client") {
    TestServer server([](Request, Reply reply) {
        Stream stream = reply.stream({});
        stream.write("half");
        stream.abort("the source failed");
    });
    const auto answer = server.client().request("GET", "/");
    REQUIRE_FALSE(answer.has_value());
    CHECK(answer.error().code == Code::unavailable);
}

TEST_CASE("a WebSocket carries text and binary both ways and closes with code and reason") {
    Closing closing;
    TestServer server([&](Request request, Reply reply) {
        auto socket = std::make_shared<WebSocket>();
        WebSocketHandlers handlers;
        handlers.on_open = [socket](WebSocket opened) { *socket = std::move(opened); };
        handlers.on_message = [socket](std::string data, bool binary) {
            if (data == "bye")
                socket->close(4001, "as you wish");
            else if (binary)
                socket->send_binary(std::move(data));
            else
                socket->send_text(std::move(data));
        };
        handlers.on_closed = [&closing](int code, std::string) { closing.code = code; };
        CHECK(reply.websocket(std::move(handlers)).has_value() == (request.path == "/echo"));
    });
    Client client = server.client();
    auto socket = client.websocket("/echo");
    REQUIRE(socket.has_value());
    const auto next = [&]() -> Result<WebSocketMessage> {
        for (int i = 0; i < 100; ++i) {
            auto message = socket->read(milliseconds{200});
            if (!message) return fail(message.error());
            if (*message) return **message;
        }
        return fail(Code::timeout, "nothing came");
    };
    CHECK(socket->send("hello", false).has_value());
    CHECK(next()->data == "hello");
    const std::string large(900'000, '\xff');
    CHECK(socket->send(large, true).has_value());
    const auto back = next();
    REQUIRE(back.has_value());
    CHECK(back->binary);
    CHECK(back->data == large);
    CHECK(socket->send("bye", false).has_value());
    const auto end = next();
    REQUIRE_FALSE(end.has_value());
    CHECK(end.error().code == Code::gone);
    CHECK(socket->close_code() == 4001);
    CHECK(end.error().message.find("as you wish") != std::string::npos);
    CHECK(eventually([&] { return closing.code == 4001; }));
    CHECK(eventually([&] { return server.server.stats().connections == 0; }));
    CHECK(client.request("GET", "/plain")->status == 426);
}

TEST_CASE("a message over the limit ends a WebSocket with 1009") {
    Closing closing;
    std::mutex mutex;
    WebSocket kept;
    TestServer server([&](Request, Reply reply) {
        auto made = reply.websocket({[](std::string, bool) {}, [&](int code, std::string) { closing.code = code; }},
                                    {.message_max = 1000});
        const std::lock_guard lock(mutex);
        kept = *made;
    });
    auto socket = server.client().websocket("/");
    REQUIRE(socket.has_value());
    CHECK(socket->send(std::string(1001, 'x'), true).has_value());
    CHECK(eventually([&] { return !socket->read(milliseconds{50}); }));
    CHECK(socket->close_code() == 1009);
    CHECK(eventually([&] { return closing.code == 1009; }));
}

TEST_CASE("a WebSocket peer that does not read is cut off; one that is silent too") {
    Closing closing;
    std::mutex mutex;
    WebSocket kept;
    TestServer server([&](Request request, Reply reply) {
        auto made = reply.websocket(
            {[](std::string, bool) {}, [&](int code, std::string) { closing.code = code; }},
            {.queue_max = 1 << 20, .ping_every = milliseconds{request.path == "/silent" ? 20 : 20'000}});
        const std::lock_guard lock(mutex);
        kept = *made;
    });
    RawSocket slow(server.port);
    slow.send(upgrade_of("/slow"));
    CHECK(slow.read_until("\r\n\r\n").find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") != std::string::npos);
    CHECK(eventually([&] {
        const std::lock_guard lock(mutex);
        return kept.is_open();
    }));
    CHECK(eventually([&] { return !kept.send_binary(std::string(100'000, 'b')); }));
    CHECK(eventually([&] { return closing.code == 1008; }));
    RawSocket silent(server.port);  // it answers no ping
    silent.send(upgrade_of("/silent"));
    CHECK(eventually([&] { return closing.code == 1006; }));
}

TEST_CASE("a WebSocket peer that speaks and is spoken to is not asked whether it is there") {
    constexpr milliseconds kEvery{100};
    std::atomic<int> heard = 0;
    WebSocket ours;  // of the loop's thread
    TestServer server([&](Request, Reply reply) {
        WebSocketHandlers handlers;
        handlers.on_open = [&](WebSocket opened) { ours = std::move(opened); };
        handlers.on_message = [&](std::string, bool) {
            ++heard;
            ours.send_text("heard");
        };
        CHECK(reply.websocket(std::move(handlers), {.ping_every = kEvery}).has_value());
    });
    RawSocket speaker(server.port);
    speaker.send(upgrade_of("/"));
    speaker.read_until("\r\n\r\n");
    const BootTime begin = boot_now();
    while (heard < 100) {
        speaker.send(std::string("\x81\x82\0\0\0\0hi", 8));
        std::this_thread::sleep_for(milliseconds{10});
    }
    const auto intervals = (boot_now() - begin) / kEvery;
    server.loop.call([&] { ours.send_text("the end"); });
    const std::string got = speaker.read_until("the end");
    CHECK(std::ranges::count(got, '\x89') <= intervals / 2);
    server.loop.call([&] { ours = {}; });
}

TEST_CASE("a client's WebSocket handed over to a loop goes on there") {
    WebSocket theirs;  // of the loop's thread
    TestServer server([&](Request, Reply reply) {
        WebSocketHandlers handlers;
        handlers.on_open = [&](WebSocket opened) { theirs = std::move(opened); };
        handlers.on_message = [&](std::string data, bool) { theirs.send_text("to " + data); };
        CHECK(reply.websocket(std::move(handlers)).has_value());
    });
    auto socket = server.client().websocket("/");
    REQUIRE(socket.has_value());
    Closing closing;
    WebSocket ours = socket->hand_over(server.loop, {[&](std::string data, bool) {
                                                         const std::lock_guard lock(closing.mutex);
                                                         closing.messages.push_back(std::move(data));
                                                     },
                                                     [&](int code, std::string) { closing.code = code; }});
    for (int i = 0; i < 50; ++i) CHECK(ours.send_text(std::to_string(i)));
    CHECK(eventually([&] {
        const std::lock_guard lock(closing.mutex);
        return closing.messages.size() == 50;
    }));
    CHECK(closing.messages[49] == "to 49");
    ours.close();
    CHECK(eventually([&] { return closing.code == 1000; }));
    server.loop.call([&] { theirs = {}; });
}

TEST_CASE("an upload of 64 MiB streams through with little memory, with and without a known length") {
    const TempDirectory directory;
    constexpr std::int64_t kSize = 64 << 20;
    const std::string path = file_of(directory, kSize);
    ServerOptions options;
    options.is_streamed = [](std::string_view method, std::string_view p) { return method == "PUT" && p == "/image"; };
    std::atomic<std::size_t> largest = 0;
    TestServer server(
        [&](Request request, Reply reply) {
            REQUIRE(request.body_stream != nullptr);
            std::int64_t got = 0;
            for (;;) {
                auto piece = request.body_stream->read();
                if (!piece) return reply.send(problem(400, "broken", piece.error().message));
                if (piece->empty()) break;
                largest = std::max(largest.load(), piece->size());
                got += static_cast<std::int64_t>(piece->size());
            }
            reply.send({200, {}, std::to_string(got) + (request.body_stream->length() ? " sized" : " chunked")});
        },
        options);
    Client client = server.client();
    for (const bool sized : {true, false}) {
        const Fd fd(open(path.c_str(), O_RDONLY));
        std::int64_t progress = 0;
        const auto answer = client.upload("PUT", "/image", {}, fd.get(), sized ? std::optional(kSize) : std::nullopt,
                                          [&](std::int64_t sent) { return progress = sent, true; });
        REQUIRE(answer.has_value());
        CHECK(answer->body == std::to_string(kSize) + (sized ? " sized" : " chunked"));
        CHECK(progress == kSize);
    }
    CHECK(largest <= 65536);
    CHECK(client.request("PUT", "/image", {}, "")->body == "0 sized");
}

TEST_CASE("a worker that does not read an upload stops its client") {
    ServerOptions options;
    options.is_streamed = [](std::string_view, std::string_view) { return true; };
    std::mutex mutex;
    std::condition_variable told;
    bool go = false;
    TestServer server(
        [&](Request request, Reply reply) {
            request.body_stream->read();
            std::unique_lock lock(mutex);
            told.wait(lock, [&] { return go; });
            reply.send({200, {}, "enough"});
        },
        options);
    RawSocket raw(server.port);
    raw.send("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
    const int flags = fcntl(raw.fd.get(), F_GETFL);
    fcntl(raw.fd.get(), F_SETFL, flags | O_NONBLOCK);
    std::size_t sent = 0;
    const std::string piece(65536, 'p');
    for (int dry = 0; dry < 50; poll(nullptr, 0, 4)) {  // until nothing was taken for a while
        const ssize_t n = ::send(raw.fd.get(), piece.data(), piece.size(), MSG_NOSIGNAL);
        if (n > 0) sent += static_cast<std::size_t>(n);
        dry = n > 0 ? 0 : dry + 1;
        REQUIRE(sent < 64 << 20);
    }
    {
        const std::lock_guard lock(mutex);
        go = true;
    }
    told.notify_all();
    CHECK(raw.read_to_end().find("enough") != std::string::npos);
}

TEST_CASE("an upload that is broken off, garbled or stalls is told as an error") {
    ServerOptions options;
    options.is_streamed = [](std::string_view, std::string_view) { return true; };
    options.upload_stall_time = milliseconds{100};
    std::mutex mutex;
    std::vector<std::string> errors;
    TestServer server(
        [&](Request request, Reply reply) {
            for (;;) {
                auto piece = request.body_stream->read();
                if (piece && !piece->empty()) continue;
                const std::lock_guard lock(mutex);
                errors.push_back(piece ? "whole" : piece.error().reason + ": " + piece.error().message);
                return reply.send(problem(400, "upload-aborted", errors.back()));
            }
        },
        options);
    {
        RawSocket gone(server.port);
        gone.send("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf");
    }
    RawSocket garbled(server.port), stalled(server.port);
    garbled.send("PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcdXX");
    CHECK(garbled.read_to_end().find("longer than it says") != std::string::npos);
    stalled.send("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf");
    CHECK(stalled.read_to_end().find("nothing came for 0.1 s") != std::string::npos);
    CHECK(eventually([&] {
        const std::lock_guard lock(mutex);
        return errors.size() == 3;
    }));
    for (const auto& e : errors) CHECK(e.starts_with("upload-aborted: "));
}

TEST_CASE("an upload is refused before its body is sent") {
    ServerOptions options;
    options.is_streamed = [](std::string_view, std::string_view) { return true; };
    TestServer server([](Request, Reply reply) { reply.send(problem(403, "forbidden", "not yours")); }, options);
    RawSocket raw(server.port);
    raw.send("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n");
    const std::string got = raw.read_to_end();
    CHECK(got.starts_with("HTTP/1.1 403 "));
    CHECK(got.find("100 Continue") == std::string::npos);
}
