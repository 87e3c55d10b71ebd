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
using Rows = std::vector<Row>;
using Objects = std::vector<Result<std::unique_ptr<Object>>>;

// The next rows of a table, those behind `after`.
Result<Rows> read_rows(const Store& store, Table table, const std::string& after) {
    Rows rows;
    TRY_VOID(store.scan(table, after, "", false, [&](std::string_view key, std::string_view value) {
        if (key == after) return true;
        if (table == Table::tasks && has_ended(value)) return true;  // read when somebody asks
        rows.push_back({std::string(key), std::string(value)});
        return rows.size() < kRowsAtOnce;
    }));
    return rows;
}

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

Result<> put_all(World& world, Objects objects) {
    for (auto& object : objects) {
        if (!object) return fail(std::move(object.error()));
        world.put(ObjectPtr(std::move(*object)));
    }
    return {};
}

}  // namespace

void one_by_one(std::size_t count, const std::function<void(std::size_t)>& work) {
    for (std::size_t i = 0; i < count; ++i) work(i);
}

// While some rows are made objects of, the objects of those before are put into the world and those behind are read.
Result<> Pipeline::load_objects(Table table, const Spread& spread) {
    TRY(rows, read_rows(store_, table, ""));
    Objects made;
    while (!rows.empty() || !made.empty()) {
        Objects objects(rows.size());
        Result<> put;
        Result<Rows> next;
        spread(rows.size() + 2, [&](std::size_t i) {
            if (i == 0)
                put = put_all(world_, std::move(made));
            else if (i == 1)
                next = rows.size() < kRowsAtOnce ? Rows{} : read_rows(store_, table, rows.back().key);
            else
                objects[i - 2] = object_in(rows[i - 2], secrets_);
        });
        TRY_VOID(std::move(put));
        if (!next) return fail(std::move(next.error()));
        rows = std::move(*next);
        made = std::move(objects);
    }
    return {};
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
