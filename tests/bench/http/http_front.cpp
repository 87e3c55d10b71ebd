// Requests a second through the HTTP front at 1, 8, 64 and 512 connections: a small GET, answered by the handler at
// once, and one answered later from another thread. Load by threads of this process, so the figures are a lower bound.
// usage: bench_http [seconds a run]
#include <algorithm>
#include <arpa/inet.h>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <netinet/in.h>
#include <poll.h>
#include <string>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <thread>
#include <vector>

#include "common/base/ensure.hpp"
#include "common/base/file.hpp"
#include "common/http/server.hpp"
#include "common/loop/loop.hpp"
#include "common/loop/workers.hpp"

using namespace axle;
using namespace axle::http;
using SteadyClock = std::chrono::steady_clock;

namespace {

struct Tally {
    std::uint64_t requests = 0;
    std::vector<double> times_ms;
};

Fd connect_to(int port) {
    Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ENSURE(connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0, "the server listens");
    return fd;
}

struct Client {
    Fd fd;
    SteadyClock::time_point sent;
};

void ask(Client& client, const std::string& wire) {
    client.sent = SteadyClock::now();
    ENSURE(send(client.fd.get(), wire.data(), wire.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(wire.size()),
           "a small request goes out whole");
}

// One thread keeps one request under way on each of its connections.
Tally load(int port, int connections, const std::string& wire, SteadyClock::time_point end) {
    const Fd epoll(epoll_create1(EPOLL_CLOEXEC));
    std::vector<Client> clients(static_cast<std::size_t>(connections));
    for (auto& client : clients) {
        client.fd = connect_to(port);
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.ptr = &client;
        epoll_ctl(epoll.get(), EPOLL_CTL_ADD, client.fd.get(), &event);
        ask(client, wire);
    }
    Tally tally;
    char bytes[4096];
    while (SteadyClock::now() < end) {
        epoll_event events[64];
        const int ready = epoll_wait(epoll.get(), events, 64, 100);
        for (int i = 0; i < ready; ++i) {
            auto& client = *static_cast<Client*>(events[i].data.ptr);
            ENSURE(recv(client.fd.get(), bytes, sizeof bytes, 0) > 0, "the server answers");  // small: it comes whole
            ++tally.requests;
            tally.times_ms.push_back(
                std::chrono::duration<double, std::milli>(SteadyClock::now() - client.sent).count());
            ask(client, wire);
        }
    }
    return tally;
}

void run(int port, const char* name, const char* path, int connections, double seconds) {
    const std::string wire =
        std::string("GET ") + path + " HTTP/1.1\r\nHost: bench\r\nAccept: application/json\r\n\r\n";
    const auto end =
        SteadyClock::now() + std::chrono::duration_cast<SteadyClock::duration>(std::chrono::duration<double>(seconds));
    const int threads = connections > 1 ? 2 : 1;
    std::vector<Tally> tallies(static_cast<std::size_t>(threads));
    std::vector<std::thread> runners;
    for (auto& tally : tallies) runners.emplace_back([&] { tally = load(port, connections / threads, wire, end); });
    for (auto& runner : runners) runner.join();
    Tally all;
    for (auto& tally : tallies) {
        all.requests += tally.requests;
        all.times_ms.insert(all.times_ms.end(), tally.times_ms.begin(), tally.times_ms.end());
    }
    std::ranges::sort(all.times_ms);
    const auto at = [&](double share) {
        return all.times_ms.empty()
                   ? 0.
                   : all.times_ms[static_cast<std::size_t>(share * static_cast<double>(all.times_ms.size() - 1))];
    };
    std::printf("%-8s %4d connections: %8.0f requests/s  p50 %.2f ms  p99 %.2f ms\n", name, connections,
                static_cast<double>(all.requests) / seconds, at(.5), at(.99));
    std::printf("figure: http-%s-%d %.0f 1/s\n", name, connections, static_cast<double>(all.requests) / seconds);
}

}  // namespace

int main(int argc, char** argv) {
    const double seconds = argc > 1 ? std::atof(argv[1]) : 2;
    Loop connections("connections"), core("core");
    Workers workers("bench", {.threads = 4});
    Server server(connections, workers, [&](Request request, Reply reply) {
        Response response{200, {{"Content-Type", "application/json"}}, "{\"path\":\"" + request.path + "\"}\n"};
        if (request.path == "/now") return reply.send(std::move(response));
        core.post([reply = std::make_shared<Reply>(std::move(reply)), response = std::move(response)] {
            reply->send(response);
        });
    });
    const auto port = server.listen_plain("127.0.0.1", 0);
    ENSURE(port.has_value(), "loopback has a free port");
    std::thread io([&] { connections.run(); }), thinking([&] { core.run(); });
    for (const int n : {1, 8, 64, 512}) run(*port, "at once", "/now", n, seconds);
    for (const int n : {1, 8, 64, 512}) run(*port, "later", "/later", n, seconds);
    server.stop(milliseconds{1000});
    workers.stop();
    core.stop();
    connections.stop();
    thinking.join();
    io.join();
}
