// An orchestrator with its door for agents on a TLS port, and agents made of a certificate and a raw WebSocket: they
// may say whatever they like.
#pragma once
#include <nlohmann/json.hpp>

#include "agent/link/identity.hpp"
#include "common/base/digest.hpp"
#include "common/base/file.hpp"
#include "common/base/now.hpp"
#include "common/http/tls.hpp"
#include "common/link/join_string.hpp"
#include "common/link/succession.hpp"
#include "common/link/ws_channel.hpp"
#include "orchestrator/hosts/door.hpp"
#include "tests/support/cloud_server.hpp"

namespace axle::test {

using nlohmann::json;

inline HostId host_number(int number) {
    HostId id;
    id.bytes = {1, 0x91, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(number)};
    return id;
}

// An authority that was made then has a year and a half left, and one of then has ended.
inline const WallTime kEighthYear{wall_now().ms - INT64_C(3'100) * 24 * 3'600'000};
inline const WallTime kEleventhYear{wall_now().ms - INT64_C(4'000) * 24 * 3'600'000};

class DoorServer {
  public:
    // authority_from: when it was made, and nobody has looked after it since.
    explicit DoorServer(DoorOptions options = {}, WallTime authority_from = wall_now())
        : cloud({.seal_key = "seal", .images = folder.path()}) {
        folders = {folder / "identity", folder / "tls"};
        REQUIRE(make_directories(folders.identity, 0700));
        REQUIRE(make_directories(folders.tls, 0700));
        authority.emplace(*Authority::open(folders, authority_from));
        const auto files = *authority->server_certificate({}, wall_now());
        door = std::make_unique<AgentDoor>(
            AgentDoor::Seams{cloud.orchestrator(), cloud.core(), io, workers, *authority, cluster()},
            std::move(options));
        server = std::make_unique<http::Server>(io, workers, [this](http::Request request, http::Reply reply) {
            if (request.path == kAuthoritiesPath) return reply.send({200, {}, authority->trusted(wall_now())});
            door->handle(std::move(request), std::move(reply));
        });
        port = *server->listen_tls("127.0.0.1", 0, {files.certificate_path, files.key_path, files.authority_path});
        thread = std::thread([this] { io.run(); });  // last: before it runs, the loop is this thread's
    }
    ~DoorServer() {
        door->stop();
        server->stop(milliseconds{500});
        workers.stop();
        // What the ends of connections have changed is told to the core while it is there.
        cloud.core().call([] {});
        const BootTime limit = boot_now() + seconds{20};
        while (cloud.store().queued() > 0 && boot_now() < limit) std::this_thread::yield();
        cloud.core().call([] {});
        cloud.stop();
        io.stop();
        thread.join();
    }

    // As the orchestrator does now and then.
    void look_after_authority() {
        REQUIRE(authority->renew(wall_now()));
        REQUIRE(authority->server_certificate({}, wall_now()).has_value());
        REQUIRE(server->reload_certificates());
    }
    std::string cluster() { return cloud.store().state().cluster.str(); }
    std::string endpoint() const { return "https://127.0.0.1:" + std::to_string(port); }
    JoinString join_string(const std::string& secret) {
        return {{endpoint()}, authority->fingerprint(wall_now()), cluster(), secret};
    }
    json request(const char* method, const std::string& target, const json& body = nullptr, int expected = 0) {
        auto client = cloud.client();
        const auto answer =
            client.request(method, target, {{"Content-Type", "application/json"}}, body.is_null() ? "" : body.dump());
        REQUIRE(answer.has_value());
        if (expected != 0) CHECK(answer->status == expected);
        return json::parse(answer->body, nullptr, false);
    }
    std::string token(const std::string& name, json spec = json::object()) {
        const json made = request("POST", "/v1/jointokens", {{"name", name}, {"spec", std::move(spec)}}, 201);
        return made.value("secret", "");
    }
    Result<HostIdentity> join(const std::string& secret, int number) {
        return join_cluster(join_string(secret), host_number(number), "h" + std::to_string(number), std::nullopt,
                            folder / ("pending" + std::to_string(number)));
    }
    HostIdentity joined(int number) {
        auto identity = join(token("t" + std::to_string(++tokens)), number);
        if (!identity) MESSAGE(identity.error().message);
        REQUIRE(identity.has_value());
        return *identity;
    }
    json host(const std::string& name) { return request("GET", "/v1/hosts/" + name); }

    TempDir folder;
    CloudServer cloud;
    AuthorityFolders folders;
    std::optional<Authority> authority;
    Loop io{"io"};
    Workers workers{"door", {.threads = 2}};
    std::unique_ptr<AgentDoor> door;
    std::unique_ptr<http::Server> server;
    std::thread thread;
    int port = 0, tokens = 0;
};

// An agent that says what the test wants.
class RawAgent {
  public:
    explicit RawAgent(DoorServer& server, HostIdentity who) : identity(std::move(who)) {
        http::Client client(client_options(identity, *http::Endpoint::parse(server.endpoint())));
        auto opened =
            client.websocket(kChannelPath, {}, {.protocol = kChannelProtocol, .message_max = kMessageToAgentMax});
        if (opened)
            socket.emplace(std::move(*opened));
        else
            refused = opened.error().message;
    }
    void say(const Message& message) { say_text(encode(message)); }
    void say_text(const std::string& text) {
        REQUIRE(socket.has_value());
        REQUIRE(socket->send(text, false).has_value());
    }
    Hello hello(std::uint64_t connection = 1) const {
        Hello out{.version = "test", .connection = connection};
        out.host = identity.host;
        out.boot_id = "boot";
        out.facts.hostname = "h";
        out.facts.cpus = 8;
        out.facts.memory = 64 * kGiB;
        out.facts.accelerator = Accelerator::kvm;
        out.facts.guest_machine = "pc-q35-7.2";
        out.facts.guest_cpu_model = "qemu64";
        return out;
    }
    // The next message of this type; nothing within 20 s: the test fails.
    template <typename T>
    T expect() {
        for (int i = 0; i < 400; ++i) {
            auto got = socket->read(milliseconds{50});
            if (!got) FAIL("the connection ended: " << got.error().message);
            if (!*got) continue;
            heard.push_back((*got)->data);
            auto message = decode((*got)->data);
            REQUIRE((message && *message));
            if (auto* wanted = std::get_if<T>(&**message)) return std::move(*wanted);
        }
        FAIL("no such message came");
        return {};
    }
    // Why the other end closed.
    std::string reason() {
        if (!socket) return refused;
        std::string why;
        for (int i = 0; i < 400; ++i) {
            auto got = socket->read(milliseconds{50});
            if (!got) return why.empty() ? got.error().message : why;
            if (!*got) continue;
            const auto message = decode((*got)->data);
            if (message && *message && std::holds_alternative<Bye>(**message)) why = std::get<Bye>(**message).why;
        }
        return "it stays open";
    }

    HostIdentity identity;
    std::optional<http::WebSocketClient> socket;
    std::string refused;
    std::vector<std::string> heard;  // of what was waited for, and before it
};

// Waits for what other threads bring about.
template <typename Test>
bool eventually(Test test) {
    const BootTime end = boot_now() + seconds{20};
    while (!test()) {
        if (boot_now() > end) return false;
        std::this_thread::yield();
    }
    return true;
}

}  // namespace axle::test
