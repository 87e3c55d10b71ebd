// The agents' channel at the orchestrator's door: who is let in.
#include <doctest/doctest.h>

#include "tests/contract/hosts/door_fixture.hpp"

using namespace axle;
using namespace axle::test;

namespace {

// A certificate for this host, of any authority and any age.
HostIdentity forged(HostIdentity like, const http::KeyPair& authority, WallTime issued, std::int64_t days = 30) {
    const auto pair = *http::issue_certificate(authority,
                                               {.name = like.host.str(),
                                                .uris = {kHostUriPrefix + like.host.str()},
                                                .server = true,
                                                .client = true,
                                                .days = days},
                                               issued);
    like.certificate = pair.certificate;
    like.key = pair.key;
    return like;
}

http::KeyPair own_authority(const DoorServer& server) {
    return *http::read_key_pair(server.folders.identity + "/ca.pem", server.folders.identity + "/ca.key");
}

}  // namespace

TEST_CASE("a host says hello and is connected; what it is stands in its resource") {
    DoorServer server;
    RawAgent agent(server, server.joined(1));
    Hello hello = agent.hello();
    hello.facts.underlay = "192.0.2.7";
    agent.say(hello);
    CHECK(agent.expect<Welcome>().version == AXLE_VERSION);
    REQUIRE(eventually([&] { return server.host("h1")["status"].value("connected", false); }));
    const json host = server.host("h1");
    CHECK(host["status"]["address"] == "127.0.0.1");
    CHECK(host["status"]["facts"]["underlay"] == "192.0.2.7");
    agent.socket->close();
    CHECK(eventually([&] { return !server.host("h1")["status"].value("connected", false); }));
}

TEST_CASE("certificates of another authority, too old, or not of a host are refused with the reason") {
    DoorServer server;
    const HostIdentity host = server.joined(1);
    const auto foreign = *http::make_authority("another cloud", wall_now());
    const WallTime long_ago{wall_now().ms - INT64_C(400) * 24 * 3'600'000};
    const WallTime ahead{wall_now().ms + INT64_C(400) * 24 * 3'600'000};
    CHECK(RawAgent(server, forged(host, foreign, wall_now())).reason().find("issued by \"another cloud\"") !=
          std::string::npos);
    CHECK(RawAgent(server, forged(host, own_authority(server), long_ago)).reason().find("it ended at") !=
          std::string::npos);
    CHECK(RawAgent(server, forged(host, own_authority(server), ahead)).reason().find("it is valid from") !=
          std::string::npos);
    HostIdentity nobody = host;
    nobody.certificate.clear();
    nobody.key.clear();
    CHECK(RawAgent(server, nobody).reason().find("which show a certificate") != std::string::npos);
    HostIdentity removed = host;
    removed.host = host_number(9);
    CHECK(RawAgent(server, forged(removed, own_authority(server), wall_now())).reason().find("no host 0191") !=
          std::string::npos);
}

TEST_CASE("an agent turns away from a server of another authority") {
    DoorServer server, other;
    HostIdentity host = server.joined(1);
    RawAgent lost(other, host);
    CHECK(lost.reason().find("does not pass") != std::string::npos);
}

TEST_CASE("a hello for another host, of another protocol or cluster ends the connection with the reason") {
    DoorServer server;
    const HostIdentity identity = server.joined(1);
    const auto refused = [&](const std::function<void(Hello&)>& change) {
        RawAgent agent(server, identity);
        Hello hello = agent.hello();
        change(hello);
        agent.say(hello);
        return agent.reason();
    };
    CHECK(refused([](Hello& h) { h.host = host_number(2); }).find("the certificate is for host") != std::string::npos);
    CHECK(refused([](Hello& h) { h.protocol = h.protocol_oldest = 9; }).find("speaks the protocols 9 to 9") !=
          std::string::npos);
    CHECK(refused([](Hello& h) { h.protocol = 0; }).find("speaks the protocols") != std::string::npos);
    CHECK(refused([](Hello& h) { h.cluster = "other"; }).find("belongs to cluster other") != std::string::npos);
    RawAgent rude(server, identity);
    rude.say(Heartbeat{});
    CHECK(rude.reason().find("the first message must be hello") != std::string::npos);
    RawAgent fine(server, identity);
    Hello newer = fine.hello();
    newer.protocol = 9;  // and still speaks ours
    fine.say(newer);
    CHECK(fine.expect<Welcome>().protocol == kProtocol);
}

TEST_CASE("the newest connection of a host wins, and two agents under one id are told in its status") {
    DoorServer server;
    const HostIdentity identity = server.joined(1);
    const auto say_hello = [](RawAgent& agent, std::uint64_t number, const char* instance) {
        Hello hello = agent.hello(number);
        hello.instance = instance;
        agent.say(hello);
    };
    RawAgent first(server, identity), second(server, identity), third(server, identity), late(server, identity);
    say_hello(first, 1, "a");
    first.expect<Welcome>();
    say_hello(second, 2, "b");
    second.expect<Welcome>();
    CHECK(first.reason().find("a newer connection of this host came") != std::string::npos);
    CHECK_FALSE(server.host("h1")["status"].contains("conditions"));  // an agent that was started anew looks the same
    say_hello(third, 3, "a");
    third.expect<Welcome>();
    CHECK(second.reason().find("a newer connection") != std::string::npos);
    const json conditions = server.host("h1")["status"].value("conditions", json::array());
    REQUIRE(conditions.size() == 1);
    CHECK(conditions[0]["type"] == "ConnectedTwice");
    say_hello(late, 2, "c");
    CHECK(late.reason().find("a newer connection of this host is there") != std::string::npos);
    third.say(Heartbeat{});
    CHECK(server.host("h1")["status"].value("connected", false));
}

TEST_CASE("the certificate is renewed over the channel, for this host and nobody else") {
    DoorServer server;
    RawAgent agent(server, server.joined(1));
    agent.say(agent.hello());
    const auto request = http::make_signing_request(host_number(2).str());
    agent.say(CertificateRequest{request->request});
    const auto grant = agent.expect<CertificateGrant>();
    CHECK(grant.error.empty());
    CHECK(http::read_certificate(grant.certificate)->uris ==
          std::vector<std::string>{kHostUriPrefix + host_number(1).str()});
    agent.say(CertificateRequest{"nonsense"});
    CHECK_FALSE(agent.expect<CertificateGrant>().error.empty());
}

TEST_CASE("what a host claims to have seen counts only with our seal") {
    DoorServer server;
    const HostIdentity identity = server.joined(1);
    RawAgent liar(server, identity);
    Hello hello = liar.hello();
    hello.highest_revision = 1'000'000'000;
    hello.highest_incarnation = 99;
    liar.say(hello);
    CHECK(liar.reason().find("can't show that this cluster told it so") != std::string::npos);
    CHECK(server.request("GET", "/readyz")["ready"] == true);
}

TEST_CASE("a host that is removed is cut off, and its certificate is worth nothing any more") {
    DoorServer server;
    RawAgent agent(server, server.joined(1));
    agent.say(agent.hello());
    agent.expect<Welcome>();
    server.request("DELETE", "/v1/hosts/h1");
    CHECK(agent.reason().find("was removed") != std::string::npos);
    CHECK(RawAgent(server, agent.identity).reason().find("no host") != std::string::npos);
    CHECK(server.request("GET", "/v1/hosts").value("items", json::array()).empty());
}
