#include "orchestrator/store/memory_store.hpp"

#include <algorithm>

#include "common/base/ensure.hpp"

namespace axle {
namespace {

std::size_t index(Table table) {
    return static_cast<std::size_t>(table);
}

Found look(const MemoryDisk& disk, Seen agents, Result<StoreMark>& mark) {
    Found found{.witness = disk.witness, .identity = disk.identity, .agent_state = disk.agent_state, .agents = agents};
    if (!disk.store_exists) return found;
    const auto& meta = disk.tables[index(Table::meta)];
    const auto stored = meta.find(kMarkKey);
    if (stored == meta.end()) {
        mark = fail(Code::corrupt, "the store has no mark");
        return found;
    }
    mark = read_mark(stored->second);
    if (!mark) return found;
    if (const auto revision = meta.find(kRevisionKey); revision != meta.end())
        mark->revision = parse_revision_key(revision->second).value_or(0);
    found.store = *mark;
    return found;
}

}  // namespace

MemoryStore::MemoryStore(MemoryDisk& disk, Executor& core, Clock& clock, Random& random, Options options)
    : disk_(disk), core_(core), clock_(clock), random_(random), options_(std::move(options)) {}

Result<std::unique_ptr<MemoryStore>> MemoryStore::open(MemoryDisk& disk, Executor& core, Clock& clock, Random& random,
                                                       Options options) {
    Result<StoreMark> mark = StoreMark{};
    const Found found = look(disk, options.agents, mark);
    if (!mark) return fail(mark.error());
    TRY(verdict, judge_opening(found));
    std::unique_ptr<MemoryStore> store(new MemoryStore(disk, core, clock, random, std::move(options)));
    store->start(found, verdict);
    return store;
}

void MemoryStore::start(const Found& found, const OpeningVerdict& verdict) {
    mark_ = found.store ? *found.store : first_mark(found, verdict, clock_.wall(), random_);
    state_ = first_state(mark_, verdict, random_);
    durable_ = last_committed_ = mark_.revision;
    if (!verdict.read_only) {
        mark_.incarnation = verdict.incarnation;
        mark_.founding = false;
        disk_.identity = mark_.cluster;
    }
    // A store in doubt is left as it is.
    if (!verdict.read_only || !found.store) put_mark();
    disk_.store_exists = true;
    write_witness();
}

MemoryStore::~MemoryStore() {
    clock_.cancel(sync_timer_);
    clock_.cancel(witness_timer_);
    if (dead_ || syncing_.empty()) return;
    told_ = nullptr;
    std::size_t kept = std::min(options_.kept_by_crash(syncing_.size()), syncing_.size());
    for (auto work = syncing_.begin(); kept > 0; ++work, --kept) (*work)();
}

void MemoryStore::on_durable(std::function<void(Revision)> told) {
    told_ = std::move(told);
}

void MemoryStore::commit(Batch batch) {
    ENSURE(!state_.read_only, "nothing is written to a store that lost something");
    ENSURE(batch.last_revision == 0 || batch.last_revision >= last_committed_, "revisions only rise");
    last_committed_ = std::max(last_committed_, batch.last_revision);
    for (const Write& write : batch.writes)
        ENSURE(write.table != Table::meta || !write.key.starts_with("store/"), "these keys are the store's own");
    submit([this, batch = std::move(batch)] { apply(batch); });
}

void MemoryStore::submit(Work work) {
    if (dead_) return;
    waiting_.push_back(std::move(work));
    if (sync_timer_ == 0 && syncing_.empty()) begin_sync();
}

// What waits at the beginning of a sync shares it; what comes later waits for the next one.
void MemoryStore::begin_sync() {
    sync_timer_ = clock_.after(options_.sync_delay(), [this] {
        sync_timer_ = 0;
        if (!disk_.stalled) end_sync();
    });
    // The group closes at the next turn of the core, so that what one turn commits shares a sync.
    core_.post([this, alive = std::weak_ptr<bool>(alive_)] {
        if (alive.expired() || !syncing_.empty()) return;
        syncing_.swap(waiting_);
    });
}

void MemoryStore::end_sync() {
    if (dead_) return;
    if (syncing_.empty()) syncing_.swap(waiting_);
    if (disk_.syncs_left > 0 && --disk_.syncs_left == 0) {
        dead_ = true;
        waiting_.clear();
        syncing_.clear();
        options_.fatal(error(Code::internal, "sync of the store: Input/output error")
                           .with_hint("look at the disk's health (dmesg, smartctl)"));
        return;
    }
    std::deque<Work> done;
    done.swap(syncing_);
    for (const Work& work : done) work();
    tell_durable();
    witness_later();
    if (!waiting_.empty()) begin_sync();
}

void MemoryStore::unstall() {
    disk_.stalled = false;
    if (sync_timer_ == 0 && queued() > 0) end_sync();
}

void MemoryStore::apply(const Batch& batch) {
    for (const DeletedRange& range : batch.deleted_ranges) {
        auto& rows = disk_.tables[index(range.table)];
        if (range.from < range.until) rows.erase(rows.lower_bound(range.from), rows.lower_bound(range.until));
    }
    for (const Write& write : batch.writes) {
        auto& rows = disk_.tables[index(write.table)];
        if (write.value)
            rows.insert_or_assign(write.key, *write.value);
        else
            rows.erase(write.key);
    }
    durable_ = std::max(durable_, batch.last_revision);
    mark_.revision = durable_;
    disk_.tables[index(Table::meta)].insert_or_assign(kRevisionKey, revision_key(durable_));
}

void MemoryStore::tell_durable() {
    core_.post([this, alive = std::weak_ptr<bool>(alive_), revision = durable_] {
        if (!alive.expired() && !dead_ && told_) told_(revision);
    });
}

void MemoryStore::witness_later() {
    if (witness_timer_ != 0) return;
    witness_timer_ = clock_.after(options_.witness_every, [this] {
        witness_timer_ = 0;
        if (!dead_) write_witness();
    });
}

void MemoryStore::put_mark() {
    auto& meta = disk_.tables[index(Table::meta)];
    meta.insert_or_assign(kMarkKey, write_mark(mark_));
    meta.insert_or_assign(kRevisionKey, revision_key(mark_.revision));
}

void MemoryStore::write_witness() {
    if (auto record = next_witness(state_, durable_, disk_.witness)) disk_.witness = std::move(record);
}

Result<std::optional<std::string>> MemoryStore::get(Table table, std::string_view key) const {
    const auto& rows = disk_.tables[index(table)];
    const auto found = rows.find(key);
    if (found == rows.end()) return std::nullopt;
    return found->second;
}

Result<> MemoryStore::scan(Table table, std::string_view from, std::string_view until, bool reverse,
                           const std::function<bool(std::string_view, std::string_view)>& each) const {
    const auto& rows = disk_.tables[index(table)];
    if (!until.empty() && until <= from) return {};
    const auto first = rows.lower_bound(from);
    const auto last = until.empty() ? rows.end() : rows.lower_bound(until);
    if (reverse) {
        for (auto row = last; row != first;) {
            --row;
            if (!each(row->first, row->second)) break;
        }
        return {};
    }
    for (auto row = first; row != last; ++row)
        if (!each(row->first, row->second)) break;
    return {};
}

void MemoryStore::turn_read_only(std::string reason, std::string why, Seen seen) {
    if (state_.read_only) return;
    state_.read_only = doubt_while_running(std::move(reason), std::move(why), last_committed_, seen.revision);
    submit([this] {
        write_witness();
        mark_.read_only = state_.read_only;
        put_mark();
    });
}

void MemoryStore::accept_loss(Seen seen, std::function<void(Result<StoreState>)> done) {
    submit([this, seen, done = std::move(done)] {
        Result<StoreState> answer = fail(Code::conflict, "the store isn't read-only: there is no loss to accept");
        if (state_.read_only) {
            mend_mark(mark_, state_, seen, disk_.witness, random_hex16(random_));
            state_ = mended_state(state_, mark_);
            durable_ = last_committed_ = mark_.revision;
            put_mark();
            write_witness();
            answer = state_;
        }
        core_.post([alive = std::weak_ptr<bool>(alive_), done, answer = std::move(answer)] {
            if (!alive.expired()) done(answer);
        });
    });
}

}  // namespace axle
