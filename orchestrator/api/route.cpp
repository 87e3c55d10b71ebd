#include "orchestrator/api/route.hpp"

#include <algorithm>
#include <optional>
#include <span>

#include "common/http/url.hpp"
#include "orchestrator/core/actions.hpp"

namespace axle::api {
namespace {

using Segments = std::vector<std::string>;

struct Fixed {
    const char* path;
    const char* method;
    Op op;
};
constexpr Fixed kFixed[] = {
    {"/healthz", "GET", Op::healthz},
    {"/readyz", "GET", Op::readyz},
    {"/metrics", "GET", Op::metrics},
    {"/v1/version", "GET", Op::version},
    {"/v1/status", "GET", Op::status},
    {"/v1/openapi.json", "GET", Op::openapi},
    {"/v1/ca.pem", "GET", Op::authority},
    {"/v1/watch", "GET", Op::watch},
    {"/v1/events", "GET", Op::events},
    {"/v1/apply", "POST", Op::apply},
    {"/v1/store/accept-loss", "POST", Op::accept_loss},
    {"/v1/clock/accept", "POST", Op::accept_clock},
    {"/v1/capacity", "GET", Op::capacity},
    {"/v1/unclaimed", "GET", Op::unclaimed},
    {"/v1/join-info", "GET", Op::join_info},
};

struct Below {  // what lies below one object of a kind
    Kind kind;
    const char* name;
    const char* method;
    Op op;
};
constexpr Below kBelow[] = {
    {Kind::vm, "console", "GET", Op::vm_console},
    {Kind::vm, "vnc", "GET", Op::vm_vnc},
    {Kind::vm, "log", "GET", Op::vm_log},
    {Kind::vm, "screenshot", "GET", Op::vm_screenshot},
    {Kind::vm, "forward", "GET", Op::vm_forward},
    {Kind::vm, "explain", "GET", Op::vm_explain},
    {Kind::image, "content", "PUT", Op::image_content},
};

std::optional<Segments> split(std::string_view raw) {
    Segments out;
    std::size_t at = 1;
    while (at <= raw.size()) {
        const std::size_t end = std::min(raw.find('/', at), raw.size());
        auto segment = http::percent_decode(raw.substr(at, end - at));
        if (!segment) return std::nullopt;
        out.push_back(std::move(*segment));
        at = end + 1;
    }
    return out;
}

struct Choice {
    std::string method;
    Op op;
};

bool has_head(const Choice& choice) {  // a stream has no end whose length could be told
    const bool streams = choice.op == Op::watch || (choice.op >= Op::vm_console && choice.op <= Op::vm_forward);
    return choice.method == "GET" && !streams;
}

Result<Route> choose(std::string_view method, Route route, const std::vector<Choice>& choices) {
    for (const Choice& choice : choices) {
        route.allow.push_back(choice.method);
        if (has_head(choice)) route.allow.push_back("HEAD");
    }
    if (method == "OPTIONS") return route.op = Op::options, route;
    for (const Choice& choice : choices) {
        if (choice.method == method || (method == "HEAD" && has_head(choice))) return route.op = choice.op, route;
    }
    return fail(error(Code::malformed, "{} is not possible here", method)
                    .with_reason("method-not-allowed")
                    .with_hint(fmt::format("{}", fmt::join(route.allow, ", "))));
}

Error no_such_path(std::string_view raw) {
    return error(Code::not_found, "there is nothing at {}", raw.substr(0, 200))
        .with_reason("no-such-path")
        .with_hint("GET /v1/openapi.json lists all paths");
}

// rest: the segments from the kind on.
Result<Route> kind_route(std::string_view method, std::string_view raw, Route route,
                         std::span<const std::string> rest) {
    const Kind kind = route.kind->kind;
    if (rest.size() == 1) {
        std::vector<Choice> choices = {{"GET", Op::list}};
        if (may_create(kind) && !route.all_projects) choices.push_back({"POST", Op::create});
        return choose(method, std::move(route), choices);
    }
    route.name = rest[1];
    if (route.name.empty() || route.all_projects) return fail(no_such_path(raw));
    if (rest.size() == 2) {
        if (kind == Kind::task) return choose(method, std::move(route), {{"GET", Op::get}});
        return choose(method, std::move(route),
                      {{"GET", Op::get}, {"PUT", Op::replace}, {"PATCH", Op::patch}, {"DELETE", Op::remove}});
    }
    if (rest.size() == 4 && rest[2] == "actions") {
        const auto known = actions_of(kind);
        if (std::ranges::find(known, rest[3]) == known.end())
            return fail(
                error(Code::not_found, "a {} has no action \"{}\"", route.kind->name, rest[3].substr(0, 80))
                    .with_reason("no-such-action")
                    .with_hint(known.empty() ? "it has none" : fmt::format("it has: {}", fmt::join(known, ", "))));
        route.rest = rest[3];
        return choose(method, std::move(route), {{"POST", Op::action}});
    }
    std::vector<Choice> choices;
    if (rest.size() == 3) {
        for (const Below& below : kBelow) {
            if (below.kind == kind && rest[2] == below.name) choices.push_back({below.method, below.op});
        }
    }
    if (choices.empty()) return fail(no_such_path(raw));
    return choose(method, std::move(route), choices);
}

}  // namespace

const char* name_of(Op op) {
    static constexpr const char* kNames[] = {
        "list",       "create",      "get",          "replace",       "patch",      "remove",     "action",
        "vm-console", "vm-vnc",      "vm-log",       "vm-screenshot", "vm-forward", "vm-explain", "image-content",
        "apply",      "watch",       "events",       "openapi",       "explain",    "status",     "version",
        "authority",  "accept-loss", "accept-clock", "capacity",      "unclaimed",  "join-info",  "healthz",
        "readyz",     "metrics",     "options"};
    return kNames[static_cast<std::size_t>(op)];
}

Result<Route> find_route(std::string_view method, std::string_view raw) {
    if (raw.size() > 1 && raw.ends_with('/')) raw.remove_suffix(1);
    std::vector<Choice> fixed;
    for (const Fixed& f : kFixed) {
        if (raw == f.path) fixed.push_back({f.method, f.op});
    }
    if (!fixed.empty()) return choose(method, {}, fixed);
    const auto segments = raw.starts_with('/') ? split(raw) : std::nullopt;
    if (!segments || segments->size() < 2 || segments->front() != "v1") return fail(no_such_path(raw));
    const Segments& s = *segments;
    Route route;
    if (s[1] == "explain" && s.size() == 3) {
        route.rest = s[2];
        return choose(method, std::move(route), {{"GET", Op::explain}});
    }
    const auto by_plural = [](const std::string& text) {
        const KindInfo* kind = find_kind(text);
        return kind != nullptr && text == kind->plural ? kind : nullptr;
    };
    if (s[1] == "projects" && s.size() >= 4 && s[3] != "actions") {
        route.kind = by_plural(s[3]);
        route.project = s[2];
        if (route.kind == nullptr || route.kind->cluster_wide || route.project.empty()) return fail(no_such_path(raw));
        return kind_route(method, raw, std::move(route), std::span(s).subspan(3));
    }
    route.kind = by_plural(s[1]);
    if (route.kind == nullptr) return fail(no_such_path(raw));
    route.all_projects = !route.kind->cluster_wide;
    return kind_route(method, raw, std::move(route), std::span(s).subspan(1));
}

bool needs_login(Op op) {
    return op != Op::healthz && op != Op::readyz && op != Op::version && op != Op::authority && op != Op::options;
}

std::vector<std::string> actions_of(Kind kind) {
    std::vector<std::string> out;
    for (const ActionInfo& action : all_actions()) {
        if (action.kind == kind) out.emplace_back(action.name);
    }
    return out;
}

bool may_create(Kind kind) {
    return kind != Kind::task && kind != Kind::host;  // hosts join
}

bool is_streamed(std::string_view method, std::string_view raw_path) {
    const auto route = find_route(method, raw_path);
    return route && route->op == Op::image_content;
}

}  // namespace axle::api
