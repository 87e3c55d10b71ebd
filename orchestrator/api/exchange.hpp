// One request on its way to its answer, and what all of them share. A handler runs on a worker, asks the core through
// on_core() and answers from on_worker(): nobody waits.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/now.hpp"
#include "common/http/reply.hpp"
#include "common/loop/workers.hpp"
#include "orchestrator/api/access.hpp"
#include "orchestrator/api/api.hpp"
#include "orchestrator/api/metrics.hpp"
#include "orchestrator/api/problem.hpp"
#include "orchestrator/api/rate_limit.hpp"
#include "orchestrator/api/route.hpp"

namespace axle::api {

// What a caller holds open. Core thread.
struct OpenStream {
    virtual ~OpenStream() = default;
    virtual void tick() = 0;  // now and then: it ends itself when its login holds no longer
};

struct Api::Context {
    Context(ApiDeps d, ApiOptions o);

    ApiDeps deps;
    ApiOptions options;
    Metrics metrics;
    RateLimiter requests, strangers;
    Places streams, uploading;
    Workers slow;     // for reads of the store that take long
    Workers uploads;  // an upload holds its thread while it lasts
    std::atomic<std::uint64_t> request_number{0};
    const std::string request_prefix;  // of this process

    // Core thread.
    std::vector<std::weak_ptr<OpenStream>> open_streams;
    TimerId tick_timer = 0;

    std::string history() const { return deps.store.state().history; }
};

class Exchange : public std::enable_shared_from_this<Exchange> {
  public:
    Exchange(std::shared_ptr<Api::Context> context, http::Request r, http::Reply reply);

    Api::Context& context() { return *context_; }
    const std::shared_ptr<Api::Context>& shared_context() const { return context_; }
    Service& service() { return context_->deps.service; }

    http::Request request;
    Route route;
    Login login;
    const std::string id;  // request id: in the answer, in problems, in the log

    const Principal& who() const { return login.who; }
    Locator target() const { return {route.kind->kind, route.project, route.name}; }

    // Parameters of the query. Error: Code::malformed, naming the parameter.
    std::string text(std::string_view name) const;
    Result<bool> flag(std::string_view name) const;
    Result<std::int64_t> number(std::string_view name, std::int64_t otherwise, std::int64_t min,
                                std::int64_t max) const;
    Result<milliseconds> wait_time() const;       // ?wait=60s, at most 9 min; 0: none
    Result<std::string> idempotency_key() const;  // of a POST; empty: it has none
    Result<> only_parameters(std::initializer_list<std::string_view> known) const;

    // The job runs on the core's thread, on a worker (in place when their queue is full: an answer is never lost).
    template <typename Job>
    void on_core(Job job) {
        context_->deps.core.post([self = shared_from_this(), job = std::move(job)]() mutable { job(*self); });
    }
    template <typename Job>
    void on_worker(Job job) {
        std::function<void()> run = [self = shared_from_this(), job = std::move(job)]() mutable { job(*self); };
        if (!context_->deps.workers.submit(run)) run();
    }

    // Once, any thread.
    void answer(http::Response response);
    void refuse(const Error& error);
    // For streams and WebSockets: the answer is made by the caller.
    http::Reply& reply() { return reply_; }
    void note_answered(int status);

  private:
    std::shared_ptr<Api::Context> context_;
    http::Reply reply_;
    std::int64_t began_ms_;
};
using ExchangePtr = std::shared_ptr<Exchange>;

void start_ticks(const std::shared_ptr<Api::Context>& context);  // core thread

// The handlers, by what they are about. Each answers its exchange, at once or later.
void handle_list(const ExchangePtr& x);
void handle_get(const ExchangePtr& x);
void handle_mutation(const ExchangePtr& x);  // create, replace, patch, remove, action
void handle_apply(const ExchangePtr& x);
void handle_task_get(const ExchangePtr& x);
void handle_task_list(const ExchangePtr& x);
void handle_events(const ExchangePtr& x);
void handle_capacity(const ExchangePtr& x);
void handle_unclaimed(const ExchangePtr& x);
void handle_watch(const ExchangePtr& x);
void handle_stream(const ExchangePtr& x);  // console, vnc, log, screenshot, forward
void handle_vm_explain(const ExchangePtr& x);
void handle_upload(const ExchangePtr& x);
void handle_system(const ExchangePtr& x);  // version, status, health, metrics, openapi, explain, ca.pem, accept-loss

}  // namespace axle::api
