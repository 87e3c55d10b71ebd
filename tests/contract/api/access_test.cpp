// Who may do what, over tokens and the unix socket; how often; and that secrets stay secret.
#include "tests/contract/api/api_fixture.hpp"

using namespace axle;
using namespace axle::test;

namespace {
std::string new_token(http::Client& admin, const std::string& name, const std::string& spec) {
    const auto made = ask(admin, "POST", "/v1/tokens", fmt::format(R"({{"name":"{}","spec":{}}})", name, spec));
    CAPTURE(made.body.dump());
    REQUIRE(made.status == 201);
    return made.body["secret"];
}
}  // namespace

TEST_CASE("roles hold in their projects and nowhere else") {
    CloudServer cloud;
    auto admin = cloud.client();
    REQUIRE(ask(admin, "POST", "/v1/projects", R"({"name":"other"})").status == 201);
    auto viewer = cloud.tcp_client(new_token(admin, "v", R"({"role":"viewer","projects":["default"]})"));
    auto editor = cloud.tcp_client(new_token(admin, "e", R"({"role":"editor","projects":["default"]})"));
    auto first = cloud.tcp_client(CloudServer::kAdmin);
    auto nobody = cloud.tcp_client("");
    auto wrong = cloud.tcp_client("wrong");
    const std::string nets = "/v1/projects/default/networks", others = "/v1/projects/other/networks";
    CHECK(ask(viewer, "GET", nets).status == 200);
    CHECK(ask(viewer, "POST", nets, kNetwork).status == 403);
    CHECK(ask(editor, "POST", nets, kNetwork).status == 201);
    CHECK(ask(viewer, "GET", nets + "/blue").status == 200);
    CHECK(ask(viewer, "DELETE", nets + "/blue").status == 403);
    const char* const others_range = R"({"name":"public","spec":{"type":"nat","cidr":"8.8.8.0/24"}})";
    const auto refused = ask(editor, "POST", nets, others_range);
    CHECK(refused.status == 422);  // it would cut the host off
    CHECK(refused.pointer() == "/spec/cidr");
    CHECK(ask(first, "POST", nets + "?dryRun=true", others_range).status == 200);
    CHECK(ask(viewer, "GET", others).status == 404);
    CHECK(ask(editor, "POST", others, kNetwork).status == 404);
    CHECK(ask(editor, "POST", "/v1/flavors", R"({"name":"f","spec":{"cpus":1,"memory":"1GiB"}})").status == 403);
    CHECK(ask(editor, "GET", "/v1/tokens").body["items"].empty());
    CHECK(ask(editor, "POST", "/v1/tokens", R"({"name":"t","spec":{"role":"admin"}})").status == 403);
    CHECK(ask(first, "POST", others, R"({"name":"blue","spec":{"type":"nat"}})").status == 201);
    CHECK(ask(viewer, "GET", "/v1/networks").body["items"].size() == 1);
    CHECK(ask(first, "GET", "/v1/networks").body["items"].size() == 2);
    CHECK(ask(viewer, "GET", "/v1/projects").body["items"].size() == 1);
    const auto none = ask(nobody, "GET", nets);
    CHECK(none.status == 401);
    CHECK(none.headers.value("WWW-Authenticate").starts_with("Bearer"));
    CHECK(ask(wrong, "GET", nets).code() == "unknown-token");
    for (const char* open : {"/healthz", "/readyz", "/v1/version"}) CHECK(ask(nobody, "GET", open).status == 200);
    for (const char* closed : {"/metrics", "/v1/status", "/v1/openapi.json", "/v1/watch", "/v1/events", "/v1/tasks"})
        CHECK(ask(nobody, "GET", closed).status == 401);
}

TEST_CASE("the first project and the first token, once deleted, don't come back with a restart") {
    const TempDir keep;
    for (int start = 0; start < 3; ++start) {
        CloudServer cloud({.directory = keep.path()});
        auto root = cloud.client();
        auto first = cloud.tcp_client(CloudServer::kAdmin);
        CHECK(ask(first, "GET", "/v1/projects").status == (start == 0 ? 200 : 401));
        CHECK(ask(root, "GET", "/v1/projects").body["items"].size() == (start == 0 ? 1 : 0));
        CHECK(ask(root, "GET", "/v1/tokens").body["items"].size() == (start == 0 ? 1 : 0));
        if (start > 0) continue;
        CHECK(ask(root, "DELETE", "/v1/projects/default").status == 200);
        CHECK(ask(root, "DELETE", "/v1/tokens/admin").status == 200);
    }
}

TEST_CASE("a token's secret is shown once and works until it is deleted") {
    CloudServer cloud;
    auto admin = cloud.client();
    const std::string secret = new_token(admin, "ci", R"({"role":"viewer"})");
    auto client = cloud.tcp_client(secret);
    CHECK(ask(client, "GET", "/v1/flavors").status == 200);
    for (const char* path : {"/v1/tokens/ci", "/v1/tokens", "/v1/events"}) {
        const auto shown = ask(admin, "GET", path).body.dump();
        CHECK(shown.find(secret) == std::string::npos);
        CHECK(shown.find("hash") == std::string::npos);
    }
    CHECK(ask(admin, "DELETE", "/v1/tokens/ci").status == 200);
    CHECK(ask(client, "GET", "/v1/flavors").status == 401);
}

TEST_CASE("who asks too often is told when to come back") {
    CloudServer cloud({.api = {.requests_a_second = 1, .request_burst = 5}});
    auto client = cloud.tcp_client(CloudServer::kAdmin);
    int refused = 0;
    for (int i = 0; i < 10; ++i) {
        const auto answer = ask(client, "GET", "/v1/flavors");
        if (answer.status != 429) continue;
        ++refused;
        CHECK(answer.headers.value("Retry-After") == "1");
        CHECK(answer.body["retryable"] == true);
    }
    CHECK(refused >= 4);
    auto local = cloud.client();
    for (int i = 0; i < 10; ++i) CHECK(ask(local, "GET", "/v1/flavors").status == 200);
}

TEST_CASE("streams have a limit for each caller") {
    CloudServer cloud({.api = {.streams_max = 1}});
    int status = 0;
    auto outer = cloud.client();
    bool checked = false;
    http::Client first = cloud.client();
    (void)first.download("/v1/watch", {}, [&](std::string_view) {
        const auto second = ask(outer, "GET", "/v1/watch");
        status = second.status;
        checked = true;
        return false;
    });
    CHECK(checked);
    CHECK(status == 429);
}

TEST_CASE("user data is never shown again") {
    CloudServer cloud;
    auto client = cloud.client();
    furnish(cloud, client);
    const std::string secret = "#cloud-config hunter2";
    const auto made =
        ask(client, "POST", "/v1/projects/default/vms?wait=20s", vm_document("a", R"(,"userData":")" + secret + "\""));
    REQUIRE(made.status == 201);
    CHECK(made.body.dump().find("hunter2") == std::string::npos);
    for (const char* path : {"/v1/projects/default/vms/a", "/v1/vms", "/v1/events", "/v1/tasks"})
        CHECK(ask(client, "GET", path).body.dump().find("hunter2") == std::string::npos);
    bool leaked = false;
    const auto events = read_events(cloud.client(), "/v1/watch?since=0&kinds=vm", "", [&](const auto& all) {
        leaked = leaked || all.back().data.find("hunter2") != std::string::npos;
        return all.back().data.find("running") != std::string::npos;
    });
    CHECK_FALSE(events.empty());
    CHECK_FALSE(leaked);
}
