// Joining: tokens, certificates, and everything that is refused with a clear word.
#include <doctest/doctest.h>

#include "tests/contract/hosts/door_fixture.hpp"

using namespace axle;
using namespace axle::test;

namespace {

bool says(const Result<HostIdentity>& result, const char* words) {
    if (result) return false;
    CAPTURE(result.error().message);
    CAPTURE(result.error().hint);
    return result.error().message.find(words) != std::string::npos;
}

}  // namespace

TEST_CASE("a new token makes a machine a host; its key never leaves it") {
    DoorServer server;
    const std::string secret = server.token("new");
    const auto identity = server.join(secret, 1);
    REQUIRE(identity.has_value());
    CHECK(identity->cluster == server.cluster());
    CHECK(identity->authority == server.authority->trusted(wall_now()));
    const auto info = http::read_certificate(identity->certificate);
    REQUIRE(info.has_value());
    CHECK(info->uris == std::vector<std::string>{kHostUriPrefix + host_number(1).str()});
    CHECK(info->not_after.ms - info->not_before.ms < INT64_C(31) * 24 * 3'600'000);
    CHECK(http::check_key_pair({identity->certificate, identity->key}).has_value());
    CHECK(server.host("h1")["id"] == host_number(1).str());
    const json token = server.request("GET", "/v1/jointokens/new");
    CHECK(token["status"]["left"] == 0);
    CHECK(token["status"]["used"][0]["name"] == "h1");
    CHECK(token.dump().find(secret) == std::string::npos);
}

TEST_CASE("an answer that was lost is asked for again and counts once") {
    DoorServer server;
    const std::string secret = server.token("once");
    const auto first = server.join(secret, 1);
    REQUIRE(first.has_value());
    const auto again = server.join(secret, 1);  // what was pending was not removed
    REQUIRE(again.has_value());
    CHECK(again->key == first->key);
}

TEST_CASE("tokens that are used, unknown, deleted or for another host are refused, each with its reason") {
    DoorServer server;
    const std::string used = server.token("used"), other = server.token("other"), gone = server.token("gone");
    REQUIRE(server.join(used, 1).has_value());
    CHECK(says(server.join(used, 2), "has been used: last by h1"));
    CHECK(says(server.join("axlejoin_nonsense", 2), "unknown or has been deleted"));
    server.request("DELETE", "/v1/jointokens/gone", nullptr, 200);
    CHECK(says(server.join(gone, 2), "unknown or has been deleted"));
    CHECK(says(server.join(server.token("bound", {{"host", "h1"}}), 2), "is for host h1"));
    const auto known = server.join(other, 1);  // pending was kept: another token, the same machine
    CHECK(says(known, "this machine is host h1 already"));
    REQUIRE_FALSE(known.has_value());
    CHECK(known.error().hint.find("--host h1") != std::string::npos);
}

TEST_CASE("a token for a known host mends its certificate, and the lost one is not taken any more") {
    DoorServer server;
    HostIdentity lost = server.joined(1);
    // As of an hour ago: certificates tell whole seconds, and this test takes less than one.
    const auto old = *http::issue_certificate(
        *http::read_key_pair(server.folders.identity + "/ca.pem", server.folders.identity + "/ca.key"),
        {.name = "x", .uris = {kHostUriPrefix + lost.host.str()}, .server = true, .client = true, .days = 30},
        WallTime{wall_now().ms - 3'600'000});
    lost.certificate = old.certificate;
    lost.key = old.key;
    REQUIRE(remove_file_durably(server.folder / "pending1").has_value());
    const auto mended = server.join(server.token("mend", {{"host", "h1"}}), 1);
    REQUIRE(mended.has_value());
    RawAgent thief(server, lost), host(server, *mended);
    CHECK(thief.reason().find("has joined again at") != std::string::npos);
    host.say(host.hello());
    CHECK(host.expect<Welcome>().host == "h1");
}

TEST_CASE("a join string of another cloud, or one that was changed, sends no secret anywhere") {
    DoorServer server;
    JoinString join = server.join_string(server.token("new"));
    join.authority = std::string(64, '0');
    const auto wrong = join_cluster(join, host_number(1), "h1", std::nullopt, server.folder / "pending");
    CHECK(says(wrong, "is not the server that was pinned"));
    CHECK(server.request("GET", "/v1/jointokens/new")["status"]["left"] == 1);
    HostIdentity before;
    before.cluster = "another";
    CHECK(says(join_cluster(server.join_string("s"), host_number(1), "h1", before, server.folder / "pending"),
               "belongs to cluster another"));
    for (const std::string& text : {std::string("axle1:"), std::string("nonsense"), std::string("axle1:%%%"),
                                    write_join_string(join).substr(0, 40)})
        CHECK_FALSE(read_join_string(text).has_value());
    const auto read = read_join_string(write_join_string(join));
    REQUIRE(read.has_value());
    CHECK(read->endpoints == join.endpoints);
    CHECK(read->secret == join.secret);
}

TEST_CASE("nonsense at the door is refused and leaves nothing") {
    DoorServer server;
    const std::string secret = server.token("new");
    http::Client client({.endpoint = *http::Endpoint::parse(server.endpoint()),
                         .authority = server.authority->trusted(wall_now()),
                         .expected_uri = kOrchestratorUri});
    const auto request = http::make_signing_request("x");
    for (const std::string& body :
         {std::string("{"), std::string("[]"), std::string("{}"),
          json{{"secret", secret}, {"host", "x"}, {"hostname", "h"}, {"request", request->request}}.dump(),
          json{{"secret", secret}, {"host", host_number(1).str()}, {"hostname", "h"}, {"request", "no PEM"}}.dump(),
          json{{"secret", 5}, {"host", host_number(1).str()}, {"hostname", "h"}, {"request", request->request}}
              .dump()}) {
        CAPTURE(body);
        const auto answer = client.request("POST", kEnrolPath, {{"Content-Type", "application/json"}}, body);
        REQUIRE(answer.has_value());
        CHECK(answer->status == 400);
    }
    CHECK(client.request("GET", kChannelPath)->status == 401);
    CHECK(client.request("GET", std::string(kImagesPath) + "x")->status == 401);
    CHECK(client.request("GET", "/agent/v2/enrol")->status == 404);
    CHECK(client.request("GET", "/install/agent.sh")->status == 404);  // no packages there
    CHECK(server.request("GET", "/v1/jointokens/new")["status"]["left"] == 1);
}

TEST_CASE("the installer holds the packages' hashes, and serves nothing else") {
    TempDir packages;
    for (const char* name : {"axle-cli", "axle-agent", "secret"})
        REQUIRE(write_file_durably(packages / fmt::format("{}_" AXLE_VERSION "_amd64.deb", name), name));
    DoorServer server({.endpoints = {"https://cloud:7443"}, .packages = packages.path()});
    const JoinInfo info = server.door->join_info();
    http::Client client({.endpoint = *http::Endpoint::parse(server.endpoint()),
                         .authority = server.authority->trusted(wall_now()),
                         .expected_uri = kOrchestratorUri});
    const auto script = client.request("GET", "/install/agent.sh");
    REQUIRE(script.has_value());
    CHECK(sha256_hex(script->body) == info.script_hash);
    CHECK(script->body.find(sha256_hex("axle-agent") + "  axle-agent_" AXLE_VERSION "_amd64.deb") != std::string::npos);
    CHECK(script->body.find("endpoints=\"https://cloud:7443\"") != std::string::npos);
    CHECK(script->body.find('%' + std::string("VERSION")) == std::string::npos);
    CHECK(client.request("GET", "/install/axle-cli_" AXLE_VERSION "_amd64.deb")->body == "axle-cli");
    for (const char* name : {"secret_" AXLE_VERSION "_amd64.deb", "..%2fetc%2fpasswd", "", "axle-cli"})
        CHECK(client.request("GET", std::string("/install/") + name)->status == 404);
}

TEST_CASE("a join string from before the authority handed over lets a machine in, and it is told both authorities") {
    DoorServer server({}, kEighthYear);
    const JoinString before = server.join_string(server.token("early"));
    server.look_after_authority();
    CHECK(server.join_string("x").authority == before.authority);
    const auto identity = join_cluster(before, host_number(1), "h1", std::nullopt, server.folder / "pending");
    REQUIRE(identity.has_value());
    CHECK(http::certificates_in(identity->authority)->size() == 2);
    CHECK(http::certificates_in(identity->certificate)->size() == 3);
    RawAgent host(server, *identity);
    host.say(host.hello());
    CHECK(host.expect<Welcome>().host == "h1");
}
