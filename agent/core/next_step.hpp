// The one next step from what a guest is to what it should be (DESIGN 3). Pure: no time, no edge, no memory of its own;
// a crash may fall between any two steps, and the next look decides anew.
#pragma once
#include <string>

#include "agent/core/power.hpp"

namespace axle {

enum class Step {
    none,        // nothing left to do
    wait,        // for what `why` names; something else brings the next look
    record_run,  // durably: this start was answered
    record_end,  // durably: how the run ended
    note_stop,   // durably: the button is about to be pressed
    make_seed,
    check_volumes,
    define,
    start,
    suspend,
    resume,
    ask_shutdown,
    destroy,  // power off
    attach_disk,
    detach_disk,
    attach_nic,
    detach_nic,
    undefine,
    remove_files,  // that it had beside its disks
    drop_taps,
    finish,  // of a release: nothing is left
    // ---- of a move to or from another host (move_step.hpp)
    move_begin,      // source, durably: from now on streams may be out
    move_send,       // source
    move_abort,      // source, durably: the guest stays here
    move_hand_over,  // source, durably: it is the target's
    move_tell,       // source: tell the target so
    move_expect,     // target: let the source in
    move_accept,     // target, durably: it is at home here
    move_dismiss,    // let nothing in any more
};

struct VmWish {
    const VmDocument* document = nullptr;  // null: only of a release whose document is no longer known
    Epoch epoch;
    bool release = false;       // durable and explicit; mere absence of a document ends nothing
    std::string hardware_hash;  // of the plan; empty while it can't be made (its disks are unknown)
};

// What this process knows of a move besides the document.
struct MoveMemory {
    const MoveRecord* record = nullptr;  // of the guest's newest move, whichever it was
    // Source.
    bool may_send = false;      // this process has just written `sending`, and send() wasn't asked yet
    bool sending = false;       // send() was asked and has not answered
    bool sent = false;          // it answered success
    bool told = false;          // the target was told of the hand-over
    bool start_is_out = false;  // a start of ours has no answer yet
    std::string error;          // of send()
    std::string disks_missing;  // why its disks can't be read now
    // Target.
    Epoch expected;        // the move that may be let in; none: zero
    bool lets_in = false;  // that is certain
    Epoch handed_over;     // the source said so over its own line
};

struct VmMemory {
    RunRecord run;
    HostMoment host;
    RunEnd told = RunEnd::none;  // cause of the last event since the last start
    bool started = false;        // a start of ours was answered, or its end was told, and it isn't recorded yet
    bool seed_made = false;
    bool volumes_checked = false;  // since the guest was last seen on
    bool stop_noted = false;
    bool ask_due = false;       // power stopped: (again) time to press the button
    bool stop_expired = false;  // power stopped: the guest did not obey within its time
    bool restart_due = true;    // the back-off after a crash is over
    bool confirmed = true;      // its epoch is, or need not be, confirmed since the boot
    bool files_removed = false;
    bool taps_gone = false;
    std::string missing;         // what the start must wait for; empty: nothing
    bool missing_comes = false;  // it is being made
    MoveMemory move = {};
};

struct StepDecision {
    Step step = Step::none;
    std::string device = {};    // attach_*, detach_*: its name
    RunEnd end = RunEnd::none;  // record_end
    std::string reason = {};    // wait: stable word
    std::string why = {};       // wait, move_abort: sentence
};

StepDecision next_step(const VmWish& wish, const DomainObservation& seen, const VmMemory& memory);

}  // namespace axle
