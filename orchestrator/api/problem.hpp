// Errors as RFC 9457 problems: the one table from our codes to HTTP's statuses. Pure.
#pragma once
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "common/base/result.hpp"
#include "common/http/message.hpp"

namespace axle::api {

int status_of(const Error& error);
bool is_retryable(const Error& error);  // the same request may succeed later, without a change
nlohmann::json problem_json(const Error& error, std::string_view request_id);
// With WWW-Authenticate, Retry-After where they belong.
http::Response problem_of(const Error& error, std::string_view request_id);

}  // namespace axle::api
