// What bad input gets: the right status, the field, the reason, a hint; and nothing is left behind.
#include "tests/contract/api/api_fixture.hpp"

using namespace axle;
using namespace axle::test;

TEST_CASE("each mistake has its answer") {
    CloudServer cloud;
    auto client = cloud.client();
    furnish(cloud, client);
    const std::string vms = "/v1/projects/default/vms";
    struct Row {
        const char* what;
        const char* method;
        std::string path;
        std::string body;
        int status;
        const char *code, *pointer;
        const char* type = "application/json";
    };
    const Row rows[] = {
        {"malformed JSON", "POST", vms, "{\"name\": ", 400, "malformed", ""},
        {"malformed YAML", "POST", vms, "name: [", 400, "malformed", "", "application/yaml"},
        {"YAML aliases", "POST", vms, "a: &x 1\nb: *x", 400, "malformed", "", "application/yaml"},
        {"a key twice", "POST", vms, R"({"name":"a","name":"b"})", 400, "malformed", ""},
        {"too deep", "POST", vms, std::string(200, '['), 400, "malformed", ""},
        {"not an object", "POST", vms, "[1]", 400, "malformed", ""},
        {"no body", "POST", vms, "", 400, "malformed", ""},
        {"form", "POST", vms, "name=a", 415, "unsupported-media-type", "", "text/plain"},
        {"no name", "POST", vms, R"({"spec":{}})", 422, "invalid", "/name"},
        {"bad name", "POST", vms, R"({"name":"Bad_Name"})", 422, "invalid", "/name"},
        {"name like an id", "POST", vms, R"({"name":"01900000-0000-7000-8000-000000000001"})", 422, "invalid", "/name"},
        {"unknown field at the top", "POST", vms, R"({"name":"a","size":1})", 422, "invalid", "/size"},
        {"unknown field", "POST", vms, R"({"name":"a","spec":{"ram":1}})", 422, "invalid", "/spec/ram"},
        {"wrong type", "POST", vms, R"({"name":"a","spec":{"cpus":"four"}})", 422, "invalid", "/spec/cpus"},
        {"out of range", "POST", vms, R"({"name":"a","spec":{"cpus":100000}})", 422, "invalid", "/spec/cpus"},
        {"a number over 2^63", "POST", vms, R"({"name":"a","spec":{"memory":18446744073709551615}})", 422, "invalid",
         "/spec/memory"},
        {"a bad size", "POST", vms, R"({"name":"a","spec":{"memory":"2 quarts"}})", 422, "invalid", "/spec/memory"},
        {"a bad choice", "POST", vms, R"({"name":"a","spec":{"power":"on"}})", 422, "invalid", "/spec/power"},
        {"no such network", "POST", vms,
         R"({"name":"a","spec":{"disks":{"root":{"image":"tiny"}},"nics":{"eth0":{"network":"red"}}}})", 422, "invalid",
         "/spec/nics/eth0/network"},
        {"no such image", "POST", vms, R"({"name":"a","spec":{"disks":{"root":{"image":"none"}}}})", 422, "invalid",
         "/spec/disks/root/image"},
        {"a guest's address on loopback", "POST", vms,
         R"({"name":"a","spec":{"disks":{"root":{"image":"tiny"}},"nics":{"eth0":{"network":"blue","address":"127.0.0.1"}}}})",
         422, "invalid", "/spec/nics/eth0/address"},
        {"a network on loopback", "POST", "/v1/projects/default/networks",
         R"({"name":"n","spec":{"type":"nat","cidr":"127.4.0.0/16"}})", 422, "invalid", "/spec/cidr"},
        {"a network of multicast", "POST", "/v1/projects/default/networks",
         R"({"name":"n","spec":{"type":"nat","cidr":"224.0.0.0/8"}})", 422, "invalid", "/spec/cidr"},
        {"an image from a file URL", "POST", "/v1/projects/default/images",
         R"({"name":"i","spec":{"url":"file:///etc/passwd"}})", 422, "invalid", "/spec/url"},
        {"an image that no catalogue knows", "POST", "/v1/projects/default/images",
         R"({"name":"i","spec":{"url":"debian-99"}})", 422, "invalid", "/spec/url"},
        {"a password in a URL", "POST", "/v1/projects/default/images",
         R"({"name":"i","spec":{"url":"https://me:secret@example.com/a.qcow2"}})", 422, "invalid", "/spec/url"},
        {"a range that touches class E", "POST", "/v1/projects/default/networks",
         R"({"name":"a","spec":{"type":"nat","cidr":"255.0.0.0/8"}})", 422, "invalid", "/spec/cidr"},
        {"an address that leads to a cloud's secrets", "POST", vms,
         R"({"name":"a","spec":{"disks":{"root":{"image":"tiny"}},"nics":{"eth0":{"network":"plain","address":"169.254.169.254"}}}})",
         422, "invalid", "/spec/nics/eth0/address"},
        {"a ratio out of bounds", "PATCH", "/v1/hosts/h1", R"({"spec":{"cpuOvercommit":1e300}})", 422, "invalid",
         "/spec/cpuOvercommit"},
        {"no such project", "POST", "/v1/projects/none/vms", vm_document("a"), 404, "not-found", ""},
        {"no such VM", "GET", vms + "/none", "", 404, "not-found", ""},
        {"no such VM to stop", "POST", vms + "/none/actions/stop", "", 404, "not-found", ""},
        {"no such action", "POST", vms + "/none/actions/fly", "", 404, "no-such-action", ""},
        {"unknown argument", "POST", vms + "/web1/actions/stop", R"({"hard":true})", 422, "invalid", "/hard"},
        {"no such path", "GET", "/v1/cows", "", 404, "no-such-path", ""},
        {"wrong method", "DELETE", vms, "", 405, "method-not-allowed", ""},
        {"unknown parameter", "GET", vms + "?colour=red", "", 400, "unknown-parameter", ""},
        {"bad limit", "GET", vms + "?limit=0", "", 400, "bad-parameter", ""},
        {"bad filter", "GET", vms + "?filter=spec.cpu%3D4", "", 422, "bad-filter", ""},
        {"bad fields", "GET", vms + "?fields=speck", "", 400, "bad-parameter", ""},
        {"bad sort", "GET", vms + "?sort=speck", "", 400, "bad-parameter", ""},
        {"bad continue", "GET", vms + "?continue=xyz", "", 400, "bad-parameter", ""},
        {"bad wait", "POST", vms + "?wait=long", vm_document("a"), 400, "bad-parameter", ""},
        {"bad flag", "POST", vms + "?dryRun=perhaps", vm_document("a"), 400, "bad-parameter", ""},
        {"a duplicate", "POST", vms, vm_document("web1"), 409, "already-exists", "/name"},
        {"what we make ourselves", "PATCH", vms + "/web1", R"({"status":{"phase":"stopped"}})", 422, "invalid",
         "/status"},
        {"what can't change", "PATCH", vms + "/web1", R"({"spec":{"accelerator":"kvm"}})", 422, "invalid",
         "/spec/accelerator"},
        {"a bad pointer in a patch", "PATCH", vms + "/web1", R"({"spec":{"nope":1}})", 422, "invalid", "/spec/nope"},
        {"apply without kind", "POST", "/v1/apply", R"({"name":"a"})", 422, "invalid", "/0/kind"},
        {"apply of the same twice", "POST", "/v1/apply",
         "kind: sshkey\nname: a\nspec: {publicKey: ssh-ed25519 "
         "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA x}\n---\nkind: "
         "sshkey\nname: a\nspec: {publicKey: ssh-ed25519 "
         "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA x}\n",
         400, "malformed", "", "application/yaml"},
        {"a console that is no WebSocket", "GET", vms + "/web1/console", "", 400, "websocket-wanted", ""},
        {"a tunnel without a port", "GET", vms + "/web1/forward", "", 400, "bad-parameter", ""},
        {"watch of a future revision", "GET", "/v1/watch?since=999999999", "", 410, "other-history", ""},
        {"watch of another history", "GET", "/v1/watch?since=1-ffffffffffffffff", "", 410, "other-history", ""},
        {"watch of no kind", "GET", "/v1/watch?kinds=cows", "", 400, "bad-parameter", ""},
        {"explain of nothing", "GET", "/v1/explain/vm.spec.nope", "", 404, "not-found", ""},
        {"a task that is no id", "GET", "/v1/tasks/web1", "", 404, "not-found", ""},
        {"a host that is made by hand", "POST", "/v1/hosts", R"({"name":"h"})", 405, "method-not-allowed", ""},
        {"accept-loss of a store that lost nothing", "POST", "/v1/store/accept-loss", "", 409, "conflict", ""},
        {"upload to no image", "PUT", "/v1/projects/default/images/none/content", "x", 404, "not-found", ""},
        {"upload to an image that is there", "PUT", "/v1/projects/default/images/tiny/content", "x", 409, "conflict",
         ""},
    };
    REQUIRE(ask(client, "POST", vms + "?wait=20s", vm_document("web1")).status == 201);
    REQUIRE(ask(client, "POST", "/v1/projects/default/networks",
                R"({"name":"plain","spec":{"type":"bridged","bridge":"br0"}})")
                .status == 201);
    for (const Row& row : rows) {
        CAPTURE(row.what);
        const auto answer = ask(client, row.method, row.path, row.body, {{"Content-Type", row.type}});
        CAPTURE(answer.body.dump());
        CHECK(answer.status == row.status);
        CHECK(answer.code() == row.code);
        if (*row.pointer != '\0') CHECK(answer.pointer() == row.pointer);
        CHECK(answer.body.value("detail", "") != "");
        CHECK(answer.body.value("requestId", "") == answer.headers.value("Request-Id"));
    }
    const auto left = ask(client, "GET", vms);
    CHECK(left.body["items"].size() == 1);
    CHECK(ask(client, "GET", "/v1/projects/default/volumes").body["items"].size() == 1);
}

TEST_CASE("a body that is too large is refused, whatever its kind") {
    CloudServer cloud;
    auto client = cloud.client();
    const std::string big = "{\"name\":\"" + std::string(1 << 20, 'a') + "\"}";
    CHECK(ask(client, "POST", "/v1/flavors", big).status == 413);
    auto again = cloud.client();
    CHECK(ask(again, "POST", "/v1/apply", "[" + std::string(9 << 20, ' ') + "]").status == 413);
    auto third = cloud.client();
    CHECK(ask(third, "GET", "/healthz").status == 200);
    std::string many = "[";
    for (int i = 0; i < 200'000; ++i) many += "0,";
    const Answer refused = ask(third, "POST", "/v1/flavors", many + "0]");
    CHECK(refused.status == 413);
    CHECK(refused.body["detail"].get<std::string>().find("100000 values") != std::string::npos);
}

TEST_CASE("a method that isn't possible names those that are") {
    CloudServer cloud;
    auto client = cloud.client();
    CHECK(ask(client, "DELETE", "/v1/flavors").headers.value("Allow") == "GET, HEAD, POST");
    const auto options = client.request("OPTIONS", "/v1/flavors");
    REQUIRE(options);
    CHECK(options->status == 204);
    CHECK(options->headers.value("Allow") == "GET, HEAD, POST");
    const auto head = client.request("HEAD", "/v1/flavors");
    REQUIRE(head);
    CHECK(head->status == 200);
    CHECK(head->body.empty());
    CHECK(ask(client, "GET", "/v1/flavors", "", {{"Accept", "application/msword"}}).status == 406);
}

TEST_CASE("a project's limits are checked in the commit") {
    CloudServer cloud;
    auto client = cloud.client();
    furnish(cloud, client);
    REQUIRE(ask(client, "PATCH", "/v1/projects/default", R"({"spec":{"limits":{"vms":1}}})").status == 200);
    REQUIRE(ask(client, "POST", "/v1/projects/default/vms", vm_document("a")).status == 202);
    const auto over = ask(client, "POST", "/v1/projects/default/vms", vm_document("b"));
    CAPTURE(over.body.dump());
    CHECK(over.status == 409);
    CHECK(over.code() == "quota-exceeded");
}

TEST_CASE("an image of the catalogue is taken by its name, and a refusal lists the names") {
    CloudServer cloud;
    auto client = cloud.client();
    const auto make = [&](const char* name, const char* url) {
        return ask(client, "POST", "/v1/projects/default/images",
                   fmt::format(R"({{"name":"{}","spec":{{"url":"{}"}}}})", name, url));
    };
    CHECK(make("a", "debian-12").status < 300);
    CHECK(make("b", "https://example.com/x?token=a@b").status < 300);
    const auto refused = make("c", "debian-99");
    CHECK(refused.body["detail"].get<std::string>().find("debian-12, debian-13") != std::string::npos);
}

TEST_CASE("a range outside of the private ones is an administrator's to give") {
    CloudServer cloud;
    auto admin = cloud.client();
    const auto token =
        ask(admin, "POST", "/v1/tokens", R"({"name":"ci","spec":{"role":"editor","projects":["default"]}})");
    REQUIRE(token.status == 201);
    auto editor = cloud.tcp_client(token.body["secret"]);
    const auto make = [](http::Client& who, const char* name, const char* cidr) {
        return ask(who, "POST", "/v1/projects/default/networks",
                   fmt::format(R"({{"name":"{}","spec":{{"type":"nat","cidr":"{}"}}}})", name, cidr));
    };
    for (const char* cidr : {"8.8.8.0/24", "192.169.0.0/16", "172.0.0.0/8", "192.0.0.0/8", "100.0.0.0/8"}) {
        CAPTURE(cidr);
        const auto refused = make(editor, "a", cidr);
        CHECK(refused.status == 422);
        CHECK(refused.pointer() == "/spec/cidr");
        CHECK(refused.body["detail"].get<std::string>().find("192.168.0.0/16") != std::string::npos);
    }
    for (const char* cidr : {"172.31.0.0/16", "100.64.0.0/24", "192.168.7.0/24"}) {
        CAPTURE(cidr);
        const auto made = make(editor, fmt::format("n{}", cidr[4] - '0').c_str(), cidr);
        CAPTURE(made.body.dump());
        CHECK(made.status == 201);
    }
    CHECK(make(admin, "wide", "203.0.113.0/24").status == 201);
}

TEST_CASE("what would change too much at once is refused, and says what to do") {
    CloudServer cloud;
    auto client = cloud.client();
    furnish(cloud, client);
    REQUIRE(ask(client, "POST", "/v1/projects/default/vms?wait=20s", vm_document("web1")).status == 201);
    const auto forward = [&](int i) {
        return ask(
            client, "POST", "/v1/projects/default/portforwards",
            fmt::format(R"({{"name":"f{0}","spec":{{"vm":"web1","hostPort":{1},"guestPort":80}}}})", i, 10000 + i));
    };
    for (int i = 0; i < 100; ++i) REQUIRE(forward(i).status < 300);
    const std::string vm = "/v1/projects/default/vms/web1";
    const auto refused = ask(client, "DELETE", vm);
    CAPTURE(refused.body.dump());
    CHECK(refused.status == 409);
    CHECK(refused.code() == "too-many-changes");
    CHECK(ask(client, "GET", vm).status == 200);
    for (int i = 0; i < 10; ++i)
        CHECK(ask(client, "DELETE", fmt::format("/v1/projects/default/portforwards/f{}", i)).status < 300);
    CHECK(ask(client, "DELETE", vm).status < 300);
}
