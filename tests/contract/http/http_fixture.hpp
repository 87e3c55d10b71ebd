// A server on loopback with its loop and workers, a raw socket beside the client, and a handler with a few routes.
#pragma once
#include <arpa/inet.h>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <netinet/in.h>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include <doctest/doctest.h>

#include "common/base/file.hpp"
#include "common/http/client.hpp"
#include "common/http/server.hpp"
#include "common/http/tls.hpp"
#include "common/loop/loop.hpp"
#include "common/loop/workers.hpp"

namespace axle::http {

// A directory that goes with the test.
struct TempDirectory {
    TempDirectory() {
        char name[] = "/tmp/axle-http-XXXXXX";
        REQUIRE(mkdtemp(name) != nullptr);
        path = name;
    }
    ~TempDirectory() { std::filesystem::remove_all(path); }
    std::string path;
};

// Waits for what another thread brings about; false: not within 20 s.
template <class Test>
bool eventually(Test test) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!test()) {
        if (std::chrono::steady_clock::now() > end) return false;
        poll(nullptr, 0, 2);
    }
    return true;
}

struct TestServer {
    explicit TestServer(Handler handler, ServerOptions options = {}, WorkersOptions pool = {})
        : workers("test", pool), server(loop, workers, std::move(handler), std::move(options)) {
        const auto bound = server.listen_plain("127.0.0.1", 0);
        REQUIRE(bound.has_value());
        port = *bound;
        thread = std::thread([this] { loop.run(); });
    }
    ~TestServer() {
        server.stop(milliseconds{0});
        loop.stop();
        thread.join();
        workers.stop();
    }
    Client client(milliseconds timeout = milliseconds{20'000}) const {
        ClientOptions options;
        options.endpoint = *Endpoint::parse("http://127.0.0.1:" + std::to_string(port));
        options.timeout = timeout;
        return Client(options);
    }

    Loop loop{"test"};
    Workers workers;
    Server server;
    int port = 0;
    std::thread thread;
};

// Bytes as they are.
struct RawSocket {
    // window: bytes that are taken without being read; from: an address of the loopback other than 127.0.0.1.
    explicit RawSocket(int port, int window = 0, const char* from = nullptr)
        : fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        if (window > 0) setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &window, sizeof window);
        sockaddr_in to{};
        to.sin_family = AF_INET;
        if (from != nullptr) {
            inet_pton(AF_INET, from, &to.sin_addr);
            REQUIRE(bind(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
        }
        to.sin_port = htons(static_cast<std::uint16_t>(port));
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
    }
    void send(std::string_view bytes) const { REQUIRE(try_send(bytes)); }
    bool try_send(std::string_view bytes) const {  // false: the server has cut it off
        while (!bytes.empty()) {
            const ssize_t sent = ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent <= 0) return false;
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        }
        return true;
    }
    bool gets(std::string_view text) { return read_until(text).find(text) != std::string::npos; }
    // Until the text has come, or the end; at most 20 s.
    std::string read_until(std::string_view text) {
        while (text.empty() || got.find(text) == std::string::npos) {
            pollfd watched{fd.get(), POLLIN, 0};
            if (poll(&watched, 1, 20'000) != 1) return got + "<<time-out>>";
            char bytes[65536];
            const ssize_t n = recv(fd.get(), bytes, sizeof bytes, 0);
            if (n <= 0) {
                ended = true;
                break;
            }
            got.append(bytes, static_cast<std::size_t>(n));
        }
        return got;
    }
    std::string read_to_end() { return read_until(""); }

    Fd fd;
    std::string got;
    bool ended = false;
};

inline std::size_t count(std::string_view text, std::string_view part) {
    std::size_t n = 0;
    for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++n;
    return n;
}

inline void echo(const Request& request, Reply reply) {
    reply.send({200, {{"Content-Type", "text/plain"}}, request.method + " " + request.path + " " + request.body});
}

}  // namespace axle::http
