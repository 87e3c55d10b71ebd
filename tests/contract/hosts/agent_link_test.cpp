// The agent's own link at the orchestrator's door: it dials, comes back, says why it can't, and renews its certificate.
#include <doctest/doctest.h>

#include "agent/link/orchestrator_link.hpp"
#include "common/loop/random.hpp"
#include "tests/contract/hosts/door_fixture.hpp"
#include "tests/support/caught_log.hpp"
#include "tests/support/waiting_executor.hpp"

using namespace axle;
using namespace axle::test;

namespace {

struct Agent {
    Agent(DoorServer& server, HostIdentity identity, const std::function<void(Hello&)>& change = {})
        : path(server.folder / "identity.json") {
        hello.host = identity.host;
        hello.facts.hostname = "h1";
        if (change) change(hello);
        REQUIRE(write_host_identity(path, identity).has_value());
        thread = std::thread([this] { io.run(); });
        link = std::make_unique<OrchestratorLink>(
            OrchestratorLink::Seams{.io = io,
                                    .workers = workers,
                                    .core = core,
                                    .random = random,
                                    .connected = [this](std::unique_ptr<Channel> made) { take(std::move(made)); },
                                    .local_address = [this](const std::string& address) { local = address; },
                                    .endpoints =
                                        [this](const std::vector<std::string>& told) {
                                            const std::lock_guard lock(mutex);
                                            endpoints = told;
                                        }},
            std::move(identity), path, LinkTimes{.first_retry = milliseconds{20}, .retry_max = milliseconds{100}});
        link->start();
    }
    ~Agent() {
        link->stop();
        core.run();
        channel.reset();
        eventually([&] { return !link->state().connected; });
        workers.stop();
        io.stop();
        thread.join();
    }
    void take(std::unique_ptr<Channel> made) {
        ++connections;
        channel = std::move(made);
        channel->on_closed([this](const std::string& why) { closed = why; });
        hello.connection = connections;
        channel->send(hello);
    }
    std::vector<std::string> looks_at() {
        const std::lock_guard lock(mutex);
        return endpoints;
    }
    bool until(const std::function<bool()>& done) { return core.run_until(done); }

    const std::string path;
    Hello hello;
    WaitingExecutor core;
    SystemRandom random;
    Loop io{"agent io"};
    Workers workers{"agent link", {.threads = 1}};
    std::thread thread;
    std::unique_ptr<OrchestratorLink> link;
    std::unique_ptr<Channel> channel;
    std::uint64_t connections = 0;
    std::string closed, local;
    std::mutex mutex;
    std::vector<std::string> endpoints;  // guarded
};

HostIdentity aged(const DoorServer& server, HostIdentity identity, std::int64_t days_ago) {
    const auto pair = *http::issue_certificate(
        *http::read_key_pair(server.folders.identity + "/ca.pem", server.folders.identity + "/ca.key"),
        {.name = identity.host.str(),
         .uris = {kHostUriPrefix + identity.host.str()},
         .server = true,
         .client = true,
         .days = kHostCertificateDays},
        WallTime{wall_now().ms - days_ago * 24 * 3'600'000});
    identity.certificate = pair.certificate;
    identity.key = pair.key;
    return identity;
}

}  // namespace

TEST_CASE("an agent connects, comes back when it is cut off, and knows its own address") {
    DoorServer server;
    Agent agent(server, server.joined(1));
    REQUIRE(agent.until([&] { return agent.link->state().host == "h1"; }));
    CHECK(agent.local == "127.0.0.1");
    CHECK(agent.link->state().connected);
    agent.channel->close("a test");
    REQUIRE(agent.until([&] { return agent.connections == 2 && agent.link->state().connected; }));
    CHECK(agent.closed == "a test");
}

TEST_CASE("where the orchestrator says that it is found is kept before it is told, and what answers stays the first") {
    const std::string next = "https://192.0.2.9:7443";
    DoorServer server({.endpoints = {next, "https://192.0.2.10:7443"}});
    HostIdentity identity = server.joined(1);
    identity.endpoints = {"https://127.0.0.1:1", server.endpoint()};
    Agent agent(server, identity);
    const std::vector<std::string> wanted{server.endpoint(), next, "https://192.0.2.10:7443"};
    REQUIRE(agent.until([&] { return agent.looks_at() == wanted; }));
    CHECK((*read_host_identity(agent.path))->endpoints == wanted);
    CHECK(agent.link->state().endpoint == server.endpoint());
    agent.channel->close("again");
    REQUIRE(agent.until([&] { return agent.connections == 2; }));
    CHECK((*read_host_identity(agent.path))->endpoints == wanted);
}

TEST_CASE("a place that a person named is never given up, whoever answers, and nothing told changes nothing") {
    const HostIdentity pinned{.endpoints = {"https://127.0.0.1:7443"}, .pinned = "https://127.0.0.1:7443"};
    const std::vector<std::string> told{"https://a:7443", "https://b:7443"};
    CHECK(order_endpoints(pinned, "https://b:7443", told) ==
          std::vector<std::string>{"https://127.0.0.1:7443", "https://b:7443", "https://a:7443"});
    CHECK(order_endpoints(pinned, "https://127.0.0.1:7443", told) ==
          std::vector<std::string>{"https://127.0.0.1:7443", "https://a:7443", "https://b:7443"});
    CHECK(order_endpoints(pinned, "https://b:7443", {}) == pinned.endpoints);
}

TEST_CASE("a certificate in its second half is renewed: written down, and shown on the next connection") {
    DoorServer server;
    // A host that joined long ago.
    const HostIdentity fresh = server.joined(1);
    server.cloud.core().call([&] {
        Pipeline& pipeline = server.cloud.orchestrator().pipeline();
        Transaction tx = pipeline.begin();
        tx.update_status<Host>(fresh.host, [](Host& h) { h.status.enrolled = 0; });
        pipeline.commit(tx);
    });
    const HostIdentity old = aged(server, fresh, 20);
    Agent agent(server, old);
    REQUIRE(agent.until([&] { return agent.link->identity().certificate != old.certificate; }));
    const auto kept = read_host_identity(agent.path);
    REQUIRE((kept.has_value() && kept->has_value()));
    CHECK((*kept)->certificate == agent.link->identity().certificate);
    CHECK((*kept)->key != old.key);
    CHECK(http::check_key_pair({(*kept)->certificate, (*kept)->key}).has_value());
    CHECK(http::read_certificate((*kept)->certificate)->not_after > http::read_certificate(old.certificate)->not_after);
    agent.channel->close("again");
    REQUIRE(agent.until([&] { return agent.connections == 2; }));
}

TEST_CASE("an agent that is refused goes on asking, and its state says why") {
    DoorServer server;
    HostIdentity ended = aged(server, server.joined(1), 400);
    const CaughtLog log;
    Agent agent(server, ended);
    REQUIRE(agent.until([&] { return agent.link->state().last_error.find("it ended at") != std::string::npos; }));
    CHECK(agent.link->state().last_error.find("axle host token create --host") != std::string::npos);
    CHECK_FALSE(agent.link->state().connected);
    CHECK(agent.connections == 0);
    CHECK(log.troubles_with("no connection to the orchestrator at " + server.endpoint()) == 1);  // not at each try
}

TEST_CASE("an agent whose hello is refused has the reason in its state until it is taken") {
    DoorServer server;
    HostIdentity identity = server.joined(1);
    Agent agent(server, identity, [](Hello& hello) { hello.cluster = "other"; });
    const auto last_error = [&] { return agent.link->state().last_error; };
    REQUIRE(agent.until([&] { return last_error().find("belongs to cluster other") != std::string::npos; }));
    CHECK(agent.until([&] { return agent.closed.find("belongs to cluster other") != std::string::npos; }));
    agent.hello.cluster.clear();
    REQUIRE(agent.until([&] { return agent.link->state().host == "h1"; }));
    CHECK(last_error().empty());
}

TEST_CASE("an agent that meets a server of another authority says so, and in its log") {
    DoorServer server, other;
    HostIdentity identity = server.joined(1);
    identity.endpoints = {other.endpoint()};
    const CaughtLog log;
    Agent agent(server, identity);
    REQUIRE(agent.until([&] { return agent.link->state().last_error.find("does not pass") != std::string::npos; }));
    CHECK(log.troubles_with("no connection to the orchestrator at " + other.endpoint()) == 1);
}

TEST_CASE("an agent that trusts the authority before only connects to the next one's server, and comes to know it") {
    DoorServer server({}, kEighthYear);
    const HostIdentity early = server.joined(1);
    REQUIRE(http::certificates_in(early.authority)->size() == 1);
    server.look_after_authority();
    Agent agent(server, early);
    REQUIRE(agent.until([&] { return agent.link->identity().authority != early.authority; }));
    CHECK(agent.link->identity().authority == server.authority->trusted(wall_now()));
    CHECK((*read_host_identity(agent.path))->authority == agent.link->identity().authority);
    CHECK(agent.link->identity().certificate == early.certificate);
    CHECK(agent.link->state().connected);
}

TEST_CASE("an agent whose certificate the next authority signed passes at a server that knows the one before only") {
    DoorServer server({}, kEighthYear);
    HostIdentity host = server.joined(1);
    AuthorityFolders elsewhere{server.folder / "next", server.folder / "next-tls"};
    for (const std::string& folder : {elsewhere.identity, elsewhere.tls}) REQUIRE(make_directories(folder, 0700));
    for (const char* name : {"/ca.pem", "/ca.key"})
        REQUIRE(write_file_durably(elsewhere.identity + name, *read_file(server.folders.identity + name)));
    const auto next = *Authority::open(elsewhere, wall_now());
    const auto request = *http::make_signing_request("h1");
    host.certificate = *next.sign_host(request.request, host.host, wall_now());
    host.key = request.key;
    RawAgent agent(server, host);
    agent.say(agent.hello());
    CHECK(agent.expect<Welcome>().host == "h1");
    // Without what leads to the one before it is nobody's.
    host.certificate = http::certificates_in(host.certificate)->front();
    CHECK(RawAgent(server, host).reason().find("is not taken: unable to get") != std::string::npos);
}

TEST_CASE("an agent of a cloud whose authority has ended says so, and what has to be done") {
    DoorServer server({}, kEleventhYear);
    const std::string ended = server.authority->trusted(kEleventhYear);
    server.look_after_authority();
    HostIdentity host = server.joined(1);
    REQUIRE(host.authority != ended);
    host.authority = ended;
    Agent agent(server, host);
    REQUIRE(agent.until([&] {
        const std::string why = agent.link->state().last_error;
        return why.find("ended at") != std::string::npos && why.find("axle host token create") != std::string::npos;
    }));
    CHECK(agent.connections == 0);
}

TEST_CASE("a certificate from a clock that has jumped is not taken while the one that is there is good") {
    constexpr std::int64_t kDayMs = INT64_C(24) * 3'600'000;
    const auto authority = *http::make_authority("cloud", {0});
    const auto of_day = [&](std::int64_t day) {
        return http::issue_certificate(authority, {.name = "h", .days = 30}, {day * kDayMs})->certificate;
    };
    const std::string present = of_day(1'000);
    const auto on = [](std::int64_t day) { return WallTime{day * kDayMs}; };
    CHECK(may_replace(of_day(1'015), present, on(1'015)));
    CHECK(may_replace(of_day(1'016), present, on(1'015)));                // this clock lags
    CHECK_FALSE(may_replace(of_day(1'015 + 3'285), present, on(1'015)));  // nine years ahead
    CHECK_FALSE(may_replace(of_day(1), present, on(1'015)));              // in the year of the epoch
    CHECK(may_replace(of_day(1'031 + 3'285), present, on(1'031)));        // there is nothing to lose
    CHECK_FALSE(may_replace("nonsense", present, on(1'015)));
    CHECK_FALSE(is_past_half(present, on(1'014)));
    CHECK(is_past_half(present, on(1'016)));
    CHECK(is_past_half(present, on(900)));  // from a clock that was ahead
}
