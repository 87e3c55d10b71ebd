// What an operation that may fail gives back: a value, or an Error that says what to do. The one place that knows
// tl::expected, so that std::expected can replace it.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <tl/expected.hpp>

namespace axle {

// What the caller may react to. A new code only where some caller acts on it. HTTP statuses are derived from it in one
// table (orchestrator/api).
enum class Code {
    malformed,        // the bytes are not what they claim to be (400)
    unauthenticated,  // 401
    forbidden,        // 403
    not_found,        // 404
    conflict,         // the state does not allow it (409)
    busy,             // an exclusive task runs; the message names it (409, retryable)
    gone,             // history no longer reaches back (410)
    precondition,     // If-Match did not match (412)
    too_large,        // 413
    invalid,          // well-formed, but breaks a rule; `fields` says which (422)
    quota,            // a project limit (409 with code quota-exceeded)
    exhausted,        // too many requests or a full queue (429)
    no_space,         // 507
    unavailable,      // 503, retryable
    timeout,          // the outcome is unknown: look before you act again
    corrupt,          // stored data can't be read
    internal,         // our own mistake (500)
};

// One field that breaks a rule. pointer: JSON pointer into the body ("/spec/nics/eth0/network").
struct FieldError {
    std::string pointer;
    std::string code;    // stable, kebab-case: unknown-field, required, out-of-range, wrong-type, no-such-object, ...
    std::string detail;  // for a person, with the numbers
};

struct [[nodiscard]] Error {
    Code code = Code::internal;
    std::string message;    // subject, reason, numbers
    std::string hint = {};  // what to do about it
    std::vector<FieldError> fields = {};
    std::string reason = {};  // stable kebab-case code where Code alone is too coarse, e.g. "quota-exceeded"

    Error&& with_hint(std::string text) && { return hint = std::move(text), std::move(*this); }
    Error&& with_reason(std::string text) && { return reason = std::move(text), std::move(*this); }
    Error&& in(std::string_view context) && {
        return message = fmt::format("{}: {}", context, message), std::move(*this);
    }
};

template <typename T = void>
using Result = tl::expected<T, Error>;

template <typename... Args>
Error error(Code code, fmt::format_string<Args...> text, Args&&... args) {
    return Error{code, fmt::format(text, std::forward<Args>(args)...)};
}
template <typename... Args>
auto fail(Code code, fmt::format_string<Args...> text, Args&&... args) {
    return tl::unexpected(Error{code, fmt::format(text, std::forward<Args>(args)...)});
}
inline auto fail(Error e) {
    return tl::unexpected(std::move(e));
}

const char* name_of(Code code);  // kebab-case, as it stands in logs and problem+json

}  // namespace axle

// TRY(name, expression): name is the value, or the function returns the error.
#define AXLE_TRY_CONCAT_(a, b) a##b
#define AXLE_TRY_CONCAT(a, b) AXLE_TRY_CONCAT_(a, b)
#define TRY(name, ...)                                                                                             \
    auto AXLE_TRY_CONCAT(try_, __LINE__) = (__VA_ARGS__);                                                          \
    if (!AXLE_TRY_CONCAT(try_, __LINE__)) return ::axle::fail(std::move(AXLE_TRY_CONCAT(try_, __LINE__).error())); \
    auto& name = *AXLE_TRY_CONCAT(try_, __LINE__)
#define TRY_VOID(...)                                                        \
    do {                                                                     \
        auto try_result = (__VA_ARGS__);                                     \
        if (!try_result) return ::axle::fail(std::move(try_result.error())); \
    } while (false)
