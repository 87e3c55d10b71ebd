// The store in memory, for tests and the simulator: same promises as RocksStore, on a virtual clock, with faults.
//
// What is durable lies in a MemoryDisk that outlives the store: to crash and start again, destroy the MemoryStore and
// open another one on the same disk. To restore an older copy, copy `tables` back and leave the witness as it is.
// Single-threaded: all calls on the core's thread.
#pragma once
#include <array>
#include <deque>
#include <map>
#include <memory>

#include "common/base/clock.hpp"
#include "orchestrator/store/opening.hpp"
#include "orchestrator/store/store.hpp"

namespace axle {

// A machine's disk, as far as the store and what stands outside its directory are concerned.
struct MemoryDisk {
    using Rows = std::map<std::string, std::string, std::less<>>;
    bool store_exists = false;
    std::array<Rows, kTables> tables;
    std::optional<WitnessRecord> witness;
    std::optional<Uuid> identity;
    bool agent_state = false;

    Space space{.free_bytes = std::int64_t{1} << 40, .total_bytes = std::int64_t{2} << 40, .below_reserve = false};
    int syncs_left = 0;    // counts down; the sync at which it comes to 0 is an EIO and calls the fatal handler
    bool stalled = false;  // syncs begun from now on do not end until unstall() of the store

    void lose_store() {
        store_exists = false;
        tables = {};
    }
};

class MemoryStore final : public Store {
  public:
    struct Options {
        Seen agents;  // what agents are known to have seen
        // How long the next sync takes. None: done at the next turn of the core.
        std::function<milliseconds()> sync_delay = [] { return milliseconds{0}; };
        // How many of the n batches that stand in the running sync reach the disk when the machine crashes: 0..n.
        std::function<std::size_t(std::size_t)> kept_by_crash = [](std::size_t) { return std::size_t{0}; };
        // Same for the witness: every so long after a sync.
        milliseconds witness_every{1000};
        FatalHandler fatal = die_of;
    };

    // The same judgement as RocksStore::open(). The disk, executor and clock outlive the store.
    static Result<std::unique_ptr<MemoryStore>> open(MemoryDisk& disk, Executor& core, Clock& clock, Random& random,
                                                     Options options);
    // As a crash: what isn't durable is gone, but for kept_by_crash.
    ~MemoryStore() override;
    MemoryStore(const MemoryStore&) = delete;
    MemoryStore& operator=(const MemoryStore&) = delete;

    void commit(Batch batch) override;
    void on_durable(std::function<void(Revision)> told) override;
    Revision durable() const override { return durable_; }
    std::size_t queued() const override { return waiting_.size() + syncing_.size(); }
    Result<std::optional<std::string>> get(Table table, std::string_view key) const override;
    Result<> scan(Table table, std::string_view from, std::string_view until, bool reverse,
                  const std::function<bool(std::string_view, std::string_view)>& each) const override;
    Space space() const override { return disk_.space; }
    StoreState state() const override { return state_; }
    void turn_read_only(std::string reason, std::string why, Seen seen) override;
    void accept_loss(Seen seen, std::function<void(Result<StoreState>)> done) override;

    void unstall();  // the disk answers again

  private:
    using Work = std::function<void()>;  // applies something to the disk, then tells

    MemoryStore(MemoryDisk& disk, Executor& core, Clock& clock, Random& random, Options options);
    void start(const Found& found, const OpeningVerdict& verdict);
    void submit(Work work);
    void begin_sync();
    void end_sync();
    void apply(const Batch& batch);
    void witness_later();
    void write_witness();
    void put_mark();
    void tell_durable();

    MemoryDisk& disk_;
    Executor& core_;
    Clock& clock_;
    Random& random_;
    Options options_;
    std::function<void(Revision)> told_;
    StoreMark mark_;
    StoreState state_;
    Revision durable_ = 0, last_committed_ = 0;
    std::deque<Work> waiting_, syncing_;
    TimerId sync_timer_ = 0, witness_timer_ = 0;
    bool dead_ = false;
    // Jobs that were posted before the destruction find it expired.
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace axle
