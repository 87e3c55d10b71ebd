// Paths to operations; errors to problems; who may come in and how often.
#include "orchestrator/api/route.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "common/base/digest.hpp"
#include "orchestrator/api/access.hpp"
#include "orchestrator/api/problem.hpp"
#include "orchestrator/api/rate_limit.hpp"

using namespace axle;
using namespace axle::api;

TEST_CASE("a path and a method are one operation") {
    struct Row {
        const char *method, *path;
        Op op;
        const char *kind, *project, *name, *rest;
    };
    for (const Row& row : {
             Row{"GET", "/v1/projects/p/vms", Op::list, "vm", "p", "", ""},
             Row{"HEAD", "/v1/projects/p/vms", Op::list, "vm", "p", "", ""},
             Row{"POST", "/v1/projects/p/vms", Op::create, "vm", "p", "", ""},
             Row{"GET", "/v1/projects/p/vms/web1", Op::get, "vm", "p", "web1", ""},
             Row{"GET", "/v1/projects/p/vms/web1/", Op::get, "vm", "p", "web1", ""},
             Row{"PUT", "/v1/projects/p/vms/web1", Op::replace, "vm", "p", "web1", ""},
             Row{"PATCH", "/v1/projects/p/vms/web1", Op::patch, "vm", "p", "web1", ""},
             Row{"DELETE", "/v1/projects/p/vms/web1", Op::remove, "vm", "p", "web1", ""},
             Row{"POST", "/v1/projects/p/vms/web1/actions/stop", Op::action, "vm", "p", "web1", "stop"},
             Row{"GET", "/v1/projects/p/vms/web1/console", Op::vm_console, "vm", "p", "web1", ""},
             Row{"GET", "/v1/projects/p/vms/web1/log", Op::vm_log, "vm", "p", "web1", ""},
             Row{"PUT", "/v1/projects/p/images/debian-12/content", Op::image_content, "image", "p", "debian-12", ""},
             Row{"GET", "/v1/vms", Op::list, "vm", "", "", ""},
             Row{"GET", "/v1/projects", Op::list, "project", "", "", ""},
             Row{"POST", "/v1/projects", Op::create, "project", "", "", ""},
             Row{"GET", "/v1/projects/p", Op::get, "project", "", "p", ""},
             Row{"GET", "/v1/hosts/h1.example", Op::get, "host", "", "h1.example", ""},
             Row{"POST", "/v1/hosts/h1/actions/cordon", Op::action, "host", "", "h1", "cordon"},
             Row{"GET", "/v1/tasks/0190", Op::get, "task", "", "0190", ""},
             Row{"POST", "/v1/tasks/0190/actions/cancel", Op::action, "task", "", "0190", "cancel"},
             Row{"GET", "/v1/explain/vm.spec", Op::explain, nullptr, "", "", "vm.spec"},
             Row{"POST", "/v1/apply", Op::apply, nullptr, "", "", ""},
             Row{"GET", "/v1/watch", Op::watch, nullptr, "", "", ""},
             Row{"GET", "/healthz", Op::healthz, nullptr, "", "", ""},
             Row{"GET", "/v1/projects/p/vms/a%2Fb", Op::get, "vm", "p", "a/b", ""},
             Row{"OPTIONS", "/v1/projects/p/vms", Op::options, "vm", "p", "", ""},
         }) {
        CAPTURE(row.method);
        CAPTURE(row.path);
        const auto route = find_route(row.method, row.path);
        REQUIRE(route);
        CHECK(route->op == row.op);
        CHECK((route->kind == nullptr ? std::string() : route->kind->name) == (row.kind == nullptr ? "" : row.kind));
        CHECK(route->project == row.project);
        CHECK(route->name == row.name);
        CHECK(route->rest == row.rest);
    }
}

TEST_CASE("every kind and every action has its path") {
    for (const KindInfo& kind : all_kinds()) {
        CAPTURE(kind.name);
        const std::string base =
            kind.cluster_wide ? fmt::format("/v1/{}", kind.plural) : fmt::format("/v1/projects/p/{}", kind.plural);
        CHECK(find_route("GET", base));
        CHECK(find_route("GET", base + "/x"));
        for (const std::string& action : actions_of(kind.kind))
            CHECK(find_route("POST", base + "/x/actions/" + action));
    }
}

TEST_CASE("what isn't there is refused with a hint, what isn't possible with what is") {
    for (const char* path : {"/", "/v2/vms", "/v1", "/v1/", "/v1/cows", "/v1/vm", "/v1/projects/p/hosts",
                             "/v1/projects//vms", "/v1/projects/p/vms/a/b/c/d", "/v1/vms/web1", "/v1/hosts/h/console",
                             "/v1/projects/p/vms/a%zz", "/v1/tasks/x/y", "vms"}) {
        CAPTURE(path);
        const auto route = find_route("GET", path);
        REQUIRE_FALSE(route);
        CHECK(status_of(route.error()) == 404);
        CHECK(route.error().hint != "");
    }
    const auto wrong_action = find_route("POST", "/v1/projects/p/vms/a/actions/fly");
    REQUIRE_FALSE(wrong_action);
    CHECK(wrong_action.error().hint.find("start, stop") != std::string::npos);
    struct Row {
        const char *method, *path, *allow;
    };
    for (const Row& row : {Row{"DELETE", "/v1/projects/p/vms", "GET, HEAD, POST"}, Row{"POST", "/v1/vms", "GET, HEAD"},
                           Row{"POST", "/v1/tasks", "GET, HEAD"}, Row{"GET", "/v1/apply", "POST"},
                           Row{"GET", "/v1/projects/p/vms/a/actions/stop", "POST"},
                           Row{"POST", "/v1/hosts", "GET, HEAD"}, Row{"DELETE", "/v1/tasks/x", "GET, HEAD"}}) {
        CAPTURE(row.path);
        const auto route = find_route(row.method, row.path);
        REQUIRE_FALSE(route);
        CHECK(status_of(route.error()) == 405);
        CHECK(route.error().hint == row.allow);
    }
}

TEST_CASE("only an image's content is streamed") {
    CHECK(is_streamed("PUT", "/v1/projects/p/images/x/content"));
    CHECK_FALSE(is_streamed("POST", "/v1/projects/p/images/x/content"));
    CHECK_FALSE(is_streamed("PUT", "/v1/projects/p/images/x"));
}

TEST_CASE("each code is one status, and problems tell all that is known") {
    struct Row {
        Code code;
        int status;
    };
    for (const Row& row :
         {Row{Code::malformed, 400}, Row{Code::unauthenticated, 401}, Row{Code::forbidden, 403},
          Row{Code::not_found, 404}, Row{Code::conflict, 409}, Row{Code::busy, 409}, Row{Code::gone, 410},
          Row{Code::precondition, 412}, Row{Code::too_large, 413}, Row{Code::invalid, 422}, Row{Code::quota, 409},
          Row{Code::exhausted, 429}, Row{Code::no_space, 507}, Row{Code::unavailable, 503}, Row{Code::timeout, 504},
          Row{Code::corrupt, 500}, Row{Code::internal, 500}}) {
        const Error e = error(row.code, "text");
        CHECK(status_of(e) == row.status);
        const auto response = problem_of(e, "r-1");
        CHECK(response.headers.value("Content-Type") == "application/problem+json");
        CHECK(response.headers.has("Retry-After") == (row.status == 429 || row.status == 503));
        CHECK(response.headers.has("WWW-Authenticate") == (row.status == 401));
    }
    Error e = fields_error({{"/spec/cpus", "out-of-range", "must be 1 to 256, is 0"}});
    e.hint = "write a number";
    const auto problem = problem_json(e, "r-2");
    CHECK(problem["status"] == 422);
    CHECK(problem["code"] == "invalid");
    CHECK(problem["detail"] == "spec.cpus: must be 1 to 256, is 0");
    CHECK(problem["errors"][0]["pointer"] == "/spec/cpus");
    CHECK(problem["errors"][0]["code"] == "out-of-range");
    CHECK(problem["hint"] == "write a number");
    CHECK(problem["requestId"] == "r-2");
    CHECK(problem["retryable"] == false);
    CHECK(problem_json(error(Code::quota, "x"), "r")["code"] == "quota-exceeded");
    CHECK(problem_of(error(Code::malformed, "\xff\xfe"), "r").body.find("detail") != std::string::npos);
}

namespace {
http::Request request_of(http::Peer peer, const std::string& authorization = "") {
    http::Request request;
    request.peer = std::make_shared<const http::Peer>(std::move(peer));
    if (!authorization.empty()) request.headers.set("Authorization", authorization);
    return request;
}
}  // namespace

TEST_CASE("a caller is a token or the unix socket's peer, and nobody else") {
    AccessSnapshot access;
    access.by_token_hash[sha256_hex("secret")] = {{.name = "token:ci", .role = Role::editor}, 0};
    access.by_token_hash[sha256_hex("old")] = {{.name = "token:old"}, 1000};
    const http::Peer tcp{.kind = http::Peer::Kind::tls, .ip = "192.0.2.1"};
    const AccessRules rules{.admin_gid = 77};
    const auto ask = [&](const http::Request& r, std::int64_t now = 500) {
        return authenticate(r, access, rules, {now});
    };
    CHECK(ask(request_of(tcp, "Bearer secret"))->who.name == "token:ci");
    CHECK(ask(request_of(tcp, "bearer secret"))->who.role == Role::editor);
    CHECK(ask(request_of(tcp)).error().code == Code::unauthenticated);
    CHECK(ask(request_of(tcp, "Bearer wrong")).error().reason == "unknown-token");
    CHECK(ask(request_of(tcp, "Basic secret")).error().code == Code::unauthenticated);
    CHECK(ask(request_of(tcp, "Bearer ")).error().code == Code::unauthenticated);
    CHECK(ask(request_of(tcp, "Bearer " + std::string(600, 'x'))).error().code == Code::unauthenticated);
    CHECK(ask(request_of(tcp, "Bearer old")));
    const auto expired = ask(request_of(tcp, "Bearer old"), 1000);
    CHECK(expired.error().reason == "expired-token");
    CHECK(expired.error().message.find("1970") != std::string::npos);

    const auto unix_peer = [](std::uint32_t uid, std::uint32_t gid, std::vector<std::uint32_t> groups = {}) {
        return http::Peer{.kind = http::Peer::Kind::unix_socket, .uid = uid, .gid = gid, .groups = std::move(groups)};
    };
    CHECK(ask(request_of(unix_peer(0, 0)))->who.role == Role::admin);
    CHECK(ask(request_of(unix_peer(1000, 77)))->who.all_projects);
    CHECK(ask(request_of(unix_peer(1000, 1000, {5, 77})))->who.name == "unix:1000");
    CHECK(ask(request_of(unix_peer(1000, 1000))).error().code == Code::forbidden);
    CHECK(ask(request_of(unix_peer(0, 0), "Bearer secret"))->who.role == Role::editor);

    const Login login = *ask(request_of(tcp, "Bearer old"));
    CHECK(still_holds(login, access, {999}));
    CHECK_FALSE(still_holds(login, access, {1000}));
    access.by_token_hash.clear();
    CHECK_FALSE(still_holds(login, access, {1}));
}

TEST_CASE("a bucket gives its burst, then its rate") {
    RateLimiter limiter(10, 3);
    const BootTime start{1000};
    for (int i = 0; i < 3; ++i) CHECK_FALSE(limiter.take("a", start));
    const auto wait = limiter.take("a", start);
    REQUIRE(wait);
    CHECK(wait->count() == 100);
    CHECK_FALSE(limiter.take("b", start));  // everybody has one's own
    CHECK(limiter.take("a", start + milliseconds{50}));
    CHECK_FALSE(limiter.take("a", start + milliseconds{101}));
    CHECK(limiter.take("a", start + milliseconds{101}));
    for (int i = 0; i < 3; ++i) CHECK_FALSE(limiter.take("a", start + milliseconds{10'000}));
    CHECK(limiter.take("a", start + milliseconds{10'000}));
    CHECK_FALSE(RateLimiter(0, 0).take("a", start));
}

TEST_CASE("a flood of callers doesn't grow without bound") {
    RateLimiter limiter(1, 1);
    for (int i = 0; i < 20'000; ++i) (void)limiter.take(std::to_string(i), {i});
    CHECK(limiter.callers() <= 4096);
}

TEST_CASE("places are given back") {
    Places places(2);
    auto one = places.take("a"), two = places.take("a");
    CHECK(one);
    CHECK(two);
    CHECK_FALSE(places.take("a"));
    CHECK(places.take("b"));
    one = nullptr;
    CHECK(places.take("a"));
    CHECK(places.taken() == 1);
}
