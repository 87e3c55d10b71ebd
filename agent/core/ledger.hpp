// The durable memory of the agent, as it stands on disk: what the maps here hold is synced. Core thread.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/core/life.hpp"
#include "agent/core/records.hpp"
#include "agent/hypervisor/hypervisor.hpp"
#include "agent/state/state_files.hpp"

namespace axle {

class Ledger {
  public:
    explicit Ledger(StateFiles& files) : files_(files) {}

    // Once, before anything else. A file that can't be read is left as it is and named in unreadable(): its document
    // counts as not held, so the orchestrator sends it anew, and nothing of it is touched meanwhile.
    void load(Done done);
    const std::vector<std::string>& unreadable() const { return unreadable_; }

    const std::map<DocumentKey, DocumentRecord>& documents() const { return documents_; }
    const DocumentRecord* document(const DocumentKey& key) const;
    const std::map<TaskId, TaskRecord>& tasks() const { return tasks_; }
    RunRecord run(VmId vm) const;
    const LocalRecord* local(VmId vm) const;
    const MoveRecord* move(VmId vm) const;
    const SeenRecord& seen() const { return seen_; }
    std::uint64_t connection() const { return connection_.number; }
    const std::string& going_down_boot() const { return going_down_.boot_id; }
    bool made(VolumeId volume) const { return made_.contains(volume); }
    bool known(PoolId pool) const { return known_.contains(pool); }

    // Each shows in the maps from the instant when `done` is told success, not before. Answers come in the order of
    // the calls.
    void put(DocumentRecord record, Done done);
    // A write of this document is on its way: what would end it must wait and look again when it is applied.
    bool writing(const DocumentKey& key) const { return writing_.contains(key); }
    void put(RunRecord record, Done done);
    void put(LocalRecord record, Done done);
    void put(MoveRecord record, Done done);
    void put(TaskRecord record, Done done);
    void put(SeenRecord record, Done done);
    void put(ConnectionRecord record, Done done);
    void set_going_down(std::string boot_id, Done done);  // empty: the host stays up
    void mark_made(VolumeId volume, Done done);
    void mark_known(PoolId pool, Done done);
    // What is forgotten again can be found out anew or no longer matters; the answer isn't waited for.
    void forget_document(const DocumentKey& key);
    void forget_run(VmId vm);
    void forget_local(VmId vm);
    void forget_move(VmId vm);
    void forget_made(VolumeId volume);
    void forget_known(PoolId pool);
    void forget_task(TaskId task);

    static constexpr std::size_t kMaxTombstones = 4096;

  private:
    void take(const StateFile& file);
    void drop_old_tombstones();
    void write(std::string name, std::string content, std::function<void()> apply, Done done);
    void remove(std::string name);

    StateFiles& files_;
    std::map<DocumentKey, DocumentRecord> documents_;
    std::map<VmId, RunRecord> runs_;
    std::map<VmId, LocalRecord> locals_;
    std::map<VmId, MoveRecord> moves_;
    std::map<TaskId, TaskRecord> tasks_;
    std::set<VolumeId> made_;
    std::set<PoolId> known_;
    SeenRecord seen_;
    ConnectionRecord connection_;
    GoingDown going_down_;
    std::vector<std::string> unreadable_;
    std::map<DocumentKey, int> writing_;
    std::size_t tombstones_ = 0;
    Life life_;
};

}  // namespace axle
