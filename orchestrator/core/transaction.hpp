// One command, or one pass of a controller: changes to the head that become one batch of the store, or nothing at all.
// Each change is applied to the world at once, so that what follows in the same transaction sees it; without commit()
// the destructor puts everything back. Core thread only; one at a time.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "orchestrator/core/service.hpp"
#include "orchestrator/core/world.hpp"

namespace axle {

// What a transaction needs of its surroundings, as values.
struct Moment {
    WallTime wall;
    std::int64_t cluster_time = 0;  // ms, see cluster_clock.hpp
    std::uint64_t incarnation = 0;
};

class Transaction {
  public:
    static constexpr std::size_t kOperationsMax = 100;  // of one batch, for admission; a controller splits its work

    Transaction(World& world, Revision head, Moment moment, Random& random);
    ~Transaction();
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;

    World& world() { return world_; }
    const Moment& moment() const { return moment_; }
    Random& random() { return random_; }

    // Gives it an id (unless it has one), creation time and revision. The name must be free (the caller checked).
    const Object& create(std::unique_ptr<Object> object);
    template <typename T>
    const T& create(std::unique_ptr<T> object) {
        return static_cast<const T&>(create(std::unique_ptr<Object>(std::move(object))));
    }
    // Changes status only.
    template <typename T, typename F>
    void update_status(const Uuid& id, F&& change) {
        update<T>(id, std::forward<F>(change), false);
    }
    // Changes spec or metadata: raises revision, and the generation if `generation`.
    template <typename T, typename F>
    void update_spec(const Uuid& id, F&& change) {
        update<T>(id, std::forward<F>(change), true);
    }
    void replace(std::unique_ptr<Object> object, bool spec_changed);  // whole, already changed
    void erase(Kind kind, const Uuid& id);                            // of a host: what it has of networks, too
    // What a host has of a network (nullopt: nothing any more): a row of its own without a revision, of which no
    // watcher is told.
    void put_network_on(const Uuid& host, const Uuid& network, std::optional<NetworkOnHost> there);
    void write(Write write) { extra_.push_back(std::move(write)); }  // events, audit, idempotency

    // The revision that a bind in this transaction gets: that of the next change.
    Revision next_revision() const { return head_ + staged_.size() + 1; }
    std::size_t changes() const { return staged_.size(); }
    bool empty() const { return staged_.empty() && extra_.empty(); }

    struct Outcome {
        Batch batch;
        std::vector<ChangeEvent> events;
        Revision head = 0;
    };
    // Ends the transaction; its changes stay.
    Outcome commit(const SecretCodec& secrets);

  private:
    struct Staged {
        Key key;
        ObjectPtr before, after;
        Revision revision = 0;
        bool spec_changed = false;
    };
    template <typename T, typename F>
    void update(const Uuid& id, F&& change, bool spec) {
        auto clone = std::make_unique<T>(*world_.find<T>(id));
        change(*clone);
        replace(std::move(clone), spec);
    }
    Staged& stage(const Key& key);

    World& world_;
    Revision head_;
    Moment moment_;
    Random& random_;
    std::vector<Staged> staged_;
    struct NetworkBefore {
        Uuid host{}, network{};
        std::optional<NetworkOnHost> there;
    };
    std::vector<NetworkBefore> networks_before_;
    std::vector<Write> extra_;
    bool done_ = false;
};

std::string object_key(Kind kind, const Uuid& id);  // "vm/0190…"

}  // namespace axle
