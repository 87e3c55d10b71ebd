// What an opening of the store decides from what it finds. Pure: RocksStore and MemoryStore share it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "common/base/clock.hpp"
#include "common/base/id.hpp"
#include "orchestrator/store/store.hpp"

namespace axle {

// What the store knows of itself: key "store/mark" of the table meta, as JSON, and "store/revision".
struct StoreMark {
    std::uint32_t schema = 0;
    Uuid cluster;
    std::uint64_t incarnation = 0;
    std::string history;
    std::string previous_history;       // lets the witness lag behind an accept_loss()
    bool founding = false;              // identity and witness may not have been made yet
    std::optional<ReadOnly> read_only;  // turned so while running; stays until accept_loss()
    Revision revision = 0;              // stored on its own, with each batch
};
constexpr const char* kMarkKey = "store/mark";
constexpr const char* kRevisionKey = "store/revision";

std::string write_mark(const StoreMark& mark);           // all but the revision
Result<StoreMark> read_mark(const std::string& stored);  // Code::corrupt

// What the witness remembers: it may lag behind the store by a second, never lead.
struct WitnessRecord {
    Revision revision = 0;
    std::uint64_t incarnation = 0;
    std::string run_id;
    std::string history;
    Uuid cluster;
    bool operator==(const WitnessRecord&) const = default;
};

struct Found {
    std::optional<StoreMark> store;        // none: there is no store
    std::optional<WitnessRecord> witness;  // none: absent or unreadable
    std::optional<Uuid> identity;          // cluster id of the identity files
    bool key_alone = false;                // a key of secrets stands without a cluster id
    bool agent_state = false;              // an agent's directory on this machine holds state
    Seen agents;                           // if the caller knows
};

enum class Opening {
    found_cluster,   // nothing is there: make all
    go_on_founding,  // a crash fell into the first start
    open,
    open_read_only,
    replace_store,  // identity without a store: an empty one, read-only
};
struct OpeningVerdict {
    Opening opening = Opening::open;
    std::optional<ReadOnly> read_only;
    std::uint64_t incarnation = 1;  // of this run
};
// Code::conflict where starting would harm: parts of different clusters, or a lost identity.
Result<OpeningVerdict> judge_opening(const Found& found);

// What turn_read_only() states.
ReadOnly doubt_while_running(std::string reason, std::string why, Revision revision, Revision seen);

// accept_loss(): the revision goes above all that was seen and above what may have been written within the second that
// the witness lags; the incarnation above all seen; a new history begins.
void mend_mark(StoreMark& mark, const StoreState& state, Seen seen, const std::optional<WitnessRecord>& witness,
               std::string new_history);
StoreState mended_state(StoreState state, const StoreMark& mark);

// The first mark of a store that is made: a new cluster's, or an empty one in place of a lost one (read-only).
StoreMark first_mark(const Found& found, const OpeningVerdict& verdict, WallTime now, Random& random);
StoreState first_state(const StoreMark& mark, const OpeningVerdict& verdict, Random& random);
// What the witness is to hold now. A store in doubt changes nothing of what the witness saw; nothing where it saw
// nothing.
std::optional<WitnessRecord> next_witness(const StoreState& state, Revision durable,
                                          const std::optional<WitnessRecord>& witness);

std::string random_hex16(Random& random);

}  // namespace axle
