#include "orchestrator/api/api.hpp"

#include "common/base/digest.hpp"
#include "orchestrator/api/exchange.hpp"
#include "orchestrator/api/watch.hpp"

namespace axle::api {
namespace {

// A few characters that differ from start to start, so that request ids of two runs don't mix in the logs.
std::string prefix_of_run(const Store& store) {
    const StoreState state = store.state();
    return sha256_hex(state.run_id + std::to_string(boot_now().ms)).substr(0, 8);
}

bool accepts_our_answer(const http::Request& request) {
    const std::string accept = request.headers.value("Accept");
    if (accept.empty()) return true;
    for (const char* fine : {"*/*", "application/*", "json", "text/", "image/", "application/octet-stream"}) {
        if (accept.find(fine) != std::string::npos) return true;
    }
    return false;
}

// Error: answered with its problem. A caller's own limit comes after the login, a stranger's before its refusal.
Result<> admit_caller(Exchange& x) {
    auto& context = x.context();
    const BootTime now = boot_now();
    auto login =
        authenticate(x.request, *context.deps.service.access(), {.admin_gid = context.options.admin_gid}, wall_now());
    if (!login) {
        const std::string address = x.request.peer != nullptr ? x.request.peer->ip : "";
        if (!address.empty() && context.strangers.take(address, now))
            return fail(error(Code::exhausted, "too many requests from {} without a valid login", address)
                            .with_hint("wait a second"));
        return fail(std::move(login.error()));
    }
    x.login = std::move(*login);
    if (x.login.token_hash.empty()) return {};
    if (const auto wait = context.requests.take(x.login.token_hash, now))
        return fail(error(Code::exhausted, "{} sent more than {} requests a second", x.login.who.name,
                          context.options.requests_a_second)
                        .with_hint(fmt::format("wait {} ms", wait->count())));
    return {};
}

void answer_options(Exchange& x) {
    http::Response response{.status = 204};
    response.headers.set("Allow", fmt::format("{}", fmt::join(x.route.allow, ", ")));
    x.answer(std::move(response));
}

void dispatch(const ExchangePtr& x) {
    const bool is_task = x->route.kind != nullptr && x->route.kind->kind == Kind::task;
    switch (x->route.op) {
        case Op::list:
            return is_task ? handle_task_list(x) : handle_list(x);
        case Op::get:
            return is_task ? handle_task_get(x) : handle_get(x);
        case Op::create:
        case Op::replace:
        case Op::patch:
        case Op::remove:
        case Op::action:
            return handle_mutation(x);
        case Op::apply:
            return handle_apply(x);
        case Op::watch:
            return handle_watch(x);
        case Op::events:
            return handle_events(x);
        case Op::vm_console:
        case Op::vm_vnc:
        case Op::vm_log:
        case Op::vm_screenshot:
        case Op::vm_forward:
            return handle_stream(x);
        case Op::vm_explain:
            return handle_vm_explain(x);
        case Op::image_content:
            return handle_upload(x);
        case Op::capacity:
            return handle_capacity(x);
        case Op::unclaimed:
            return handle_unclaimed(x);
        case Op::options:
            return answer_options(*x);
        default:
            return handle_system(x);
    }
}

}  // namespace

Api::Context::Context(ApiDeps d, ApiOptions o)
    : deps(d),
      options(std::move(o)),
      requests(options.requests_a_second, options.request_burst),
      strangers(options.strangers_a_second, options.strangers_a_second * 2),
      streams(options.streams_max),
      uploading(options.uploads_each_max),
      slow("api-slow", {.threads = 4, .queue_max = 256}),
      uploads("api-uploads", {.threads = 8, .queue_max = 64}),
      request_prefix(prefix_of_run(deps.store)) {}

Api::Api(ApiDeps deps, ApiOptions options) : context_(std::make_shared<Context>(deps, std::move(options))) {
    context_->deps.core.post([context = context_] { start_ticks(context); });
}

Api::~Api() {
    context_->slow.stop();
    context_->uploads.stop();
}

void Api::handle(http::Request request, http::Reply reply) {
    auto x = std::make_shared<Exchange>(context_, std::move(request), std::move(reply));
    auto route =
        find_route(x->request.method, std::string_view(x->request.target).substr(0, x->request.target.find('?')));
    if (!route) {
        context_->metrics.count_refused();
        x->route.op = Op::options;  // has none of its own
        return x->refuse(route.error());
    }
    x->route = std::move(*route);
    if (needs_login(x->route.op)) {
        if (auto admitted = admit_caller(*x); !admitted) {
            context_->metrics.count_refused();
            return x->refuse(admitted.error());
        }
    }
    if (!accepts_our_answer(x->request))
        return x->refuse(error(Code::malformed, "nothing of what Accept names can be given")
                             .with_reason("not-acceptable")
                             .with_hint("answers are application/json"));
    dispatch(x);
}

http::ServerOptions Api::server_options() {
    http::ServerOptions options;
    options.body_limit = [](std::string_view, std::string_view path) -> std::int64_t {
        return path == "/v1/apply" ? std::int64_t{8} << 20 : std::int64_t{1} << 20;
    };
    options.is_streamed = is_streamed;
    return options;
}

}  // namespace axle::api
