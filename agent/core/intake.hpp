// What the orchestrator wishes: checked against what this host has seen before, stored durably, and only then handed to
// those who act on it (DESIGN 7, RELIABILITY 5). Core thread.
#pragma once
#include <functional>
#include <map>
#include <string>

#include "agent/core/ledger.hpp"
#include "agent/core/reporter.hpp"
#include "agent/core/seams.hpp"

namespace axle {

// Why nothing of this message is taken; empty: it may be. Pure.
std::string refusal(const Desired& desired, const std::string& cluster, const SeenRecord& seen);
// Why this document is not taken in view of what is held of it (null: nothing); empty: it may be. Pure.
std::string refusal(const Put& put, const DocumentRecord* held, const std::string& cluster);
// Whether a release or destroy of this epoch counts for what is held.
bool may_end(Epoch epoch, const DocumentRecord* held);
// VMs and volumes have epochs and leave tombstones; pools, images and networks are definitions.
constexpr bool has_epoch(DocumentKind kind) {
    return kind == DocumentKind::vm || kind == DocumentKind::volume;
}

class Intake {
  public:
    struct Hooks {
        std::function<void(const DocumentRecord&)> apply;  // it is durable now
        std::function<void(const Confirm&)> confirm;
        std::function<void(std::string why)> close;  // the connection must be made anew: the orchestrator sends again
    };
    Intake(const Seams& seams, const AgentIdentity& identity, Ledger& ledger, Reporter& reporter, Hooks hooks);

    // Nothing, or all but what is refused by itself.
    void take(const Desired& desired);
    // A person's word that what nobody claims goes (unclaimed_keeper.hpp). content: the document of one that had none.
    void end(DocumentKind kind, const Uuid& id, Epoch epoch, std::string content);
    const std::string& refused() const { return refused_; }  // why the last message was; empty: it was taken

  private:
    void take_put(const Put& put, std::uint64_t order);
    void take_end(DocumentKind kind, const Uuid& id, Epoch epoch, Verdict verdict, std::uint64_t order,
                  std::string content = {});
    void store(DocumentRecord record);
    const DocumentRecord* held(const DocumentKey& key) const;

    Seams seams_;
    AgentIdentity identity_;
    Ledger& ledger_;
    Reporter& reporter_;
    Hooks hooks_;
    SeenRecord seen_;  // with what is on its way to the disk
    std::map<DocumentKey, DocumentRecord> on_their_way_;
    std::string refused_;
    Life life_;
};

}  // namespace axle
