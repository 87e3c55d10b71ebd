#include "orchestrator/api/problem.hpp"

#include <nlohmann/json.hpp>

namespace axle::api {
namespace {

struct Row {
    Code code;
    int status;
    bool retryable;
    const char* code_text;  // null: the code's own name
};
constexpr Row kRows[] = {
    {Code::malformed, 400, false, nullptr},      {Code::unauthenticated, 401, false, nullptr},
    {Code::forbidden, 403, false, nullptr},      {Code::not_found, 404, false, nullptr},
    {Code::conflict, 409, false, nullptr},       {Code::busy, 409, true, nullptr},
    {Code::gone, 410, false, nullptr},           {Code::precondition, 412, false, nullptr},
    {Code::too_large, 413, false, nullptr},      {Code::invalid, 422, false, nullptr},
    {Code::quota, 409, false, "quota-exceeded"}, {Code::exhausted, 429, true, nullptr},
    {Code::no_space, 507, true, nullptr},        {Code::unavailable, 503, true, nullptr},
    {Code::timeout, 504, false, nullptr},  // the outcome is unknown: look, then repeat
    {Code::corrupt, 500, false, nullptr},        {Code::internal, 500, false, nullptr},
};

// What only HTTP knows has no Code of its own: nothing below the API would act on it.
struct Special {
    std::string_view reason;
    int status;
};
constexpr Special kSpecials[] = {
    {"method-not-allowed", 405},     {"not-acceptable", 406},  {"too-slow", 408},
    {"unsupported-media-type", 415}, {"not-implemented", 501},
};

const Row& row_of(Code code) {
    for (const Row& row : kRows) {
        if (row.code == code) return row;
    }
    return kRows[std::size(kRows) - 1];
}

}  // namespace

int status_of(const Error& error) {
    for (const Special& special : kSpecials) {
        if (error.reason == special.reason) return special.status;
    }
    return row_of(error.code).status;
}

bool is_retryable(const Error& error) {
    return row_of(error.code).retryable;
}

nlohmann::json problem_json(const Error& error, std::string_view request_id) {
    const int status = status_of(error);
    const Row& row = row_of(error.code);
    std::string code = error.reason;
    if (code.empty()) code = row.code_text != nullptr ? row.code_text : name_of(error.code);
    nlohmann::json out = {{"type", "about:blank"},
                          {"title", http::reason_phrase(status)},
                          {"status", status},
                          {"code", code},
                          {"detail", error.message},
                          {"retryable", row.retryable},
                          {"requestId", std::string(request_id)}};
    if (!error.hint.empty()) out["hint"] = error.hint;
    for (const FieldError& field : error.fields)
        out["errors"].push_back({{"pointer", field.pointer}, {"code", field.code}, {"detail", field.detail}});
    return out;
}

http::Response problem_of(const Error& error, std::string_view request_id) {
    http::Response response;
    response.status = status_of(error);
    response.headers.set("Content-Type", "application/problem+json");
    if (response.status == 401) response.headers.set("WWW-Authenticate", "Bearer realm=\"axle\"");
    if (response.status == 429) response.headers.set("Retry-After", "1");
    if (response.status == 503) response.headers.set("Retry-After", "2");
    // Texts that came from outside may hold anything: what isn't UTF-8 is replaced, never thrown over.
    response.body = problem_json(error, request_id).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    return response;
}

}  // namespace axle::api
