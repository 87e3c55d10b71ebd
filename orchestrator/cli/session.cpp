#include "orchestrator/cli/session.hpp"

#include <array>

#include "common/base/now.hpp"
#include "common/http/url.hpp"
#include "orchestrator/cli/local_agent.hpp"

namespace axle::cli {
namespace {

struct StatusRow {
    int status;
    Code code;
};
constexpr StatusRow kStatuses[] = {
    {400, Code::malformed},    {401, Code::unauthenticated}, {403, Code::forbidden},
    {404, Code::not_found},    {409, Code::conflict},        {410, Code::gone},
    {412, Code::precondition}, {413, Code::too_large},       {422, Code::invalid},
    {429, Code::exhausted},    {503, Code::unavailable},     {504, Code::timeout},
    {507, Code::no_space},
};

Code code_of_status(int status) {
    for (const StatusRow& row : kStatuses) {
        if (row.status == status) return row.code;
    }
    return status >= 500 ? Code::internal : Code::malformed;
}

}  // namespace

std::string word(const json& object, const char* key) {
    const auto found = object.is_object() ? object.find(key) : object.end();
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

std::optional<Output> parse_output(std::string_view text) {
    static constexpr std::array<std::pair<std::string_view, Output>, 6> kOutputs = {{{"table", Output::table},
                                                                                     {"wide", Output::wide},
                                                                                     {"json", Output::json_text},
                                                                                     {"yaml", Output::yaml},
                                                                                     {"name", Output::name},
                                                                                     {"csv", Output::csv}}};
    for (const auto& [name, output] : kOutputs) {
        if (text == name) return output;
    }
    return std::nullopt;
}

int exit_code_of(const Error& error) {
    switch (error.code) {
        case Code::not_found:
            return 3;
        case Code::conflict:
        case Code::busy:
        case Code::precondition:
            return error.reason.starts_with("task-") ? 1 : 4;
        case Code::unauthenticated:
        case Code::forbidden:
            return 5;
        case Code::quota:
            return 6;
        case Code::timeout:
            return error.reason == "detached" ? 130 : 7;
        default:
            return error.reason == "usage" ? 2 : 1;
    }
}

void tell_error(const Terminal& terminal, const Error& error) {
    terminal.say("error: " + error.message);
    if (error.fields.size() > 1) {
        for (const FieldError& field : error.fields)
            terminal.say(fmt::format("  {}: {}", dotted(field.pointer), field.detail));
    }
    if (!error.hint.empty()) terminal.say("hint: " + error.hint);
}

Error error_of_response(const http::Response& response) {
    Error e{.code = code_of_status(response.status)};
    const json problem = json::parse(response.body, nullptr, false);
    if (!problem.is_object()) {
        e.message = fmt::format("the server answered {} {}", response.status, http::reason_phrase(response.status));
        return e;
    }
    e.message = word(problem, "detail");
    e.hint = word(problem, "hint");
    e.reason = word(problem, "code");
    if (e.reason == "quota-exceeded") e.code = Code::quota;
    const auto errors = problem.find("errors");
    if (errors != problem.end() && errors->is_array()) {
        for (const json& field : *errors)
            e.fields.push_back({word(field, "pointer"), word(field, "code"), word(field, "detail")});
    }
    return e;
}

Session::Session(const Terminal& terminal, Flags flags, Context context, http::Client client)
    : terminal_(&terminal), flags_(std::move(flags)), context_(std::move(context)), client_(std::move(client)) {}

Result<Session> Session::open(const Terminal& terminal, const Flags& flags) {
    TRY(context, choose_context(terminal, flags.wanted));
    auto endpoint = http::Endpoint::parse(context.endpoint);
    if (!endpoint) return fail(std::move(endpoint.error()).in("the endpoint"));
    http::ClientOptions options{.endpoint = std::move(*endpoint),
                                .authority = context.authority,
                                .fingerprint = context.fingerprint,
                                .token = context.token};
    if (options.endpoint.kind == http::Endpoint::Kind::https && options.authority.empty() &&
        options.fingerprint.empty())
        return fail(error(Code::unauthenticated, "the certificate of {} is not known", context.endpoint)
                        .with_hint(fmt::format("axle login {} shows it and keeps it", context.endpoint)));
    TRY_VOID(check_trust(context, wall_now()));
    return Session(terminal, flags, std::move(context), http::Client(std::move(options)));
}

Result<json> Session::send_text(const char* method, const std::string& target, std::string_view body, const char* type,
                                std::string* location) {
    http::Headers headers;
    if (*type != '\0') headers.set("Content-Type", type);
    auto response = client_.request(method, target, headers, body);
    if (!response) {
        Error e = std::move(response.error());
        const bool of_this_machine = context_.name.empty() && context_.endpoint.starts_with("unix:");
        if (e.code == Code::unavailable && of_this_machine) e = nobody_here(std::move(e));
        return fail(std::move(e));
    }
    if (response->status < 200 || response->status > 299) return fail(error_of_response(*response));
    if (location != nullptr) *location = response->headers.value("Location");
    if (response->body.empty()) return json::object();
    json out = json::parse(response->body, nullptr, false);
    if (out.is_discarded()) return fail(Code::malformed, "the server's answer to {} {} is not JSON", method, target);
    return out;
}

Result<json> Session::request(const char* method, const std::string& target, const json* body, std::string* location) {
    if (body == nullptr) return send_text(method, target, "", "", location);
    const char* type = std::string_view(method) == "PATCH" ? "application/merge-patch+json" : "application/json";
    return send_text(method, target, body->dump(), type, location);
}

Result<json> Session::list(const KindInfo& kind, Query query) {
    std::string path = path_of(kind);
    if (flags_.all_projects && !kind.cluster_wide) path = fmt::format("/v1/{}", kind.plural);
    return list_at(path, std::move(query));
}

Result<json> Session::list_at(const std::string& path, Query query) {
    json all = json::array();
    query.emplace_back("limit", "1000");
    query.emplace_back("continue", "");
    while (true) {
        Query asked = query;
        if (asked.back().second.empty()) asked.pop_back();
        TRY(page, get(path + http::query_string(asked)));
        for (json& item : page["items"]) all.push_back(std::move(item));
        query.back().second = word(page, "continue");
        if (query.back().second.empty()) return all;
    }
}

std::string Session::path_of(const KindInfo& kind, const std::string& name) const {
    std::string of_project = context_.project, bare = name;
    if (const std::size_t slash = name.find('/'); slash != std::string::npos && !kind.cluster_wide) {
        of_project = name.substr(0, slash);
        bare = name.substr(slash + 1);
    }
    std::string path = kind.cluster_wide
                           ? fmt::format("/v1/{}", kind.plural)
                           : fmt::format("/v1/projects/{}/{}", http::percent_encode(of_project), kind.plural);
    if (!bare.empty()) path += "/" + http::percent_encode(bare);
    return path;
}

}  // namespace axle::cli
