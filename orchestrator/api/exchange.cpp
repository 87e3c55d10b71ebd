#include "orchestrator/api/exchange.hpp"

#include <algorithm>
#include <charconv>

#include "common/base/log.hpp"
#include "common/base/units.hpp"

namespace axle::api {
namespace {

constexpr milliseconds kWaitMax{9 * 60'000};

Error bad_parameter(std::string_view name, std::string_view wanted, std::string_view is) {
    return error(Code::malformed, "the parameter {} must be {}, is \"{}\"", name, wanted, is.substr(0, 80))
        .with_reason("bad-parameter");
}

}  // namespace

Exchange::Exchange(std::shared_ptr<Api::Context> context, http::Request r, http::Reply reply)
    : request(std::move(r)),
      id(fmt::format("{}-{}", context->request_prefix,
                     context->request_number.fetch_add(1, std::memory_order_relaxed) + 1)),
      context_(std::move(context)),
      reply_(std::move(reply)),
      began_ms_(boot_now().ms) {}

std::string Exchange::text(std::string_view name) const {
    const auto value = request.parameter(name);
    return value ? std::string(*value) : std::string{};
}

Result<bool> Exchange::flag(std::string_view name) const {
    const auto value = request.parameter(name);
    if (!value || *value == "false" || *value == "0") return false;
    if (value->empty() || *value == "true" || *value == "1") return true;
    return fail(bad_parameter(name, "true or false", *value));
}

Result<std::int64_t> Exchange::number(std::string_view name, std::int64_t otherwise, std::int64_t min,
                                      std::int64_t max) const {
    const auto value = request.parameter(name);
    if (!value) return otherwise;
    std::int64_t n = 0;
    const auto read = std::from_chars(value->data(), value->data() + value->size(), n);
    if (read.ec != std::errc{} || read.ptr != value->data() + value->size() || n < min || n > max)
        return fail(bad_parameter(name, fmt::format("a number from {} to {}", min, max), *value));
    return n;
}

Result<milliseconds> Exchange::wait_time() const {
    const auto value = request.parameter("wait");
    if (!value) return milliseconds{0};
    const auto time = parse_duration(*value);
    if (!time) return fail(bad_parameter("wait", "a duration such as 60s", *value));
    return std::min(*time, kWaitMax);
}

Result<std::string> Exchange::idempotency_key() const {
    const std::string key = request.method == "POST" ? request.headers.value("Idempotency-Key") : "";
    if (key.size() > 255)
        return fail(error(Code::malformed, "Idempotency-Key has {} characters, at most 255 are taken", key.size())
                        .with_reason("bad-header"));
    return key;
}

Result<> Exchange::only_parameters(std::initializer_list<std::string_view> known) const {
    for (const auto& [name, value] : request.query) {
        if (std::ranges::find(known, name) != known.end()) continue;
        return fail(
            error(Code::malformed, "there is no parameter \"{}\" here", name.substr(0, 80))
                .with_reason("unknown-parameter")
                .with_hint(known.size() == 0 ? "it takes none" : fmt::format("known: {}", fmt::join(known, ", "))));
    }
    return {};
}

void Exchange::note_answered(int status) {
    const std::int64_t took_ms = boot_now().ms - began_ms_;
    context_->metrics.count(route.op, status, took_ms * 1000);
    if (!context_->options.access_log && status < 500) return;
    // The path without its query: that may hold what isn't for logs.
    const std::string path = request.target.substr(0, request.target.find('?'));
    const auto line = fmt::format("{} {} {} {} ms, {}", request.method, path, status, took_ms, login.who.name);
    if (status >= 500)
        log::warning(line, {{"REQUEST", id}});
    else
        log::info(line, {{"REQUEST", id}});
}

void Exchange::answer(http::Response response) {
    response.headers.set("Request-Id", id);
    if (!response.headers.has("Cache-Control")) response.headers.set("Cache-Control", "no-store");
    note_answered(response.status);
    reply_.send(std::move(response));
}

void Exchange::refuse(const Error& error) {
    if (status_of(error) == 500) log::error(error.message, {{"REQUEST", id}});
    http::Response response = problem_of(error, id);
    if (error.reason == "method-not-allowed") response.headers.set("Allow", error.hint);
    answer(std::move(response));
}

void start_ticks(const std::shared_ptr<Api::Context>& context) {
    std::weak_ptr<Api::Context> weak = context;
    context->tick_timer = context->deps.core_clock.after(context->options.bookmark_every, [weak] {
        const auto again = weak.lock();
        if (again == nullptr) return;
        std::erase_if(again->open_streams, [](const std::weak_ptr<OpenStream>& s) { return s.expired(); });
        const auto streams = again->open_streams;  // a tick may end one
        for (const auto& entry : streams) {
            if (const auto stream = entry.lock()) stream->tick();
        }
        start_ticks(again);
    });
}

}  // namespace axle::api
