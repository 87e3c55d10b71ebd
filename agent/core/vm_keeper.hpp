// Keeps the guests as their documents say: observe, next_step, ask the edge for it, take the answer, observe again
// (DESIGN 3, 4, 8). One step at a time per guest, a bounded number of starts at once, by priority. Core thread.
//
// No volume is given to two guests: a guest claims its disks before they are checked for its start, and keeps them
// until it was seen off with no start of ours unanswered.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/core/attempt.hpp"
#include "agent/core/ledger.hpp"
#include "agent/core/move_step.hpp"
#include "agent/core/network_keeper.hpp"
#include "agent/core/next_step.hpp"
#include "agent/core/reporter.hpp"
#include "agent/core/seams.hpp"
#include "agent/core/storage_keeper.hpp"

namespace axle {

// A guest that runs and may not have its address yet.
struct YoungGuest {
    VmId vm;
    std::vector<VmDocumentNic> nics;
    milliseconds age{0};
};

class VmKeeper {
  public:
    struct Keepers {
        Ledger& ledger;
        Reporter& reporter;
        StorageKeeper& storage;
        NetworkKeeper& network;
    };
    VmKeeper(const Seams& seams, const AgentIdentity& identity, const Keepers& keepers);

    // Asks what runs here. Until that is answered no guest is started: one that runs may have the disk open.
    void begin() { lister_.kick(); }
    void apply(const DocumentRecord& record);  // a durable vm document: keep or release
    void confirm(VmId vm, Epoch epoch);
    void hint(const DomainHint& hint);
    void told_handed_over(VmId vm, Epoch epoch);  // by its source, over its own line
    // What a person on this host asks for. It is laid over the document until that has another generation; the rules of
    // epochs hold as for any start. Durable before it is done. Answers when it is durable.
    void wish(VmId vm, Power power, bool force, Done done);
    struct Kept {
        VmId id;
        std::string name;  // project/name
        DomainState state = DomainState::absent;
        Power power = Power::running;  // as it is wished
        std::int64_t cpus = 0, memory = 0;
        std::string waits;  // for what, if it does; or what went wrong at the last try
    };
    std::vector<Kept> kept() const;
    void kick_waiting();  // something that guests wait for may have come
    void kick_all();
    void resync();
    // All domains as they are now. Those with our mark and a tombstone of at least their epoch are released again;
    // what nobody knows is kept in mind, and left alone.
    void on_listed(const std::vector<DomainObservation>& domains);

    // For the other parts.
    std::string user_of(VolumeId volume) const;
    VolumeUse use_of(VolumeId volume) const;
    std::vector<NicPlan> nic_plans() const;
    bool uses_network(NetworkId network) const;
    bool is_coming(VmId vm) const;  // in a move from another host that still has it
    // Domains without a document, by the last list: with our mark, or foreign ones that name volumes.
    const std::vector<DomainObservation>& strays() const { return strays_; }
    std::optional<UnclaimedThing> as_unclaimed(VmId vm) const;  // of a kept guest; unclaimed_things.cpp
    std::optional<Epoch> epoch_if_on(VmId vm) const;            // of a kept guest that is on
    std::vector<VmId> guests_on() const;
    std::vector<YoungGuest> young_guests(milliseconds younger_than) const;
    void set_stage(VmId vm, const std::string& nic, const std::string& stage, milliseconds age);
    std::size_t count() const { return vms_.size(); }

    static constexpr int kParallelStarts = 4;

  private:
    static constexpr milliseconds kLookWhileMoving{5'000};  // of a guest that moves
    // What this process knows of the move `epoch`.
    struct Moving {
        Epoch epoch;
        Epoch expected;        // the move that may be let in; none: zero
        Epoch handed_over;     // the source told so itself
        bool lets_in = false;  // that is certain
        bool may_send = false, sending = false, sent = false, told = false;
        bool cancel_asked = false;
        std::optional<Result<>> answer;  // of send(), since the last look
        std::string error;
        MoveProgress progress;
        BootTime heard;
    };
    struct Entry {
        VmId id;
        std::optional<VmDocument> document;
        Verdict verdict = Verdict::keep;
        Epoch epoch;
        bool orphan = false;  // its tombstone stands; the domain came back by a late answer and goes again
        int version = 0;      // counts documents: an answer to an earlier one doesn't count for this one

        DomainObservation seen;
        BootTime looked_at;  // when `seen` was asked for
        bool looked = false;
        RunEnd told = RunEnd::none;
        bool start_asked = false;  // and not answered with a plain failure
        bool started = false;
        int starts_out = 0;  // starts of ours that were not answered, however late
        bool seed_made = false, files_removed = false;
        std::string seed_path;
        bool volumes_checked = false;
        bool confirmed = false;
        bool stop_noted = false;
        milliseconds stop_waited{0};  // for the guest to obey, as far as we looked on
        BootTime last_ask;
        BootTime restart_not_before;
        BootTime on_since;
        bool has_slot = false;
        bool had_taps = false;
        Moving moving;
        StepDecision last_done;  // the last step that succeeded: asked for twice in a row, it had no effect

        std::optional<Condition> trouble;
        StepDecision decision;
        std::map<std::string, std::string> stages;
        std::optional<Condition> no_address;
        VmReport report;
        std::unique_ptr<Attempt> attempt;
    };

    Entry& make_entry(VmId id);
    void lay_over(VmDocument& document);
    void look(Entry& vm);
    void on_observed(Entry& vm, BootTime asked, Result<DomainObservation> seen);
    void note(Entry& vm, DomainObservation seen);
    void hold_open_disks(Entry& vm);
    VmWish wish_of(const Entry& vm) const;
    VmMemory memory_of(const Entry& vm) const;
    HostMoment host_moment() const;
    std::optional<DomainPlan> plan_of(const Entry& vm) const;
    bool wants_taps(const Entry& vm) const;
    std::string name_of(const Entry& vm) const;
    Missing missing(const Entry& vm) const;
    bool needs_reboot(const Entry& vm) const;
    void update_report(Entry& vm);

    void moved_document(Entry& vm);  // mover.cpp
    void cancel_send(Entry& vm);
    MoveMemory move_memory(const Entry& vm) const;
    bool is_coming_here(const Entry& vm) const;  // another host's guest, yet
    bool has_left(const Entry& vm) const;        // another host's guest, now
    void perform_move(Entry& vm);
    void put_move(Entry& vm, MoveState state);
    void accept(Entry& vm);
    void book_arrival(Entry& vm);
    void send(Entry& vm);
    void take_sent(Entry& vm);
    void tell_target(Entry& vm);
    void expect(Entry& vm);
    void tell_move(const Entry& vm, VmReport& report) const;

    void perform(Entry& vm);  // vm_steps.cpp
    void perform_edge(Entry& vm);
    void wait(Entry& vm);
    void put_run(Entry& vm, RunRecord run);
    void record_end(Entry& vm);
    void note_stop(Entry& vm);
    void ask_shutdown(Entry& vm);
    void make_seed(Entry& vm);
    void define(Entry& vm);
    void start(Entry& vm);
    void start_domain(Entry& vm);
    void attach(Entry& vm);
    void attach_nic(Entry& vm);
    void finish(Entry& vm);
    void erase(Entry& vm);
    Done stepped(Entry& vm, std::function<void()> then = {});  // answer of the running step
    void failed(Entry& vm, const Error& error);

    bool take_slot(Entry& vm);
    void give_slot(Entry& vm);
    void claim(const Entry& vm);  // vm_disks.cpp
    void release_claims(Entry& vm);
    void check_volumes(Entry& vm);
    void check_volume(Entry& vm, std::size_t from);
    // Those on shared pools, by their epoch files; then `then`, else the step has failed.
    void claim_files(Entry& vm, std::vector<VolumeId> volumes, std::function<void()> then);
    void claim_all_files(Entry& vm, std::function<void()> then);

    Seams seams_;
    AgentIdentity identity_;
    Keepers keep_;
    std::map<VmId, Entry> vms_;
    std::map<VolumeId, VmId> holders_;
    std::map<VolumeId, std::string> open_elsewhere_;  // in domains without a document, by the last list
    std::vector<DomainObservation> strays_;
    int slots_used_ = 0;
    std::set<std::pair<std::int64_t, VmId>> waiting_for_slot_;
    bool listed_ = false;
    Attempt lister_;
    Life life_;
};

}  // namespace axle
