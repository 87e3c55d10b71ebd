#include "common/link/refusal.hpp"

#include <nlohmann/json.hpp>

#include "common/model/codec.hpp"

namespace axle {
namespace {

struct Row {
    Code code;
    int status;
};
// Of codes with one status the first is what that status is read as.
constexpr Row kRows[] = {
    {Code::malformed, 400}, {Code::unauthenticated, 401}, {Code::forbidden, 403},
    {Code::not_found, 404}, {Code::conflict, 409},        {Code::busy, 409},
    {Code::too_large, 413}, {Code::precondition, 416},    {Code::corrupt, 422},
    {Code::invalid, 422},   {Code::exhausted, 429},       {Code::unavailable, 503},
    {Code::timeout, 504},   {Code::no_space, 507},
};

void read_text(const nlohmann::json& body, const char* key, std::string& to) {
    const auto found = body.find(key);
    if (found != body.end() && found->is_string()) to = found->get<std::string>();
}

int status_of(Code code) {
    for (const Row& row : kRows) {
        if (row.code == code) return row.status;
    }
    return 500;
}

}  // namespace

http::Response refusal(const Error& error) {
    return http::problem(status_of(error.code), error.reason.empty() ? name_of(error.code) : error.reason,
                         error.message, error.hint);
}

Code code_of_refusal(int status) {
    for (const Row& row : kRows) {
        if (row.status == status) return row.code;
    }
    return Code::internal;
}

Error error_of_refusal(const http::Response& response) {
    Error e = error(code_of_refusal(response.status), "status {}", response.status);
    const auto body = parse_json(response.body);
    if (!body || !body->is_object()) return e;
    read_text(*body, "detail", e.message);
    read_text(*body, "hint", e.hint);
    read_text(*body, "code", e.reason);
    return e;
}

}  // namespace axle
