// Joining as release 0.1.0 does it, kept for later ones: what a machine asks and what it is answered.
// AXLE_RECORD=1 writes what is not there yet; none that is there is ever changed.
#include <cstdlib>
#include <fstream>

#include <doctest/doctest.h>

#include "tests/contract/hosts/door_fixture.hpp"
#include "tests/support/test_file.hpp"

using namespace axle;
using namespace axle::test;

namespace {

std::string recorded_path(const char* name) {
    return test_file(fmt::format("contract/hosts/recorded/0.1.0/{}.json", name));
}

json recorded(const char* name) {
    const auto text = read_file(recorded_path(name));
    REQUIRE(text.has_value());
    return json::parse(*text);
}

void record(const char* name, const json& what) {
    if (std::getenv("AXLE_RECORD") == nullptr || read_file(recorded_path(name))) return;
    std::ofstream(recorded_path(name)) << what.dump() << "\n";
}

const json kLater = {{"a", {1, nullptr, "more"}}};  // a field of a later release

}  // namespace

TEST_CASE("a machine that asks to join as release 0.1.0 does becomes a host, and is answered in the same words") {
    DoorServer server;
    http::Client client({.endpoint = *http::Endpoint::parse(server.endpoint()),
                         .authority = server.authority->trusted(wall_now()),
                         .expected_uri = kOrchestratorUri});
    const auto ask = [&](json body) {
        body["secret"] = server.token("t" + std::to_string(++server.tokens));
        const auto answer = client.request("POST", kEnrolPath, {{"Content-Type", "application/json"}}, body.dump());
        REQUIRE(answer.has_value());
        CAPTURE(answer->body);
        REQUIRE(answer->status == 200);
        return json::parse(answer->body);
    };
    if (std::getenv("AXLE_RECORD") != nullptr) {
        const json fresh{{"secret", "axlejoin_secret"},
                         {"host", host_number(1).str()},
                         {"hostname", "h1"},
                         {"request", http::make_signing_request(host_number(1).str())->request}};
        record("enrol-request", fresh);
        json other = fresh;
        other["host"] = host_number(2).str();
        other["hostname"] = "h2";
        record("enrol-answer", ask(other));
    }
    json body = recorded("enrol-request");
    body["later"] = kLater;
    const json answer = ask(body);
    const json then = recorded("enrol-answer");
    for (const auto& [key, value] : then.items()) {
        CAPTURE(key);
        CHECK_FALSE(answer.value(key, "").empty());
    }
    CHECK(answer["name"] == body["hostname"]);
    CHECK(answer["cluster"] == server.cluster());
    CHECK(http::read_certificate(answer["certificate"].get<std::string>())->uris ==
          std::vector<std::string>{kHostUriPrefix + body["host"].get<std::string>()});
    CHECK(http::certificates_in(answer["authority"].get<std::string>()).has_value());
}

TEST_CASE("an agent asks to join as release 0.1.0 does, and understands what that answers") {
    DoorServer server;
    const auto files = *server.authority->server_certificate({}, wall_now());
    json asked, given = recorded("enrol-answer");
    given["later"] = kLater;
    // An orchestrator of that release: its words, with a certificate and an authority of now.
    Loop io{"old"};
    Workers workers{"old", {.threads = 1}};
    http::Server old(io, workers, [&](const http::Request& request, http::Reply reply) {
        asked = json::parse(request.body, nullptr, false);
        given["authority"] = server.authority->trusted(wall_now());
        given["certificate"] = *server.authority->sign_host(asked.value("request", ""), host_number(1), wall_now());
        reply.send({.status = request.path == kEnrolPath ? 200 : 404, .headers = {}, .body = given.dump()});
    });
    const int port = *old.listen_tls("127.0.0.1", 0, {files.certificate_path, files.key_path, files.authority_path});
    std::thread thread([&] { io.run(); });  // last: before it runs, the loop is this thread's
    JoinString join = server.join_string("axlejoin_secret");
    join.cluster = given["cluster"];
    join.endpoints = {"https://127.0.0.1:" + std::to_string(port)};
    const auto identity = join_cluster(join, host_number(1), "h1", std::nullopt, server.folder / "pending");
    old.stop(milliseconds{500});
    workers.stop();
    io.stop();
    thread.join();
    if (!identity) FAIL(identity.error().message);
    const json then = recorded("enrol-request");
    for (const auto& [key, value] : then.items()) {
        CAPTURE(key);
        CHECK_FALSE(asked.value(key, "").empty());
    }
    CHECK(asked["secret"] == "axlejoin_secret");
    CHECK(identity->cluster == given["cluster"]);
    CHECK(identity->authority == given["authority"]);
    CHECK(identity->certificate == given["certificate"]);
}

TEST_CASE("a join string that release 0.1.0 printed is read") {
    const JoinString sample{
        {"https://192.0.2.9:7443", "https://cloud.example:7443"}, std::string(64, 'b'), "c1", "axlejoin_secret"};
    record("join-string", json{{"string", write_join_string(sample)}});
    const auto read = read_join_string(recorded("join-string")["string"]);
    REQUIRE(read.has_value());
    CHECK(read->endpoints == sample.endpoints);
    CHECK(read->authority == sample.authority);
    CHECK(read->cluster == sample.cluster);
    CHECK(read->secret == sample.secret);
}
