#include "tests/crash/store/workload.hpp"

#include "common/base/file.hpp"
#include "orchestrator/store/identity.hpp"
#include "orchestrator/store/witness.hpp"

namespace axle::test {

RocksStoreOptions store_options(const std::string& dir) {
    RocksStoreOptions options{.directory = dir + "/store", .identity_directory = dir + "/identity"};
    options.any_file_system = true;
    options.reserve_bytes = 1 << 20;
    options.witness_every = milliseconds{5};
    return options;
}

Batch batch_of(Revision revision, std::size_t bytes) {
    const std::string number = std::to_string(revision);
    return {.last_revision = revision,
            .writes = {{Table::objects, "pair/a", number},
                       {Table::changes, revision_key(revision), "k/" + number},
                       {Table::objects, "k/" + number, std::string(bytes, static_cast<char>('a' + revision % 26))},
                       {Table::tasks, "pair/b", number}}};
}

Result<> Running::open(RocksStoreOptions options) {
    TRY(opened, RocksStore::open(std::move(options), core, random, {1'800'000'000'000}));
    store = std::move(opened);
    store->on_durable([this](Revision revision) { told = revision; });
    return {};
}

bool Running::wait_for(Revision revision) {
    return core.run_until([&] { return told >= revision; });
}

Result<StoreState> Running::accept_loss() {
    std::optional<Result<StoreState>> answer;
    store->accept_loss({}, [&](Result<StoreState> state) { answer = std::move(state); });
    if (!core.run_until([&] { return answer.has_value(); })) return fail(Code::timeout, "no answer");
    return *answer;
}

std::string flaw_of(const Store& store, Revision acknowledged) {
    const Revision durable = store.durable();
    if (durable < acknowledged)
        return fmt::format("revision {} was acknowledged, {} is the last", acknowledged, durable);
    Revision next = 1;
    std::string flaw;
    const auto scanned = store.scan(Table::changes, "", "", false, [&](std::string_view key, std::string_view) {
        if (parse_revision_key(key) != next) flaw = fmt::format("change {} is missing", next);
        const auto value = store.get(Table::objects, "k/" + std::to_string(next));
        if (!value || !*value || (**value)[0] != static_cast<char>('a' + next % 26))
            flaw = fmt::format("object of revision {} is missing or wrong", next);
        ++next;
        return flaw.empty();
    });
    if (!scanned) return scanned.error().message;
    if (!flaw.empty()) return flaw;
    if (next != durable + 1) return fmt::format("changes end at {}, the store at {}", next - 1, durable);
    if (durable == 0) return "";
    const auto a = store.get(Table::objects, "pair/a"), b = store.get(Table::tasks, "pair/b");
    if (!a || !b || *a != *b || *a != std::to_string(durable)) return "a batch is not whole";
    return "";
}

Revision witnessed(const std::string& dir) {
    const auto content = read_file(witness_path(dir + "/identity"));
    const auto slot = content ? newest_witness_slot(*content) : std::nullopt;
    return slot ? slot->record.revision : 0;
}

}  // namespace axle::test
