// The store on RocksDB.
//
//   DIRECTORY/lock        flock of the process that has the store
//   DIRECTORY/db/         RocksDB; complete whenever it is there (made under db.new, then renamed)
//   DIRECTORY/reserve     room for a recovery on a full disk
//   IDENTITY/cluster-id, IDENTITY/secret-key, IDENTITY/witness
//
// One committer thread groups what waits into one synced write, keeps the witness and measures the space.
#pragma once
#include <memory>
#include <string>

#include "common/base/clock.hpp"
#include "orchestrator/store/migrations.hpp"
#include "orchestrator/store/opening.hpp"
#include "orchestrator/store/store.hpp"

namespace rocksdb {
class FileSystem;
}

namespace axle {

struct RocksStoreOptions {
    std::string directory;
    std::string identity_directory;  // outside of `directory`, best on the same disk
    bool agent_state = false;        // an agent's directory on this machine holds state: then no cluster is founded
    Seen agents;                     // what agents are known to have seen, if anything is known
    std::int64_t reserve_bytes = 64 << 20;
    milliseconds witness_every{1000};
    std::size_t write_buffer_bytes = 8 << 20;
    FatalHandler fatal = die_of;  // called once, from any thread

    // For tests.
    const std::vector<SchemaStep>* migrations = nullptr;    // none: those of this version
    std::shared_ptr<rocksdb::FileSystem> file_system = {};  // none: the real one
    bool any_file_system = false;  // open where synced files can be lost (check_keeps_synced), too
    // Planted bugs that the crash tests must find; only in builds with AXLE_FAULTS.
    bool skip_sync = false;      // a commit is told durable without a sync
    bool witness_first = false;  // two steps swapped: the witness is written, then the commit is synced
};

class RocksStore final : public Store {
  public:
    // Takes the directory, judges what is there (judge_opening), founds, migrates, raises the incarnation. Blocks;
    // start only. Executor and random source outlive the store. Code::busy: another process has it. Code::conflict,
    // Code::corrupt: starting would harm; nothing was changed. A store that lost something opens read-only: see
    // state().
    static Result<std::unique_ptr<RocksStore>> open(RocksStoreOptions options, Executor& core, Random& random,
                                                    WallTime now);
    // Writes what is queued, then the witness, and closes. Nothing is told any more.
    ~RocksStore() override;

    void commit(Batch batch) override;
    void on_durable(std::function<void(Revision)> told) override;
    Revision durable() const override;
    std::size_t queued() const override;
    Result<std::optional<std::string>> get(Table table, std::string_view key) const override;
    Result<> scan(Table table, std::string_view from, std::string_view until, bool reverse,
                  const std::function<bool(std::string_view, std::string_view)>& each) const override;
    Space space() const override;
    StoreState state() const override;
    void turn_read_only(std::string reason, std::string why, Seen seen) override;
    void accept_loss(Seen seen, std::function<void(Result<StoreState>)> done) override;

  private:
    class Committer;
    RocksStore(std::unique_ptr<Committer> committer, Random& random);
    std::unique_ptr<Committer> committer_;
    Random& random_;
};

}  // namespace axle
