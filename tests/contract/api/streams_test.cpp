// Bytes to and from guests; uploads; and what the cloud says of itself.
#include <fcntl.h>

#include "common/base/file.hpp"
#include "tests/contract/api/api_fixture.hpp"

using namespace axle;
using namespace axle::test;

namespace {
std::string read_message(http::WebSocketClient& socket) {
    const auto message = socket.read(milliseconds{10'000});
    if (!message || !*message) return message ? "nothing came" : message.error().message;
    return (*message)->data;
}
// Why it was closed.
std::string read_end(http::WebSocketClient& socket) {
    for (int i = 0; i < 100; ++i) {
        const auto message = socket.read(milliseconds{10'000});
        if (!message) return message.error().message;
    }
    return "it is open";
}
}  // namespace

TEST_CASE("console and tunnel carry bytes both ways, log and screenshot one way") {
    CloudServer cloud;
    auto client = cloud.client();
    furnish(cloud, client);
    const std::string vm = "/v1/projects/default/vms/a";
    REQUIRE(ask(client, "POST", "/v1/projects/default/vms?wait=20s", vm_document("a")).status == 201);
    for (const char* below : {"/console", "/vnc", "/forward?port=22"}) {
        CAPTURE(below);
        auto socket = cloud.client().websocket(vm + below);
        if (!socket) FAIL(socket.error().message);
        CHECK(read_message(*socket) == "welcome\n");
        CHECK(socket->send("ping", true));
        CHECK(read_message(*socket) == "echo:ping");
        socket->close();
    }
    const auto log = client.request("GET", vm + "/log");
    REQUIRE(log);
    CHECK(log->status == 200);
    CHECK(log->body == "hello from the guest\n");
    const auto picture = client.request("GET", vm + "/screenshot");
    REQUIRE(picture);
    CHECK(picture->headers.value("Content-Type") == "image/png");
    CHECK(picture->body == "\x89PNG picture");
    std::string followed;
    (void)client.download(vm + "/log?follow=true", {}, [&](std::string_view bytes) {
        followed += bytes;
        return followed.find('\n') == std::string::npos;
    });
    CHECK(followed == "hello from the guest\n");
}

TEST_CASE("a console, a tunnel and a followed log end with the token that opened them") {
    CloudServer cloud({.api = {.bookmark_every = milliseconds{50}}});
    auto admin = cloud.client();
    furnish(cloud, admin);
    const std::string vm = "/v1/projects/default/vms/a";
    REQUIRE(ask(admin, "POST", "/v1/projects/default/vms?wait=20s", vm_document("a")).status == 201);
    const auto token = ask(admin, "POST", "/v1/tokens", R"({"name":"leaked","spec":{"role":"editor"}})");
    auto console = cloud.tcp_client(token.body["secret"]).websocket(vm + "/console");
    auto tunnel = cloud.tcp_client(token.body["secret"]).websocket(vm + "/forward?port=22");
    auto other = cloud.client().websocket(vm + "/console");
    REQUIRE(console);
    REQUIRE(tunnel);
    REQUIRE(other);
    for (auto* socket : {&*console, &*tunnel, &*other}) CHECK(read_message(*socket) == "welcome\n");
    REQUIRE(ask(admin, "DELETE", "/v1/tokens/leaked").status == 200);
    for (auto* socket : {&*console, &*tunnel}) {
        CHECK(read_end(*socket).find("token") != std::string::npos);
        socket->close();
    }
    CHECK(other->send("ping", true));
    CHECK(read_message(*other) == "echo:ping");
    other->close();
}

TEST_CASE("a stream that can't be is refused before it begins") {
    CloudServer cloud;
    auto client = cloud.client();
    furnish(cloud, client);
    REQUIRE(ask(client, "POST", "/v1/projects/default/vms?wait=20s", vm_document("a", R"(,"power":"stopped")")).status <
            300);
    const auto refused = cloud.client().websocket("/v1/projects/default/vms/a/console");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().reason == "http-409");
    CHECK(refused.error().message == "VM a is stopped");
    CHECK(refused.error().hint == "axle vm start a");
    CHECK_FALSE(cloud.client().websocket("/v1/projects/default/vms/none/console"));
}

TEST_CASE("an image's content is streamed to a file and imported") {
    CloudServer cloud;
    auto client = cloud.client();
    const TempDir dir;
    const std::string content(5 << 20, 'x');
    REQUIRE(write_file_durably(dir / "disk.qcow2", content));
    REQUIRE(ask(client, "POST", "/v1/projects/default/images", R"({"name":"up","spec":{}})").status < 300);
    const Fd fd(::open((dir / "disk.qcow2").c_str(), O_RDONLY | O_CLOEXEC));
    auto sent = client.upload("PUT", "/v1/projects/default/images/up/content", {}, fd.get(), content.size());
    REQUIRE(sent);
    CAPTURE(sent->body);
    CHECK(sent->status == 202);
    const auto task = ask(client, "GET", sent->headers.value("Location") + "?wait=10s");
    CAPTURE(task.body.dump());
    CHECK(task.body["status"]["phase"] == "succeeded");
    CHECK(ask(client, "GET", "/v1/projects/default/images/up").body["status"]["phase"] == "ready");
    std::string file;
    cloud.core().call([&] { file = cloud.upload_directory() + "/" + upload_name(cloud.importer().last.image); });
    const auto arrived = read_file(file, 16 << 20);
    REQUIRE(arrived);
    CHECK(*arrived == content);
}

namespace {

ScriptedHost::Script with_condition(const std::string& type, const std::string& message) {
    return {.conditions = {{.type = type, .reason = type, .message = message}}};
}

}  // namespace

TEST_CASE("what hosts have alike is one problem; a note comes last and leaves all well") {
    CloudServer cloud;
    auto client = cloud.client();
    furnish(cloud, client);
    cloud.add_host("h3", with_condition("NoAccelerator", "no KVM"));
    cloud.add_host("h2", with_condition("NoAccelerator", "no KVM"));
    const auto noted = ask(client, "GET", "/v1/status").body;
    CAPTURE(noted.dump());
    CHECK(noted["healthy"] == true);
    REQUIRE(noted["problems"].size() == 1);
    CHECK(noted["problems"][0]["severity"] == "note");
    CHECK(noted["problems"][0]["message"] == "2 hosts (h2, h3): no KVM");
    CHECK(noted["problems"][0]["hosts"] == json{"h2", "h3"});

    cloud.add_host("h4", with_condition("NotDurable", "pool main is in memory"));
    cloud.add_host("h5", with_condition("NotDurable", "pool fast is in memory"));
    cloud.add_host("h6", with_condition("HypervisorDown", "libvirt does not answer"));
    const auto bad = ask(client, "GET", "/v1/status").body;
    CAPTURE(bad.dump());
    CHECK(bad["healthy"] == false);
    REQUIRE(bad["problems"].size() == 3);
    CHECK(bad["problems"][0]["message"] == "host h6: libvirt does not answer");
    CHECK(bad["problems"][1]["message"] == "2 hosts (h4, h5): h4 says: pool main is in memory");
    CHECK(bad["problems"][1]["severity"] == "trouble");
    CHECK(bad["problems"][2]["type"] == "NoAccelerator");
}

TEST_CASE("the usual life of a VM is no trouble, and nothing of it is told twice") {
    CloudServer cloud;
    auto client = cloud.client();
    REQUIRE(ask(client, "POST", "/v1/projects/default/networks", kNetwork).status == 201);
    cloud.add_host("h1", with_condition("NoAccelerator", "no KVM"));
    REQUIRE(
        ask(client, "POST", "/v1/pools", R"({"name":"main","spec":{"path":"/pools/main","default":true}})").status ==
        201);
    // Its image comes later: it waits for that, which is no trouble either.
    REQUIRE(ask(client, "POST", "/v1/projects/default/images", R"({"name":"tiny","spec":{}})").status < 300);
    REQUIRE(ask(client, "POST", "/v1/projects/default/vms", vm_document("a")).status < 300);
    const TempDir dir;
    REQUIRE(write_file_durably(dir / "disk", "content"));
    const Fd fd(::open((dir / "disk").c_str(), O_RDONLY | O_CLOEXEC));
    const auto sent = client.upload("PUT", "/v1/projects/default/images/tiny/content", {}, fd.get(), 7);
    REQUIRE(sent);
    CHECK(ask(client, "GET", sent->headers.value("Location") + "?wait=10s").body["status"]["phase"] == "succeeded");
    const std::string vm = "/v1/projects/default/vms/a";
    for (const char* action : {"stop", "start", "pause", "resume"})
        REQUIRE(ask(client, "POST", vm + "/actions/" + action + "?wait=10s").status < 300);
    const auto events = ask(client, "GET", "/v1/events?limit=1000").body["items"];
    std::map<std::string, int> told;
    for (const auto& event : events) {
        CAPTURE(event.dump());
        CHECK(event["type"] == "normal");
        ++told[event["reason"].get<std::string>() + " " + event["message"].get<std::string>()];
    }
    for (const auto& [what, times] : told) {
        CAPTURE(what);
        CHECK(times <= (what.find("vm a is running") != std::string::npos ? 3 : 1));  // once a start or resume
    }
    CHECK(told.contains("ImagePending vm a waits: image tiny of disk root is uploading"));
    CHECK(told.contains("NoAccelerator host h1: no KVM"));
}

TEST_CASE("the cloud tells of itself") {
    CloudServer cloud({.api = {.authority = [] { return std::string("PEM"); }}});
    auto client = cloud.client();
    furnish(cloud, client);
    CHECK(ask(client, "GET", "/healthz").body["alive"] == true);
    CHECK(ask(client, "GET", "/readyz").body["ready"] == true);
    CHECK(ask(client, "GET", "/v1/version").body["api"] == "v1");
    const auto status = ask(client, "GET", "/v1/status");
    CAPTURE(status.body.dump());
    CHECK(status.body["healthy"] == true);
    CHECK(status.body["counts"]["hosts"] == 1);
    CHECK(ask(client, "GET", "/v1/openapi.json").body["openapi"] == "3.1.0");
    CHECK(ask(client, "GET", "/v1/explain/vm.spec.cpus").body["min"] == 1);
    const auto metrics = client.request("GET", "/metrics");
    REQUIRE(metrics);
    CHECK(metrics->body.find("axle_api_requests_total{op=\"status\",class=\"2xx\"} 1") != std::string::npos);
    CHECK(metrics->body.find("axle_store_revision") != std::string::npos);
    CHECK(client.request("GET", "/v1/ca.pem")->body == "PEM");
    const auto events = ask(client, "GET", "/v1/events");
    CHECK(events.status == 200);
    CHECK(events.body["items"].is_array());
    const std::string after = "/v1/events?after=" + http::percent_encode(events.body["latest"].get<std::string>());
    CHECK(ask(client, "GET", after).body["items"].empty());
    REQUIRE(ask(client, "POST", "/v1/flavors", R"({"name":"later","spec":{"cpus":1,"memory":"1GiB"}})").status == 201);
    REQUIRE(ask(client, "DELETE", "/v1/flavors/later").status == 200);
    const auto since = ask(client, "GET", after);
    REQUIRE(since.body["items"].size() == 2);  // oldest first
    CHECK(since.body["items"][0]["reason"] == "Created");
    CHECK(since.body["items"][1]["reason"] == "Removed");
    CHECK(ask(client, "GET", after + "&continue=AAAA").status == 400);
}
