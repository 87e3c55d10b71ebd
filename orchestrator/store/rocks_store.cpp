#include "orchestrator/store/rocks_store.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <variant>

#include "common/base/ensure.hpp"
#include "common/base/log.hpp"
#include "common/base/now.hpp"
#include "orchestrator/store/rocks_opening.hpp"

namespace axle {
namespace {

constexpr std::size_t kGroupBytes = 8 << 20;  // of one sync
constexpr milliseconds kHousekeepingEvery{1000};

struct TurnReadOnly {
    ReadOnly read_only;
};
struct AcceptLoss {
    Seen seen;
    std::string new_history;
    std::function<void(Result<StoreState>)> done;
};
using Work = std::variant<Batch, TurnReadOnly, AcceptLoss>;

// What waits for the committer. The only thing that the core's thread and the committer both touch with a lock held.
class WorkQueue {
  public:
    void push(Work work) {
        {
            const std::lock_guard hold(mutex_);
            work_.push_back(std::move(work));
        }
        changed_.notify_one();
    }
    void stop() {
        {
            const std::lock_guard hold(mutex_);
            stopping_ = true;
        }
        changed_.notify_one();
    }
    // Everything that waits; empty after `patience` or when it stops.
    std::deque<Work> take(milliseconds patience, bool& stopping) {
        std::unique_lock hold(mutex_);
        changed_.wait_for(hold, patience, [this] { return stopping_ || !work_.empty(); });
        stopping = stopping_;
        return std::exchange(work_, {});
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Work> work_;
    bool stopping_ = false;
};

}  // namespace

class RocksStore::Committer {
  public:
    Committer(RocksStoreOptions options, Executor& core)
        : options_(std::move(options)),
          core_(core),
          reserve_(options_.directory + "/reserve", options_.reserve_bytes),
          pace_(options_.witness_every) {}

    Result<> open(Random& random, WallTime now) {
        settings_ = rocks_settings(options_, [this](const Error& e) { end(e); });
        TRY(opened, open_store(options_, settings_, reserve_, random, now));
        lock_ = std::move(opened.lock);
        witness_ = std::move(opened.witness);
        mark_ = opened.mark;
        db_ = std::move(opened.db);
        state_ = opened.state;
        durable_ = last_committed_ = mark_.revision;
        writable_ = opened_for_writing_ = !state_.read_only;
        TRY(space, reserve_.measure());
        space_ = space;
        thread_ = std::thread([this] { run(); });
        return {};
    }

    ~Committer() {
        told_->store(false);
        if (!thread_.joinable()) return;
        queue_.stop();
        thread_.join();
    }

    void submit(Work work) {
        ++queued_;
        queue_.push(std::move(work));
    }
    void commit(Batch batch);
    void turn_read_only(ReadOnly doubt, Revision seen);

    std::shared_ptr<RocksDb> db() const {
        const std::lock_guard hold(shared_);
        return db_;
    }
    StoreState state() const {
        const std::lock_guard hold(shared_);
        return state_;
    }
    Space space() const {
        const std::lock_guard hold(shared_);
        return space_;
    }
    Revision durable() const { return durable_; }
    std::size_t queued() const { return queued_; }
    void on_durable(std::function<void(Revision)> told) {
        on_durable_ = std::make_shared<const std::function<void(Revision)>>(std::move(told));
    }

  private:
    void run();
    void do_all(std::deque<Work> work);
    void write_group(std::deque<Work>& work);
    void do_turn_read_only(const TurnReadOnly& turn);
    Result<StoreState> do_accept_loss(const AcceptLoss& accept);
    Result<> write_mended(const StoreState& mended);
    void keep_house(BootTime now);
    void write_witness(Revision durable);
    void tell_durable();
    void end(const Error& error);

    RocksStoreOptions options_;
    RocksSettings settings_;
    Executor& core_;

    // The committer's own, once it runs.
    Fd lock_;
    Reserve reserve_;
    std::unique_ptr<WitnessFile> witness_;
    WitnessPace pace_;
    BootTime house_kept_;
    StoreMark mark_;
    bool opened_for_writing_ = false;

    // Shared: what readers copy under the lock.
    mutable std::mutex shared_;
    std::shared_ptr<RocksDb> db_;
    StoreState state_;
    Space space_;

    std::atomic<Revision> durable_{0}, last_committed_{0};
    std::atomic<std::size_t> queued_{0};
    std::atomic<bool> dead_{false}, writable_{false};
    std::shared_ptr<const std::function<void(Revision)>> on_durable_;
    std::shared_ptr<std::atomic<bool>> told_ = std::make_shared<std::atomic<bool>>(true);  // false: tell nothing more
    WorkQueue queue_;
    std::thread thread_;
};

void RocksStore::Committer::commit(Batch batch) {
    ENSURE(writable_, "nothing is written to a store that lost something");
    if (batch.last_revision == 0) batch.last_revision = last_committed_;
    ENSURE(batch.last_revision >= last_committed_, "revisions only rise");
    last_committed_ = batch.last_revision;
    for (const Write& write : batch.writes)
        ENSURE(write.table != Table::meta || !write.key.starts_with("store/"), "these keys are the store's own");
    submit(std::move(batch));
}

void RocksStore::Committer::turn_read_only(ReadOnly doubt, Revision seen) {
    doubt = doubt_while_running(std::move(doubt.reason), std::move(doubt.why), last_committed_, seen);
    {
        const std::lock_guard hold(shared_);
        if (state_.read_only) return;
        state_.read_only = doubt;
    }
    writable_ = false;
    submit(TurnReadOnly{std::move(doubt)});
}

void RocksStore::Committer::run() {
    for (bool stopping = false; !stopping && !dead_;) {
        const BootTime before = boot_now();
        milliseconds patience = kHousekeepingEvery;
        if (pace_.due_at()) patience = std::min(patience, std::max(*pace_.due_at() - before, milliseconds{0}));
        do_all(queue_.take(patience, stopping));
        keep_house(boot_now());
    }
    if (!dead_) write_witness(durable_);
}

// Batches up to the next piece of other work, or up to the bound of a group, share a sync.
void RocksStore::Committer::do_all(std::deque<Work> work) {
    while (!work.empty() && !dead_) {
        if (std::holds_alternative<Batch>(work.front())) {
            write_group(work);
            continue;
        }
        if (const auto* turn = std::get_if<TurnReadOnly>(&work.front())) do_turn_read_only(*turn);
        if (const auto* accept = std::get_if<AcceptLoss>(&work.front())) {
            core_.post([alive = told_, done = accept->done, answer = do_accept_loss(*accept)] {
                if (*alive) done(answer);
            });
        }
        work.pop_front();
        --queued_;
    }
}

void RocksStore::Committer::write_group(std::deque<Work>& work) {
    rocksdb::WriteBatch group;
    std::size_t count = 0;
    Revision last = durable_;
    while (!work.empty() && group.GetDataSize() < kGroupBytes) {
        const auto* batch = std::get_if<Batch>(&work.front());
        if (batch == nullptr) break;
        db_->add(group, *batch);
        last = batch->last_revision;
        work.pop_front();
        ++count;
    }
    db_->add(group, Write{Table::meta, kRevisionKey, revision_key(last)});
    if (options_.witness_first) write_witness(last);
    KILL_POINT("store.commit.before-write");
    const auto written = db_->write(group);
    if (!written) return end(written.error());
    KILL_POINT("store.commit.after-write");
    durable_ = mark_.revision = last;
    queued_ -= count;
    pace_.synced(boot_now());
    tell_durable();
}

void RocksStore::Committer::tell_durable() {
    if (!on_durable_) return;
    core_.post([alive = told_, told = on_durable_, revision = durable_.load()] {
        if (*alive) (*told)(revision);
    });
}

void RocksStore::Committer::do_turn_read_only(const TurnReadOnly& turn) {
    mark_.read_only = turn.read_only;
    rocksdb::WriteBatch group;
    db_->add_mark(group, mark_);
    if (const auto written = db_->write(group); !written) return end(written.error());
    pace_.written();  // the witness keeps what it saw
    log::error("the store turns read-only: " + turn.read_only.why, {{"HINT", turn.read_only.hint}});
}

Result<StoreState> RocksStore::Committer::do_accept_loss(const AcceptLoss& accept) {
    const StoreState before = state();
    if (!before.read_only)
        return fail(Code::conflict, "the store isn't read-only: there is no loss to accept (revision {})",
                    mark_.revision);
    if (!opened_for_writing_) {  // only now may a torn tail be dropped
        TRY(db, RocksDb::open(db_path(options_), RocksMode::read_write, settings_));
        const std::lock_guard hold(shared_);
        db_ = db;
        opened_for_writing_ = true;
    }
    mend_mark(mark_, before, accept.seen, witness_->record(), accept.new_history);
    const StoreState mended = mended_state(before, mark_);
    if (const auto written = write_mended(mended); !written) {
        end(written.error());
        return fail(written.error());
    }
    durable_ = last_committed_ = mark_.revision;
    const std::lock_guard hold(shared_);
    state_ = mended;
    writable_ = true;
    return mended;
}

// The store first: a witness of the new history before it would call the store an old copy.
Result<> RocksStore::Committer::write_mended(const StoreState& mended) {
    rocksdb::WriteBatch group;
    db_->add_mark(group, mark_);
    KILL_POINT("store.accept-loss.before-write");
    TRY_VOID(db_->write(group));
    KILL_POINT("store.accept-loss.after-write");
    return witness_->write(*next_witness(mended, mark_.revision, witness_->record()));
}

void RocksStore::Committer::keep_house(BootTime now) {
    if (dead_) return;
    if (pace_.due(now)) write_witness(durable_);
    if (now - house_kept_ < kHousekeepingEvery) return;
    house_kept_ = now;
    const auto space = reserve_.measure();
    if (!space) return log::warning(space.error().message);
    const std::lock_guard hold(shared_);
    space_ = *space;
}

void RocksStore::Committer::write_witness(Revision durable) {
    pace_.written();
    const auto record = next_witness(state(), durable, witness_->record());
    if (!record || record == witness_->record()) return;
    if (const auto written = witness_->write(*record); !written) end(written.error());
}

void RocksStore::Committer::end(const Error& error) {
    if (!dead_.exchange(true)) options_.fatal(error);
}

RocksStore::RocksStore(std::unique_ptr<Committer> committer, Random& random)
    : committer_(std::move(committer)), random_(random) {}
RocksStore::~RocksStore() = default;

Result<std::unique_ptr<RocksStore>> RocksStore::open(RocksStoreOptions options, Executor& core, Random& random,
                                                     WallTime now) {
    auto committer = std::make_unique<Committer>(std::move(options), core);
    TRY_VOID(committer->open(random, now));
    return std::unique_ptr<RocksStore>(new RocksStore(std::move(committer), random));
}

void RocksStore::commit(Batch batch) {
    committer_->commit(std::move(batch));
}
void RocksStore::on_durable(std::function<void(Revision)> told) {
    committer_->on_durable(std::move(told));
}
Revision RocksStore::durable() const {
    return committer_->durable();
}
std::size_t RocksStore::queued() const {
    return committer_->queued();
}
Result<std::optional<std::string>> RocksStore::get(Table table, std::string_view key) const {
    return committer_->db()->get(table, key);
}
Result<> RocksStore::scan(Table table, std::string_view from, std::string_view until, bool reverse,
                          const std::function<bool(std::string_view, std::string_view)>& each) const {
    return committer_->db()->scan(table, from, until, reverse, each);
}
Space RocksStore::space() const {
    return committer_->space();
}
StoreState RocksStore::state() const {
    return committer_->state();
}
void RocksStore::turn_read_only(std::string reason, std::string why, Seen seen) {
    committer_->turn_read_only({.why = std::move(why), .reason = std::move(reason)}, seen.revision);
}
void RocksStore::accept_loss(Seen seen, std::function<void(Result<StoreState>)> done) {
    committer_->submit(AcceptLoss{seen, random_hex16(random_), std::move(done)});
}

}  // namespace axle
