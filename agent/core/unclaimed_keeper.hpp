// What lies here and nobody claims: documents that the orchestrator doesn't know, domains with our mark and volume
// files that no document tells of. Told when it changes and otherwise left alone; removed only on a person's word, one
// thing at a time, and only while it is as that person has seen it (DESIGN 7, promise 6). Core thread.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/core/ledger.hpp"
#include "agent/core/seams.hpp"
#include "agent/core/storage_keeper.hpp"
#include "agent/core/vm_keeper.hpp"

namespace axle {

class UnclaimedKeeper {
  public:
    struct Parts {
        const Ledger& ledger;
        StorageKeeper& storage;
        const VmKeeper& vms;
    };
    struct Hooks {
        std::function<void(UnclaimedReport)> tell;  // dropped when not connected, as the two below
        std::function<void(TaskNews)> news;
        std::function<void(const DocumentKey&, Epoch)> gone;  // nothing is left of it
        // Durably: it goes. content: the document of one that had none.
        std::function<void(const RemoveOrder&, std::string content)> end;
        std::function<void()> changed;  // conditions, and what guests take here that is nobody's
    };
    UnclaimedKeeper(const Seams& seams, const Parts& parts, Hooks hooks);

    void connected();                      // after the hello: all is told anew
    void look();                           // something may be different; soon
    void claimed(const DocumentKey& key);  // its document came
    void take(const UnknownThings& unknown);
    void take(const RemoveOrder& order, std::uint64_t connection);
    bool is_unclaimed(VmId vm) const;  // by the last look
    std::vector<Condition> host_conditions() const;

    static constexpr milliseconds kGather{200}, kSettle{5'000};
    static constexpr milliseconds kListDeadline{60'000};

  private:
    struct Obstacle {
        const char* code;
        std::string message;
    };
    void gather();
    UnclaimedReport report() const;
    std::map<Uuid, UnclaimedThing> volumes() const;
    std::vector<UnclaimedThing> guests() const;
    std::vector<UnclaimedThing> definitions() const;
    std::string user_of(VolumeId volume) const;
    void date(UnclaimedReport& report);

    bool has_ended(const RemoveOrder& order) const;
    bool is_under_way(const RemoveOrder& order) const;
    std::optional<Obstacle> obstacle(const RemoveOrder& order) const;
    std::optional<Obstacle> obstacle_in(const RemoveOrder& order, const std::vector<DomainObservation>& domains) const;
    void on_domains(const RemoveOrder& order, Result<std::vector<DomainObservation>> domains);
    void refuse(const RemoveOrder& order, const Obstacle& why);

    Seams seams_;
    Parts keep_;
    Hooks hooks_;
    std::set<DocumentKey> unknown_;  // to the orchestrator, as it last said
    std::map<DocumentKey, std::string> since_;
    UnclaimedReport told_;
    std::set<TaskId> looking_;  // orders for which libvirt is asked
    TimerId timer_ = 0;
    Life life_;
};

}  // namespace axle
