// The durable store of desired state, as the core sees it. Two implementations: RocksStore (rocks_store.hpp) and
// MemoryStore (memory_store.hpp, tests and simulator); nothing above knows which.
//
// Order: batches become durable in the order of the calls of commit(), each one whole; several may share one sync.
// Errors: a write or sync that fails ends the process (the fatal handler), which recovers by starting. So commit()
// has no result, and what was queued has an unknown outcome.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/id.hpp"
#include "common/base/result.hpp"

namespace axle {

// One sequence for all changes of a cluster, from 1. 0: nothing yet.
using Revision = std::uint64_t;

// Each is a column family. The store gives keys and values no meaning, but for keys of `meta` that begin with
// "store/", which are its own.
enum class Table : std::uint8_t {
    objects,
    changes,
    tasks,
    events,
    audit,
    idempotency,
    meta,
    decisions,
    networks_on_hosts
};
constexpr std::size_t kTables = 9;
const char* name_of(Table table);

// Big-endian, so that keys sort as numbers do. parse: nothing unless it is exactly eight bytes.
std::string revision_key(Revision revision);
std::optional<Revision> parse_revision_key(std::string_view key);

struct Write {
    Table table;
    std::string key;
    std::optional<std::string> value;  // none: erase; a key that isn't there is a success
};

struct DeletedRange {
    std::string from, until;  // [from, until), both stated
    Table table = Table::changes;
};

struct Batch {
    // Highest revision of the batch; its lowest follows the highest of the batch before. 0: the batch has none of its
    // own (it then rides behind the one before, and nobody can wait for it).
    Revision last_revision = 0;
    std::vector<Write> writes;                 // applied in this order, after the ranges
    std::vector<DeletedRange> deleted_ranges;  // trimming
};

struct Space {
    std::int64_t free_bytes = 0;   // of the file system, for us
    std::int64_t total_bytes = 0;  // of the file system
    bool below_reserve = false;    // take deletes, stops and cancels only (507)
};

// Why nothing may be written, for a person.
struct ReadOnly {
    std::string why;          // with the numbers
    std::string hint;         // what to do
    Revision seen = 0;        // highest revision that somebody else knows of
    Revision revision = 0;    // highest that the store holds
    std::string reason = {};  // stable: "lost-tail", "lost-store", "other-history", "no-witness", "other-run"
};

struct StoreState {
    Uuid cluster;
    std::uint64_t incarnation = 0;  // raised by each opening above all that store, witness and agents have seen
    std::string run_id;             // random, of this opening; 16 hex digits
    std::string history;            // part of ETags and watch ids; a new one after accept_loss(); 16 hex digits
    Revision revision = 0;          // highest that was durable at opening, or was set by accept_loss()
    bool fresh = false;             // this opening founded the cluster
    std::optional<ReadOnly> read_only;
    std::vector<std::string> warnings;  // for a condition: what works, but should be known
};

// What others (agents' hellos) know of this cluster.
struct Seen {
    Revision revision = 0;
    std::uint64_t incarnation = 0;
};

class Store {
  public:
    virtual ~Store() = default;

    // Queues the batch. Core thread. Never blocks, never fails; it is a bug to call it while the store is read-only or
    // with a revision below the last one's.
    virtual void commit(Batch batch) = 0;
    // Told, on the core's executor, the highest durable revision after each sync. Set once, before the first commit.
    virtual void on_durable(std::function<void(Revision)> told) = 0;
    virtual Revision durable() const = 0;    // never goes back; any thread
    virtual std::size_t queued() const = 0;  // batches that wait for their sync: the measure of back-pressure

    // Reads of what is durable; they may block on the disk. Any thread. Code::corrupt if the disk can't be read.
    virtual Result<std::optional<std::string>> get(Table table, std::string_view key) const = 0;
    // Calls `each` for the keys of [from, until) in order, or in reverse order from the end, until it says false. An
    // empty `until` has no bound. All calls see one state of the table. `each` must not call the store's commit().
    virtual Result<> scan(Table table, std::string_view from, std::string_view until, bool reverse,
                          const std::function<bool(std::string_view key, std::string_view value)>& each) const = 0;

    virtual Space space() const = 0;       // as last measured, at most some seconds ago; any thread, cheap
    virtual StoreState state() const = 0;  // any thread

    // Somebody has seen more than this store ever wrote, or another run of it: from now on nothing is written, also
    // after a restart, until accept_loss(). Batches that were queued before still become durable. Idempotent.
    virtual void turn_read_only(std::string reason, std::string why, Seen seen) = 0;
    // A person accepts the loss: the revision is lifted above all that was ever seen, a new history begins, writing is
    // open again. Answers on the core's executor, when that is durable. Code::conflict if the store isn't read-only.
    virtual void accept_loss(Seen seen, std::function<void(Result<StoreState>)> done) = 0;
};

// Gets the error that ends the process. Production: die_of() logs and aborts; tests install their own. After the call
// the store writes nothing and tells nothing any more.
using FatalHandler = std::function<void(const Error&)>;
[[noreturn]] void die_of(const Error& error);

}  // namespace axle
