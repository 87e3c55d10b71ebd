// What concerns the cloud as a whole: version, status, health, metrics, documentation, the store's state.
#include <nlohmann/json.hpp>

#include "common/base/units.hpp"
#include "orchestrator/api/exchange.hpp"
#include "orchestrator/api/openapi.hpp"
#include "orchestrator/api/render.hpp"

namespace axle::api {
namespace {

using nlohmann::json;

json store_json(const StoreState& state) {
    json out = {{"cluster", state.cluster.str()},
                {"incarnation", state.incarnation},
                {"history", state.history},
                {"readOnly", state.read_only.has_value()}};
    if (state.read_only)
        out["why"] = {{"reason", state.read_only->reason},
                      {"message", state.read_only->why},
                      {"hint", state.read_only->hint},
                      {"seen", state.read_only->seen},
                      {"revision", state.read_only->revision}};
    return out;
}

json clock_json(const ClockState& clock) {
    return {{"wall", format_time(clock.wall)}, {"cluster", format_time(clock.cluster)}, {"apart", clock.apart}};
}

json overview_json(const Overview& overview) {
    json out = {{"version", overview.version},
                {"revision", overview.durable},
                {"store", store_json(overview.store)},
                {"space",
                 {{"freeBytes", overview.space.free_bytes},
                  {"totalBytes", overview.space.total_bytes},
                  {"belowReserve", overview.space.below_reserve}}},
                {"counts", overview.counts},
                {"problems", json::array()}};
    out["clock"] = clock_json(overview.clock);
    bool well = !overview.store.read_only;
    for (const Problem& problem : overview.problems) {
        out["problems"].push_back({{"type", problem.type},
                                   {"severity", problem.note ? "note" : "trouble"},
                                   {"message", problem.message},
                                   {"hint", problem.hint}});
        if (!problem.hosts.empty()) out["problems"].back()["hosts"] = problem.hosts;
        well = well && problem.note;
    }
    out["healthy"] = well;
    return out;
}

template <typename T, typename Render>
Answered<T> answered_by(Exchange& x, Render render) {
    return [self = x.shared_from_this(), render](Result<T> result) {
        self->on_worker([result = std::move(result), render](Exchange& then) {
            if (!result) return then.refuse(result.error());
            then.answer(json_response(200, render(*result).dump(-1, ' ', false, json::error_handler_t::replace)));
        });
    };
}

void answer_ready(Exchange& x) {
    const StoreState state = x.context().deps.store.state();
    const bool ready = !state.read_only && x.service().access() != nullptr;
    json out = {{"ready", ready}};
    if (state.read_only) out["why"] = state.read_only->why;
    x.answer(json_response(ready ? 200 : 503, out.dump()));
}

void write_server_stats(std::string& out, const http::ServerStats& stats) {
    const auto count = [&](const char* name, const char* help, std::uint64_t value) {
        write_metric(out, name, "counter", help, static_cast<double>(value));
    };
    write_metric(out, "axle_http_connections", "gauge", "Open connections.", static_cast<double>(stats.connections));
    write_metric(out, "axle_http_held_bytes", "gauge", "Requests and answers in memory.",
                 static_cast<double>(stats.held));
    count("axle_http_accepted_total", "Connections that were accepted.", stats.accepted);
    count("axle_http_turned_away_total", "Connections for which there was no place.", stats.turned_away);
    count("axle_http_requests_total", "Whole requests.", stats.requests);
    count("axle_http_refused_total", "What was no proper request, or too large.", stats.refused);
    count("axle_http_cut_off_total", "Connections that took nothing for too long.", stats.cut_off);
    count("axle_http_shed_total", "Connections that were closed or refused for lack of room.", stats.shed);
}

void answer_metrics(Exchange& x) {
    auto& context = x.context();
    std::string out;
    context.metrics.write(out);
    const auto gauge = [&](const char* name, const char* help, double value) {
        write_metric(out, name, "gauge", help, value);
    };
    const Space space = context.deps.store.space();
    gauge("axle_store_revision", "Highest durable revision.", static_cast<double>(context.deps.store.durable()));
    gauge("axle_store_queued", "Batches that wait for their sync.", static_cast<double>(context.deps.store.queued()));
    gauge("axle_store_free_bytes", "Left for the store.", static_cast<double>(space.free_bytes));
    gauge("axle_store_read_only", "1: nothing is written.", context.deps.store.state().read_only ? 1 : 0);
    gauge("axle_api_workers_waiting", "Jobs that wait for a worker.",
          static_cast<double>(context.deps.workers.waiting()));
    gauge("axle_api_streams", "Open watches, consoles and tunnels.", static_cast<double>(context.streams.taken()));
    if (context.options.server_stats) write_server_stats(out, context.options.server_stats());
    http::Response response{.status = 200, .body = std::move(out)};
    response.headers.set("Content-Type", "text/plain; version=0.0.4");
    x.answer(std::move(response));
}

void answer_explain(Exchange& x) {
    const auto explained = explain_field(x.route.rest);
    if (!explained) return x.refuse(explained.error());
    x.answer(json_response(200, explained->dump()));
}

void answer_authority(Exchange& x) {
    if (!x.context().options.authority)
        return x.refuse(error(Code::not_found, "this server has no certificate authority"));
    http::Response response{.status = 200, .body = x.context().options.authority()};
    response.headers.set("Content-Type", "application/x-pem-file");
    x.answer(std::move(response));
}

// Where a new host finds this cloud. No secret is in it; it is for who may make a join token.
void answer_join_info(Exchange& x) {
    if (!x.who().is_administrator())
        return x.refuse(error(Code::forbidden, "{} may not let hosts in", x.who().name)
                            .with_hint("ask for a token with role admin"));
    if (!x.context().options.join_info)
        return x.refuse(error(Code::not_found, "no host can join this server: it has no port for agents")
                            .with_hint("set listen in /etc/axle/axle.yaml"));
    x.answer(json_response(200, x.context().options.join_info()));
}

}  // namespace

void handle_system(const ExchangePtr& x) {
    switch (x->route.op) {
        case Op::version:
            return x->answer(json_response(200, json{{"version", AXLE_VERSION}, {"api", "v1"}}.dump()));
        case Op::healthz:
            return x->answer(json_response(200, R"({"alive":true})"));
        case Op::readyz:
            return answer_ready(*x);
        case Op::metrics:
            return answer_metrics(*x);
        case Op::openapi: {
            static const std::string text = openapi_document().dump();
            return x->answer(json_response(200, text));
        }
        case Op::explain:
            return answer_explain(*x);
        case Op::authority:
            return answer_authority(*x);
        case Op::join_info:
            return answer_join_info(*x);
        case Op::status:
            return x->on_core([](Exchange& core_side) {
                core_side.service().overview(core_side.who(), answered_by<Overview>(core_side, overview_json));
            });
        case Op::accept_loss:
            return x->on_core([](Exchange& core_side) {
                core_side.service().accept_loss(core_side.who(), answered_by<StoreState>(core_side, store_json));
            });
        case Op::accept_clock:
            return x->on_core([](Exchange& core_side) {
                core_side.service().accept_clock(core_side.who(), answered_by<ClockState>(core_side, clock_json));
            });
        default:
            x->refuse(error(Code::internal, "no handler for {}", name_of(x->route.op)));
    }
}

}  // namespace axle::api
