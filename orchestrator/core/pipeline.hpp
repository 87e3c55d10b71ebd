// The commit pipeline (DESIGN 5): the head, transactions on it, batches to the store, and everything that must wait
// until the head it was computed from is durable. Core thread only.
#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>

#include "common/base/clock.hpp"
#include "orchestrator/core/cluster_clock.hpp"
#include "orchestrator/core/transaction.hpp"

namespace axle {

// Does work(0) to work(count - 1), in any order, on as many threads as it likes; back when all are done.
using Spread = std::function<void(std::size_t count, const std::function<void(std::size_t number)>& work)>;
void one_by_one(std::size_t count, const std::function<void(std::size_t number)>& work);

class Pipeline {
  public:
    static constexpr std::size_t kChangesInMemory = 16'384;
    static constexpr std::size_t kChangesBytesInMemory = 8 << 20;  // of their records; their objects come on top

    Pipeline(Store& store, Clock& clock, Random& random, SecretCodec secrets);

    // At start, before anything else: reads every live object and unfinished task.
    // spread: the loader's work may be done on several threads; nothing else of the core is.
    Result<> load(const Spread& spread = one_by_one);

    const World& world() const { return world_; }
    World& mutable_world() { return world_; }  // only for the loader and for forgetting what is over
    Revision head() const { return head_; }
    Revision durable() const { return store_.durable(); }
    const StoreState& store_state() const { return state_; }
    Result<> check_writable() const;  // Code::unavailable, reason "store-read-only", with why and what to do
    Store& store() { return store_; }
    Result<std::optional<std::string>> stored(Table table, std::string_view key) const {
        return store_.get(table, key);
    }
    Clock& clock() { return clock_; }
    Random& random() { return random_; }
    const SecretCodec& secrets() const { return secrets_; }
    std::int64_t cluster_time() const { return cluster_clock_.time; }
    WallTime wall() const { return clock_.wall(); }
    std::string now_text() const;

    // One transaction at a time. Its changes are in the head at once and are given up unless committed.
    Transaction begin();
    // Queues the batch, tells the listeners, and returns the new head. An empty transaction changes nothing.
    Revision commit(Transaction& tx);

    // Runs when everything up to the present head is durable: at once if it is. This is how anything leaves the
    // process.
    void when_durable(std::function<void()> then);

    // Told of every committed change, in order, before commit() returns; not durable yet.
    void on_committed(std::function<void(const ChangeEvent&)> told) { committed_.push_back(std::move(told)); }

    Result<SubscriptionId> subscribe(Revision since, std::shared_ptr<ChangeSink> sink);
    void unsubscribe(SubscriptionId id);
    Revision oldest_change() const { return ring_.empty() ? head_ : ring_.front().revision - 1; }

    // Somebody has seen more than the store holds: nothing is committed any more until a person accepts the loss.
    void turn_read_only(std::string reason, std::string why, Seen seen);
    void accept_loss(Seen seen, std::function<void(Result<StoreState>)> done);

    // More than 30 days lie between cluster time and the wall clock (DESIGN 4): retention waits, or hurries, for a long
    // time, and a person should look.
    bool is_clock_apart() const { return cluster_clock_.is_apart(clock_.wall().ms); }
    // A person's word that the wall clock is right: cluster time jumps to it. done: when that is durable.
    void accept_clock(std::function<void()> done);

  private:
    void remember(const ChangeEvent& event);
    void add_events(Batch& batch, const std::vector<ChangeEvent>& changes) const;
    void became_durable(Revision revision);
    void feed(Revision durable);
    Result<> load_objects(Table table, const Spread& spread);
    void tick();
    void save_clock(Revision revision);

    Store& store_;
    Clock& clock_;
    Random& random_;
    SecretCodec secrets_;
    World world_;
    StoreState state_;
    Revision head_ = 0;
    ClusterClock cluster_clock_;
    BootTime ticked_{};
    std::int64_t clock_saved_ = 0;
    std::deque<std::pair<Revision, std::function<void()>>> waiting_;
    std::vector<std::function<void(const ChangeEvent&)>> committed_;
    std::deque<ChangeEvent> ring_;
    std::size_t ring_bytes_ = 0;
    Revision fed_ = 0;  // every subscriber was told up to here
    struct Subscriber {
        Revision told = 0;
        std::shared_ptr<ChangeSink> sink;
    };
    std::map<SubscriptionId, Subscriber> subscribers_;
    SubscriptionId last_subscription_ = 0;
};

}  // namespace axle
