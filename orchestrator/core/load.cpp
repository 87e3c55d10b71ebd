// The world from the store, at start. Reading records takes nearly all of the time, and they don't depend on each
// other.
#include <vector>

#include <nlohmann/json.hpp>

#include "common/base/units.hpp"
#include "orchestrator/core/on_hosts.hpp"
#include "orchestrator/core/pipeline.hpp"
#include "orchestrator/core/tasks.hpp"

namespace axle {
namespace {

constexpr std::size_t kRowsAtOnce = 4096;

struct Row {
    std::string key, value;
};

Result<std::unique_ptr<Object>> object_in(const Row& row, const SecretCodec& secrets) {
    const KindInfo* kind = find_kind(row.key.substr(0, row.key.find('/')));
    if (kind == nullptr)
        return fail(Code::corrupt,
                    "the store holds \"{}\", a kind that this release doesn't know: install the newer release again",
                    row.key);
    auto object = from_store_form(kind->kind, row.value, secrets);
    if (!object) return fail(std::move(object.error()).in(row.key));
    return object;
}

}  // namespace

void one_by_one(std::size_t count, const std::function<void(std::size_t)>& work) {
    for (std::size_t i = 0; i < count; ++i) work(i);
}

Result<> Pipeline::load_objects(Table table, const Spread& spread) {
    std::vector<Row> rows;
    const auto take_in = [&]() -> Result<> {
        std::vector<Result<std::unique_ptr<Object>>> objects(rows.size());
        spread(rows.size(), [&](std::size_t i) { objects[i] = object_in(rows[i], secrets_); });
        for (auto& object : objects) {
            if (!object) return fail(std::move(object.error()));
            world_.put(ObjectPtr(std::move(*object)));
        }
        rows.clear();
        return {};
    };
    Result<> outcome;
    TRY_VOID(store_.scan(table, "", "", false, [&](std::string_view key, std::string_view value) {
        if (table == Table::tasks && has_ended(value)) return true;  // read when somebody asks
        rows.push_back({std::string(key), std::string(value)});
        if (rows.size() == kRowsAtOnce) outcome = take_in();
        return outcome.has_value();
    }));
    TRY_VOID(std::move(outcome));
    return take_in();
}

Result<> Pipeline::load(const Spread& spread) {
    TRY_VOID(load_objects(Table::objects, spread));
    TRY_VOID(load_objects(Table::tasks, spread));
    TRY_VOID(load_networks_on_hosts(store_, world_));
    std::int64_t time = clock_.wall().ms, wall = time;
    TRY(saved, store_.get(Table::meta, "clock"));
    if (saved) {
        TRY(record, parse_json(*saved));
        time = record.value("time", time);
        wall = record.value("wall", wall);
    }
    cluster_clock_ = ClusterClock::start(time, wall, clock_.wall().ms);
    clock_saved_ = cluster_clock_.time;
    ticked_ = clock_.boot();
    tick();
    return {};
}

}  // namespace axle
