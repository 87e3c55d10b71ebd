// Two ends of a channel, joined in the process or over mutual TLS; both executors are run by the test.
#pragma once
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "agent/link/identity.hpp"
#include "agent/link/in_process_link.hpp"
#include "common/base/file.hpp"
#include "common/base/now.hpp"
#include "common/http/server.hpp"
#include "common/http/tls.hpp"
#include "common/link/ws_channel.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/waiting_executor.hpp"

namespace axle::test {

struct Ears {
    explicit Ears(Channel& channel) {
        channel.on_message([this](Message message) { heard.push_back(std::move(message)); });
        channel.on_closed([this](std::string why) { closed.push_back(std::move(why)); });
    }
    std::vector<Message> heard;
    std::vector<std::string> closed;
};

struct Room {
    WaitingExecutor agent_core, orchestrator_core;
    std::unique_ptr<Channel> agent, orchestrator;

    // Runs both cores until it is so; false: not within 30 s.
    bool until(const std::function<bool()>& done) {
        const BootTime end = boot_now() + seconds{30};
        while (!done()) {
            if (boot_now() > end) return false;
            orchestrator_core.run_until(done, milliseconds{2});
            agent_core.run_until(done, milliseconds{2});
        }
        return true;
    }
    void settle() {  // what is under way, as far as time tells
        (void)agent_core.run_until([] { return false; }, milliseconds{20});
        (void)orchestrator_core.run_until([] { return false; }, milliseconds{20});
    }
};

struct InProcessRoom : Room {
    InProcessRoom() {
        auto ends = join_in_process(agent_core, orchestrator_core);
        agent = std::move(ends.agent);
        orchestrator = std::move(ends.orchestrator);
    }
    static constexpr std::size_t kTooMany = kMaxUndelivered + 1;
};

// A server with a port for agents; the test takes each channel as it comes.
struct TlsServer {
    explicit TlsServer(WaitingExecutor& orchestrator_core, WsChannelOptions wished = {},
                       http::WebSocketOptions socket_options = {.message_max = kMessageToOrchestratorMax})
        : core(orchestrator_core), options(std::move(wished)), socket_options_(std::move(socket_options)) {
        authority = *http::make_authority("cloud", wall_now());
        const auto own = *http::issue_certificate(authority, {.name = "axle", .uris = {kOrchestratorUri}}, wall_now());
        REQUIRE(http::write_key_pair(own, folder / "server.pem", folder / "server.key"));
        REQUIRE(write_file_durably(folder / "ca.pem", authority.certificate));
        server = std::make_unique<http::Server>(
            io, workers, [this](const http::Request& request, http::Reply reply) { take(request, std::move(reply)); });
        port = *server->listen_tls("127.0.0.1", 0, {folder / "server.pem", folder / "server.key", folder / "ca.pem"});
        thread = std::thread([this] { io.run(); });  // last: before it runs, the loop is this thread's
    }
    ~TlsServer() {
        channels.clear();
        server->stop(milliseconds{0});
        core.run();  // what it did not come to holds connections
        channels.clear();
        workers.stop();
        io.stop();
        thread.join();
    }

    // A host with a certificate of this authority (or of another), as it would be after joining.
    HostIdentity identity(std::int64_t days = 30, WallTime issued = wall_now()) const {
        HostIdentity out{.cluster = "c", .endpoints = {endpoint()}, .authority = authority.certificate};
        out.host.bytes[15] = 7;
        const auto pair = *http::issue_certificate(authority,
                                                   {.name = out.host.str(),
                                                    .uris = {kHostUriPrefix + out.host.str()},
                                                    .server = true,
                                                    .client = true,
                                                    .days = days},
                                                   issued);
        out.certificate = pair.certificate;
        out.key = pair.key;
        return out;
    }
    std::string endpoint() const { return "https://127.0.0.1:" + std::to_string(port); }
    http::WebSocketClient dial(const http::WebSocketOptions& wish = {.message_max = kMessageToAgentMax}) const {
        http::Client client(client_options(identity(), *http::Endpoint::parse(endpoint())));
        auto socket = client.websocket(kChannelPath, {}, wish);
        REQUIRE(socket.has_value());
        return std::move(*socket);
    }

    WaitingExecutor& core;
    TempDir folder;
    Loop io{"io"};
    Workers workers{"work", {.threads = 2}};
    http::KeyPair authority;
    WsChannelOptions options;
    int port = 0;
    std::deque<std::unique_ptr<Channel>> channels;
    std::vector<std::string> peers;  // of each, by its certificate

  private:
    // On a worker: the client waits for the handshake on the thread that runs the core. Nothing is said before the test
    // has the channel.
    void take(const http::Request& request, http::Reply reply) {
        auto state = make_ws_state(io, workers, core, options);
        auto socket = reply.websocket(handlers_of(state), socket_options_);
        if (!socket) return;
        auto made = std::make_shared<std::unique_ptr<Channel>>(open_ws_channel(state, std::move(*socket)));
        core.post([this, made, name = request.peer->certificate_name] {
            peers.push_back(name);
            channels.push_back(std::move(*made));
        });
    }

    const http::WebSocketOptions socket_options_;
    std::unique_ptr<http::Server> server;
    std::thread thread;
};

struct TlsRoom : Room {
    TlsRoom() {
        auto socket = server.dial();
        REQUIRE(until([&] { return !server.channels.empty(); }));
        orchestrator = std::move(server.channels.front());
        server.channels.pop_front();
        auto state = make_ws_state(server.io, server.workers, agent_core);
        agent = open_ws_channel(state, socket.hand_over(server.io, handlers_of(state)));
    }
    ~TlsRoom() {
        agent.reset();
        orchestrator.reset();
    }
    static constexpr std::size_t kTooMany = 2'000'000;
    TlsServer server{orchestrator_core};
};

}  // namespace axle::test
