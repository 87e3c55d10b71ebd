// GET /v1/unclaimed: what lies on hosts and no record knows.
#include <nlohmann/json.hpp>

#include "orchestrator/api/exchange.hpp"
#include "orchestrator/api/render.hpp"

namespace axle::api {
namespace {

using nlohmann::json;

constexpr std::int64_t kLimit = 1000, kLimitMax = 10'000;

Result<UnclaimedQuery> read_query(const Exchange& x) {
    TRY_VOID(x.only_parameters({"host", "kind", "limit"}));
    TRY(limit, x.number("limit", kLimit, 1, kLimitMax));
    UnclaimedQuery query{.who = x.who(), .host = x.text("host"), .limit = static_cast<std::size_t>(limit)};
    const std::string wanted = x.text("kind");
    for (const auto& [kind, name] : names(DocumentKind{})) {
        if (wanted == name && kind != DocumentKind::image) query.kind = kind;
    }
    if (wanted.empty() || query.kind) return query;
    return fail(error(Code::malformed, "the parameter kind is \"{}\"", wanted.substr(0, 80))
                    .with_hint("vm, volume, network or pool")
                    .with_reason("bad-parameter"));
}

json line_json(const UnclaimedLine& line) {
    const UnclaimedThing& thing = line.thing;
    json out = {{"host", line.host}, {"kind", text_of(thing.kind)}, {"id", thing.id.str()}, {"why", line.why}};
    const auto add = [&](const char* name, const std::string& value) {
        if (!value.empty()) out[name] = value;
    };
    add("name", thing.name);
    add("since", thing.since);
    add("path", thing.path);
    add("obstacle", line.obstacle);
    if (line.task) out["task"] = line.task.str();
    if (thing.kind == DocumentKind::vm) {
        out["state"] = text_of(thing.state);
        out["cpus"] = thing.cpus;
        out["memory"] = thing.memory;
        out["volumes"] = json::array();
        for (const Uuid& volume : thing.volumes) out["volumes"].push_back(volume.str());
    }
    if (thing.kind == DocumentKind::volume) {
        out["pool"] = thing.pool.str();
        out["size"] = thing.size;
        out["allocated"] = thing.allocated;
        out["format"] = text_of(thing.format);
        add("imageDigest", thing.image_digest);
        add("user", thing.user);
    }
    return out;
}

std::string answer_text(const UnclaimedAnswer& answer) {
    json out = {{"items", json::array()}, {"untold", answer.untold}, {"hostsAway", answer.away}};
    for (const UnclaimedLine& line : answer.lines) out["items"].push_back(line_json(line));
    return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

void handle_unclaimed(const ExchangePtr& x) {
    const auto query = read_query(*x);
    if (!query) return x->refuse(query.error());
    x->on_core([query = *query](Exchange& core_side) {
        core_side.service().unclaimed(query, [self = core_side.shared_from_this()](Result<UnclaimedAnswer> answer) {
            self->on_worker([answer = std::move(answer)](Exchange& then) {
                if (!answer) return then.refuse(answer.error());
                then.answer(json_response(200, answer_text(*answer)));
            });
        });
    });
}

}  // namespace axle::api
