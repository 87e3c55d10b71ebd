// A host's load: what its heartbeats say is shown, and is nowhere else.
#include "tests/contract/api/api_fixture.hpp"

using namespace axle;
using namespace axle::test;

namespace {

struct LoadedHost {
    LoadedHost() : client(cloud.client()), host(cloud.add_host("h1")) {}
    void beat(std::optional<HostLoad> load) {
        host.say(Heartbeat{load});
        cloud.core().call([] {});
    }
    json shown() { return ask(client, "GET", "/v1/hosts/h1").body; }
    json load() { return shown()["status"].value("load", json()); }

    CloudServer cloud;
    http::Client client;
    ScriptedHost& host;
};

}  // namespace

TEST_CASE("a host's load is shown as its last heartbeat said, alone and in lists, and goes with its connection") {
    LoadedHost there;
    CHECK(there.load().is_null());
    there.beat(HostLoad{.cpu = 0.5, .memory_free = 3 * kGiB});
    CHECK(there.load() == json{{"cpu", 0.5}, {"memoryFree", 3 * kGiB}});
    there.beat(HostLoad{.cpu = 0.25, .memory_free = 2 * kGiB});
    const json listed = ask(there.client, "GET", "/v1/hosts").body["items"];
    REQUIRE(listed.size() == 1);
    CHECK(listed[0]["status"]["load"] == json{{"cpu", 0.25}, {"memoryFree", 2 * kGiB}});
    there.beat({});  // it lives, and can't tell how busy it is
    CHECK(there.load().is_null());
    there.beat(HostLoad{.cpu = 0.25});
    CHECK_FALSE(there.load().is_null());
    there.cloud.core().call([&] { there.host.leave(); });
    const json away = there.shown();
    CHECK(away["status"]["connected"] == false);
    CHECK_FALSE(away["status"].contains("load"));
}

TEST_CASE("hosts are found by their load, and pools by what hosts tell of them") {
    LoadedHost there;
    there.cloud.add_host("idle").say(Heartbeat{HostLoad{.cpu = 0.125, .memory_free = 3 * kGiB}});
    there.beat(HostLoad{.cpu = 0.75, .memory_free = kGiB});
    const auto found = [&](const std::string& kinds, const std::string& filter) {
        std::string names;
        const json page = ask(there.client, "GET", fmt::format("/v1/{}?filter={}", kinds, filter)).body;
        for (const json& one : page["items"]) names += one["name"].get<std::string>() + " ";
        return names;
    };
    CHECK(found("hosts", "status.load.cpu%3E%3D0.5") == "h1 ");
    CHECK(found("hosts", "status.load.memoryFree%3E%3D2147483648") == "idle ");
    REQUIRE(ask(there.client, "POST", "/v1/pools", R"({"name":"p","spec":{"path":"/pools/p"}})").status == 201);
    there.cloud.core().call([] {});
    there.cloud.core().call([] {});
    const json pool = ask(there.client, "GET", "/v1/pools/p").body;
    REQUIRE(pool["status"].value("readyCount", 0) == 2);
    CHECK(found("pools", "status.readyCount%3E%3D2") == "p ");
    CHECK(found("pools", "status.readyCount%3E%3D3").empty());
}

TEST_CASE("a load makes no revision and is in no store") {
    LoadedHost there;
    const json before = there.shown();
    const Revision head = there.cloud.orchestrator().pipeline().head();
    there.beat(HostLoad{.cpu = 0.5, .memory_free = kGiB});
    const json after = there.shown();
    CHECK(after["revision"] == before["revision"]);
    CHECK(after["status"]["load"]["cpu"] == 0.5);
    CHECK(there.cloud.orchestrator().pipeline().head() == head);
    // A change of the host that comes now takes nothing of it along.
    REQUIRE(ask(there.client, "POST", "/v1/hosts/h1/actions/cordon").status == 200);
    there.beat({});
    CHECK(there.load().is_null());
    CHECK(there.shown()["spec"]["unschedulable"] == true);
}

TEST_CASE("a load that can't be is shown as the nearest that can") {
    LoadedHost there;
    there.beat(HostLoad{.cpu = 7, .memory_free = -1});
    CHECK(there.load() == json{{"cpu", 1.0}, {"memoryFree", 0}});
    there.beat(HostLoad{.cpu = -0.5, .memory_free = 1});
    CHECK(there.load() == json{{"cpu", 0.0}, {"memoryFree", 1}});
    there.beat(HostLoad{.cpu = 1.0 / 3, .memory_free = 1});
    CHECK(there.load()["cpu"] == 0.333);
}
