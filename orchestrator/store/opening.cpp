#include "orchestrator/store/opening.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "orchestrator/store/migrations.hpp"

namespace axle {
namespace {

using nlohmann::json;

constexpr Revision kLossMargin = 1'000'000;  // more than any second of the store can hold
constexpr const char* kAcceptHint =
    "put the newest copy of the store back, or accept the loss with `axle store accept-loss`; until then nothing is "
    "written and no guest is touched";

ReadOnly read_only(const char* reason, Revision store, Revision seen, std::string why) {
    return {.why = std::move(why), .hint = kAcceptHint, .seen = seen, .revision = store, .reason = reason};
}

std::optional<ReadOnly> doubt(const Found& found) {
    const StoreMark& store = *found.store;
    if (store.read_only) return store.read_only;
    if (!found.witness)
        return read_only("no-witness", store.revision, found.agents.revision,
                         fmt::format("the store ends at revision {} and the witness file that could confirm it is "
                                     "missing or unreadable: this may be an old copy",
                                     store.revision));
    const WitnessRecord& witness = *found.witness;
    if (witness.history != store.history && witness.history != store.previous_history)
        return read_only("other-history", store.revision, witness.revision,
                         fmt::format("the store is of history {}, the witness of history {} at revision {}: this is "
                                     "not the store that was used last",
                                     store.history, witness.history, witness.revision));
    const Revision seen = std::max(witness.revision, found.agents.revision);
    if (store.revision < seen)
        return read_only("lost-tail", store.revision, seen,
                         fmt::format("the store ends at revision {}, but revision {} was seen ({}): at least {} "
                                     "changes are lost",
                                     store.revision, seen, seen == witness.revision ? "witness" : "an agent",
                                     seen - store.revision));
    return std::nullopt;
}

Result<OpeningVerdict> judge_without_store(const Found& found, OpeningVerdict verdict) {
    if (found.identity) {
        verdict.opening = Opening::replace_store;
        const Revision seen = std::max(found.witness ? found.witness->revision : 0, found.agents.revision);
        verdict.read_only = read_only(
            "lost-store", 0, seen,
            fmt::format("there is no store, but cluster {} has an identity and {}", found.identity->str(),
                        found.witness ? fmt::format("its witness has seen revision {}", seen) : "its witness is gone"));
        return verdict;
    }
    if (found.witness || found.agent_state)
        return fail(
            error(Code::conflict, "there is neither a store nor an identity, but {}: no new cluster is made here",
                  found.witness ? "a witness of cluster " + found.witness->cluster.str()
                                : "an agent's directory that holds state")
                .with_hint("put store and identity back from a backup; to begin anew, move the witness file and "
                           "the agent's directory away"));
    if (found.key_alone)
        return fail(error(Code::conflict,
                          "there is neither a store nor a cluster id, but a key of secrets: no new cluster "
                          "is made over it")
                        .with_hint("put store and identity back from a backup; to begin anew, move the key away"));
    verdict.opening = Opening::found_cluster;
    return verdict;
}

}  // namespace

Result<OpeningVerdict> judge_opening(const Found& found) {
    OpeningVerdict verdict;
    verdict.incarnation = 1 + std::max({found.store ? found.store->incarnation : 0,
                                        found.witness ? found.witness->incarnation : 0, found.agents.incarnation});
    if (!found.store) return judge_without_store(found, verdict);
    const StoreMark& store = *found.store;
    if (found.identity && *found.identity != store.cluster)
        return fail(error(Code::conflict, "the store belongs to cluster {}, the identity files to cluster {}",
                          store.cluster.str(), found.identity->str())
                        .with_hint("put together what belongs together; nothing was changed"));
    if (found.witness && found.witness->cluster != store.cluster)
        return fail(error(Code::conflict, "the store belongs to cluster {}, the witness file to cluster {}",
                          store.cluster.str(), found.witness->cluster.str())
                        .with_hint("put together what belongs together; nothing was changed"));
    if (store.founding) {
        verdict.opening = Opening::go_on_founding;
        return verdict;
    }
    if (!found.identity)
        return fail(error(Code::conflict,
                          "the store of cluster {} is here, but its identity (cluster id and key of the "
                          "secrets) is missing",
                          store.cluster.str())
                        .with_hint("put the identity files back from a backup: without the key the secrets can't be "
                                   "read; nothing was changed"));
    verdict.read_only = doubt(found);
    if (verdict.read_only) verdict.opening = Opening::open_read_only;
    return verdict;
}

ReadOnly doubt_while_running(std::string reason, std::string why, Revision revision, Revision seen) {
    return {
        .why = std::move(why), .hint = kAcceptHint, .seen = seen, .revision = revision, .reason = std::move(reason)};
}

void mend_mark(StoreMark& mark, const StoreState& state, Seen seen, const std::optional<WitnessRecord>& witness,
               std::string new_history) {
    const WitnessRecord witnessed = witness.value_or(WitnessRecord{.history = mark.history});
    const ReadOnly doubt = state.read_only.value_or(ReadOnly{});
    mark.revision =
        std::max({mark.revision, doubt.seen, doubt.revision, seen.revision, witnessed.revision}) + kLossMargin;
    mark.incarnation = 1 + std::max({mark.incarnation, state.incarnation, seen.incarnation, witnessed.incarnation});
    // Until the witness follows, it still shows the history that is given up here.
    mark.previous_history = witnessed.history;
    mark.history = std::move(new_history);
    mark.read_only.reset();
}

StoreMark first_mark(const Found& found, const OpeningVerdict& verdict, WallTime now, Random& random) {
    const bool founding = verdict.opening == Opening::found_cluster;
    return {.schema = schema_after(migrations()),
            .cluster = founding ? Uuid::make_v7(now, random) : *found.identity,
            .history = random_hex16(random),
            .founding = founding,
            .read_only = verdict.read_only};
}

StoreState first_state(const StoreMark& mark, const OpeningVerdict& verdict, Random& random) {
    return {.cluster = mark.cluster,
            .incarnation = verdict.incarnation,
            .run_id = random_hex16(random),
            .history = mark.history,
            .revision = mark.revision,
            .fresh = verdict.opening == Opening::found_cluster || verdict.opening == Opening::go_on_founding,
            .read_only = verdict.read_only};
}

std::optional<WitnessRecord> next_witness(const StoreState& state, Revision durable,
                                          const std::optional<WitnessRecord>& witness) {
    if (state.read_only && !witness) return std::nullopt;
    WitnessRecord record{.revision = durable, .history = state.history, .cluster = state.cluster};
    if (state.read_only) record = *witness;
    record.incarnation = state.incarnation;
    record.run_id = state.run_id;
    return record;
}

StoreState mended_state(StoreState state, const StoreMark& mark) {
    state.incarnation = mark.incarnation;
    state.history = mark.history;
    state.revision = mark.revision;
    state.read_only.reset();
    return state;
}

std::string random_hex16(Random& random) {
    return fmt::format("{:016x}", random.next());
}

std::string write_mark(const StoreMark& mark) {
    json out = {{"v", 1},
                {"schema", mark.schema},
                {"cluster", mark.cluster.str()},
                {"incarnation", mark.incarnation},
                {"history", mark.history},
                {"previousHistory", mark.previous_history},
                {"founding", mark.founding}};
    if (mark.read_only)
        out["readOnly"] = {{"why", mark.read_only->why},
                           {"hint", mark.read_only->hint},
                           {"seen", mark.read_only->seen},
                           {"revision", mark.read_only->revision},
                           {"reason", mark.read_only->reason}};
    return out.dump();
}

Result<StoreMark> read_mark(const std::string& stored) try {
    const json in = json::parse(stored);
    StoreMark mark;
    mark.schema = in.at("schema").get<std::uint32_t>();
    const auto cluster = Uuid::parse(in.at("cluster").get<std::string>());
    if (!cluster) return fail(Code::corrupt, "the store's mark names no cluster: {}", stored);
    mark.cluster = *cluster;
    mark.incarnation = in.at("incarnation").get<std::uint64_t>();
    mark.history = in.at("history").get<std::string>();
    mark.previous_history = in.value("previousHistory", "");
    mark.founding = in.value("founding", false);
    if (const auto found = in.find("readOnly"); found != in.end())
        mark.read_only = ReadOnly{.why = found->value("why", ""),
                                  .hint = found->value("hint", ""),
                                  .seen = found->value("seen", Revision{0}),
                                  .revision = found->value("revision", Revision{0}),
                                  .reason = found->value("reason", "")};
    return mark;
} catch (const json::exception& e) {
    return fail(Code::corrupt, "the store's mark can't be read ({})", e.what());
}

}  // namespace axle
