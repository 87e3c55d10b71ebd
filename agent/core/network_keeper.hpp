// Keeps the host's network as the documents and the guests want it: one level-triggered apply at a time of all that
// should be, after each change and now and then (DESIGN 8). Core thread.
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/core/attempt.hpp"
#include "agent/core/ledger.hpp"
#include "agent/core/missing.hpp"
#include "agent/core/reporter.hpp"
#include "agent/core/seams.hpp"

namespace axle {

class NetworkKeeper {
  public:
    struct Hooks {
        std::function<void()> changed;               // what guests wait for may have come
        std::function<std::vector<NicPlan>()> nics;  // of guests that run or should
        std::function<bool(NetworkId)> used;         // some guest on this host still has a NIC in it
        std::function<bool(VmId)> is_coming;         // it is still on another host
    };
    NetworkKeeper(const Seams& seams, Ledger& ledger, Reporter& reporter, Hooks hooks);

    void apply(const DocumentRecord& record);  // a durable network document: keep, release or destroy
    void mark();                               // the plan may have changed
    void resync() { mark(); }
    // Somebody changed what is ours, or we did: at once if that is news, else soon.
    void look_again();
    static constexpr milliseconds kHintEvery{5'000};

    // Why the NICs of this guest can't be used now; empty: its taps are there and its networks ready.
    Missing missing(const VmDocument& vm) const;
    // No tap of this guest is in what was applied last.
    bool without(VmId vm) const;
    // The bridge behind which a NIC of this guest has this address; empty: it has no such NIC, or none that stands.
    std::string bridge_to(VmId vm, const std::string& address) const;
    bool is_nat(NetworkId network) const;
    std::int64_t mtu(NetworkId network) const;

  private:
    struct Entry {
        NetworkDocument document;
        Verdict verdict = Verdict::keep;
        SimpleReport report;
    };
    NetworkPlan make_plan() const;
    void look();
    void on_applied(const NetworkPlan& plan, Result<NetworkReport> report);
    void finish_released(const NetworkPlan& plan);

    Seams seams_;
    Ledger& ledger_;
    Reporter& reporter_;
    Hooks hooks_;
    std::map<NetworkId, Entry> networks_;
    bool applied_once_ = false;
    BootTime next_hint_;
    std::map<std::string, NicPlan> usable_;  // by tap: made so, and no apply is on its way that lacks it
    std::set<VmId> maybe_;                   // guests of which a tap may exist
    std::map<std::string, std::string> tap_errors_;
    Attempt attempt_;
};

}  // namespace axle
