// What is refused to a machine stands in the orchestrator's log: one warning, with who it was and why.
#include <doctest/doctest.h>

#include "tests/contract/hosts/door_fixture.hpp"
#include "tests/support/caught_log.hpp"

using namespace axle;
using namespace axle::test;

namespace {

// Waits for the line: who is refused may hear of it first.
void check_told_once(const CaughtLog& log, const std::string& words) {
    CAPTURE(words);
    CAPTURE(log.troubles());
    CHECK(eventually([&] { return log.troubles_with(words) > 0; }));
    CHECK(log.troubles_with(words) == 1);
}

// Nothing else was found worth a warning meanwhile.
void check_told_alone(const CaughtLog& log, const std::string& words) {
    check_told_once(log, words);
    CHECK(log.troubles().size() == 1);
}

HostIdentity with_certificate(HostIdentity host, const http::KeyPair& pair) {
    host.certificate = pair.certificate;
    host.key = pair.key;
    return host;
}

http::KeyPair signed_by(const http::KeyPair& authority, const HostIdentity& host, std::int64_t days_ago) {
    const WallTime issued{wall_now().ms - days_ago * 24 * 3'600'000};
    return *http::issue_certificate(
        authority,
        {.name = "x", .uris = {kHostUriPrefix + host.host.str()}, .server = true, .client = true, .days = 30}, issued);
}

}  // namespace

TEST_CASE("each connection that is not let in is a warning with the reason") {
    DoorServer server;
    const HostIdentity host = server.joined(1);
    const auto ours = *http::read_key_pair(server.folders.identity + "/ca.pem", server.folders.identity + "/ca.key");
    const auto foreign = *http::make_authority("another cloud", wall_now());
    HostIdentity nobody = host, removed = host;
    nobody.certificate = nobody.key = "";
    removed.host = host_number(9);
    struct Row {
        const char* what;
        HostIdentity identity;
        const char* reason;
    };
    for (const Row& row :
         {Row{"another authority", with_certificate(host, signed_by(foreign, host, 0)), "issued by \"another cloud\""},
          Row{"too old", with_certificate(host, signed_by(ours, host, 400)), "it ended at"},
          Row{"of a clock that is ahead", with_certificate(host, signed_by(ours, host, -400)), "it is valid from"},
          Row{"none", nobody, "which show a certificate"},
          Row{"no such host", with_certificate(removed, signed_by(ours, removed, 0)), "no host 0191"},
          Row{"before its last join", with_certificate(host, signed_by(ours, host, 1)), "has joined again at"}}) {
        CAPTURE(row.what);
        const CaughtLog log;
        RawAgent agent(server, row.identity);
        CHECK(agent.reason().find(row.reason) != std::string::npos);
        check_told_alone(log, row.reason);
        check_told_once(log, "a connection from 127.0.0.1");
    }
}

TEST_CASE("each hello that is refused is a warning with the host and the reason") {
    DoorServer server;
    const HostIdentity identity = server.joined(1);
    struct Row {
        const char* what;
        std::function<void(Hello&)> change;
        const char* reason;
    };
    for (const Row& row :
         {Row{"another host's", [](Hello& h) { h.host = host_number(2); }, "the certificate is for host"},
          Row{"a later protocol", [](Hello& h) { h.protocol = h.protocol_oldest = 9; }, "speaks the protocols 9 to 9"},
          Row{"an earlier protocol", [](Hello& h) { h.protocol = 0; }, "speaks the protocols"},
          Row{"another cluster's", [](Hello& h) { h.cluster = "other"; }, "belongs to cluster other"},
          Row{"more than we told",
              [](Hello& h) {
                  h.highest_revision = 1'000'000'000;
                  h.highest_incarnation = 99;
              },
              "can't show that this cluster told it so"}}) {
        CAPTURE(row.what);
        const CaughtLog log;
        RawAgent agent(server, identity);
        Hello hello = agent.hello();
        row.change(hello);
        agent.say(hello);
        CHECK(agent.reason().find(row.reason) != std::string::npos);
        check_told_alone(log, row.reason);
        check_told_once(log, "the connection of host h1 at 127.0.0.1 ended: ");
    }
    const CaughtLog log;
    RawAgent rude(server, identity);
    rude.say(Heartbeat{});
    CHECK(rude.reason().find("the first message must be hello") != std::string::npos);
    check_told_alone(log, "the connection of host h1 at 127.0.0.1 ended: the first message must be hello");
}

TEST_CASE("what can't be read on a host's connection is a warning with the host and the reason") {
    DoorServer server;
    const HostIdentity identity = server.joined(1);
    struct Row {
        const char* what;
        std::string text;
        const char* reason;
    };
    for (const Row& row :
         {Row{"nonsense", "nonsense", "can't be read"}, Row{"no type", "{}", "without a type"},
          Row{"a type that is no text", R"({"type":3})", "without a type"},
          Row{"a wrong field", R"({"type":"progress","percent":"much"})", "percent"},
          Row{"half a message", R"({"type":"progress","per)", "can't be read"}, Row{"nothing", "", "can't be read"},
          Row{"too much", std::string(kMessageToOrchestratorMax + 1, ' '), "a message came that is too large"},
          Row{"no UTF-8", "{\"type\":\"\xff\"}", "no UTF-8"}}) {
        CAPTURE(row.what);
        const CaughtLog log;
        RawAgent agent(server, identity);
        (void)agent.socket->send(row.text, false);  // the answer to what is too large may come before its end
        check_told_alone(log, row.reason);
        check_told_once(log, "the connection of host h1 at 127.0.0.1 ended: ");
    }
}

TEST_CASE("silence is a warning: no hello, and nothing more after it") {
    const char* line = "the connection of host h1 at 127.0.0.1 ended: ";
    {
        DoorServer server({.hello_time = milliseconds{50}});
        const HostIdentity identity = server.joined(1);
        const CaughtLog log;
        RawAgent agent(server, identity);
        check_told_alone(log, std::string(line) + "no hello came within");
    }
    DoorServer server({.ping = milliseconds{50}});
    const HostIdentity identity = server.joined(1);
    const CaughtLog log;
    RawAgent agent(server, identity);
    agent.say(agent.hello());
    // Nobody reads there: pings stay unanswered, as on a line that was cut without a word.
    check_told_alone(log, std::string(line) + "no answer to pings");
}

TEST_CASE("of two connections of one host the one that goes is a warning") {
    DoorServer server;
    const HostIdentity identity = server.joined(1);
    const CaughtLog log;
    RawAgent first(server, identity), second(server, identity), late(server, identity);
    first.say(first.hello(1));
    first.expect<Welcome>();
    second.say(second.hello(3));
    second.expect<Welcome>();
    check_told_alone(log, "ended: a newer connection of this host came");
    late.say(late.hello(2));
    CHECK(late.reason().find("a newer connection of this host is there") != std::string::npos);
    check_told_once(log, "ended: a newer connection of this host is there");
    CHECK(log.troubles().size() == 2);
}

TEST_CASE("each join that is refused is a warning with the machine and the reason") {
    DoorServer server;
    const std::string used = server.token("used"), gone = server.token("gone"), other = server.token("other");
    REQUIRE(server.join(used, 1).has_value());
    server.request("DELETE", "/v1/jointokens/gone", nullptr, 200);
    const std::string bound = server.token("bound", {{"host", "h1"}});
    struct Row {
        const std::string& secret;
        int machine;
        const char* reason;
    };
    const std::string nonsense = "axlejoin_nonsense";
    for (const Row& row : {Row{used, 2, "has been used: last by h1"}, Row{nonsense, 2, "unknown or has been deleted"},
                           Row{gone, 2, "unknown or has been deleted"}, Row{bound, 2, "is for host h1"},
                           Row{other, 1, "this machine is host h1 already"}}) {
        CAPTURE(row.reason);
        const CaughtLog log;
        CHECK_FALSE(server.join(row.secret, row.machine).has_value());
        check_told_alone(log, row.reason);
        check_told_once(log, fmt::format("h{} ({}) may not join: ", row.machine, host_number(row.machine).str()));
        CHECK(log.troubles_with(row.secret) == 0);
    }
}

TEST_CASE("nonsense at the door is a warning, without the secret that came with it") {
    DoorServer server;
    const std::string secret = server.token("new");
    http::Client client({.endpoint = *http::Endpoint::parse(server.endpoint()),
                         .authority = server.authority->trusted(wall_now()),
                         .expected_uri = kOrchestratorUri});
    struct Row {
        std::string body;
        const char* reason;
    };
    const std::string id = host_number(1).str();
    for (const Row& row :
         {Row{"{", "127.0.0.1 may not join: "}, Row{"[]", "joins with secret, host"}, Row{"{}", "joins with secret"},
          Row{json{{"secret", secret}, {"host", "x"}, {"hostname", "h"}, {"request", "r"}}.dump(), "joins with secret"},
          Row{json{{"secret", secret}, {"host", id}, {"hostname", "h"}, {"request", "no PEM"}}.dump(),
              "127.0.0.1 may not join: "}}) {
        CAPTURE(row.body);
        const CaughtLog log;
        CHECK(client.request("POST", kEnrolPath, {{"Content-Type", "application/json"}}, row.body)->status == 400);
        check_told_alone(log, row.reason);
        CHECK(log.troubles_with(secret) == 0);
    }
    const CaughtLog log;
    CHECK(client.request("GET", kImagesPath + std::string(64, 'a'))->status == 401);
    check_told_alone(log, "no image is given to 127.0.0.1: this path is for agents, which show a certificate");
}

TEST_CASE("a report of a host that can't be read is a warning, and changes nothing") {
    DoorServer server;
    ScriptedHost& host = server.cloud.add_host("h1");
    server.request("POST", "/v1/pools", {{"name", "p"}, {"spec", {{"path", "/pools/p"}, {"default", true}}}}, 201);
    const json pool = server.request("GET", "/v1/pools/p");
    const CaughtLog log;
    host.say(Status{DocumentKind::pool, *Uuid::parse(pool["id"].get<std::string>()), {}, false, "{\"ready\":\"yes\"}"});
    check_told_alone(log, "the status of pool " + pool["id"].get<std::string>() + " can't be read: ready: ");
    CHECK(server.request("GET", "/v1/pools/p")["status"] == pool["status"]);
}

TEST_CASE("an image or a certificate that a host may not have is a warning") {
    DoorServer server;
    RawAgent agent(server, server.joined(1));
    agent.say(agent.hello());
    agent.expect<Welcome>();
    const CaughtLog log;
    http::Client client(client_options(agent.identity, *http::Endpoint::parse(server.endpoint())));
    CHECK(client.request("GET", kImagesPath + std::string(64, 'a'))->status == 403);
    check_told_alone(log, "no image is given to 127.0.0.1: ");
    agent.say(CertificateRequest{"nonsense"});
    const auto grant = agent.expect<CertificateGrant>();
    REQUIRE_FALSE(grant.error.empty());
    check_told_once(log, "host " + host_number(1).str() + " gets no new certificate: " + grant.error);
}
