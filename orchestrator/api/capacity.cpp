// GET /v1/capacity: how many more of a size fit, where, and what if a host is lost.
#include <nlohmann/json.hpp>

#include "common/base/units.hpp"
#include "orchestrator/api/exchange.hpp"
#include "orchestrator/api/render.hpp"

namespace axle::api {
namespace {

using nlohmann::json;

Result<std::optional<std::int64_t>> bytes_of(const Exchange& x, const char* name) {
    const std::string text = x.text(name);
    if (text.empty()) return std::optional<std::int64_t>{};
    auto bytes = parse_bytes(text);
    if (bytes && *bytes > 0) return std::optional(*bytes);
    return fail(error(Code::malformed, "the parameter {} is no size: \"{}\"", name, text)
                    .with_hint("such as 4GiB")
                    .with_reason("bad-parameter"));
}

Result<CapacityQuery> read_query(const Exchange& x) {
    constexpr std::int64_t kCpusMax = 4096;
    TRY_VOID(x.only_parameters({"flavor", "cpus", "memory", "disk", "pool", "without"}));
    CapacityQuery query{
        .who = x.who(), .flavor = x.text("flavor"), .pool = x.text("pool"), .without = x.text("without")};
    if (!x.text("cpus").empty()) {
        TRY(cpus, x.number("cpus", 1, 1, kCpusMax));
        query.cpus = cpus;
    }
    TRY(memory, bytes_of(x, "memory"));
    TRY(disk, bytes_of(x, "disk"));
    query.memory = memory;
    query.disk = disk;
    return query;
}

json capacity_json(const CapacityQuery& query, const CapacityAnswer& answer) {
    json out = {{"cpus", answer.cpus}, {"memory", answer.memory}, {"count", answer.count}, {"hosts", json::array()}};
    if (answer.disk > 0) {
        out["disk"] = answer.disk;
        out["pool"] = answer.pool;
    }
    for (const Fit& fit : answer.hosts)
        out["hosts"].push_back({{"host", fit.host}, {"count", fit.count}, {"limit", fit.limit}});
    if (query.without.empty()) return out;
    out["without"] = query.without;
    out["guests"] = json::array();
    for (const Refuge& refuge : answer.moved) {
        json guest = {{"vm", refuge.vm}};
        if (!refuge.host.empty()) guest["host"] = refuge.host;
        if (!refuge.reason.empty()) guest["reason"] = refuge.reason;
        out["guests"].push_back(std::move(guest));
    }
    return out;
}

}  // namespace

void handle_capacity(const ExchangePtr& x) {
    const auto query = read_query(*x);
    if (!query) return x->refuse(query.error());
    x->on_core([query = *query](Exchange& core_side) {
        core_side.service().capacity(query,
                                     [self = core_side.shared_from_this(), query](Result<CapacityAnswer> answer) {
                                         self->on_worker([query, answer = std::move(answer)](Exchange& then) {
                                             if (!answer) return then.refuse(answer.error());
                                             then.answer(json_response(200, capacity_json(query, *answer).dump()));
                                         });
                                     });
    });
}

}  // namespace axle::api
