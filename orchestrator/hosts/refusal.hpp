// An error as the answer that a machine gets: problem+json with the words for whoever reads its log.
#pragma once
#include "common/base/result.hpp"
#include "common/http/message.hpp"

namespace axle {

inline int status_of_refusal(Code code) {
    switch (code) {
        case Code::malformed:
            return 400;
        case Code::unauthenticated:
            return 401;
        case Code::forbidden:
            return 403;
        case Code::not_found:
            return 404;
        case Code::conflict:
        case Code::busy:
            return 409;
        case Code::too_large:
            return 413;
        case Code::precondition:
            return 416;
        case Code::invalid:
            return 422;
        case Code::exhausted:
            return 429;
        case Code::unavailable:
            return 503;
        default:
            return 500;
    }
}

inline http::Response refusal(const Error& error) {
    return http::problem(status_of_refusal(error.code), error.reason.empty() ? name_of(error.code) : error.reason,
                         error.message, error.hint);
}

}  // namespace axle
