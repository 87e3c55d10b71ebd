#include "agent/core/move_step.hpp"

#include <doctest/doctest.h>

using namespace axle;

namespace {

const Epoch kHere{1, 5}, kThere{1, 9};

// A guest that is at rest, and its move to or from another host; a row changes what it is about.
struct Scene {
    VmDocument document{.epoch = kHere, .power = Power::running, .start_serial = 1};
    VmWish wish{.epoch = kHere, .hardware_hash = "h"};
    DomainObservation seen{.state = DomainState::running, .epoch = kHere, .hardware_hash = "h", .live_fixed_hash = "h"};
    VmMemory memory{.run = {.serial = 1, .boot_id = "b"}, .host = {.boot_id = "b", .now = {1000}}, .seed_made = true};
    MoveRecord record{.epoch = kThere};

    explicit Scene(MoveRole role) {
        document.move = VmMove{.role = role, .epoch = kThere, .peer_name = "other"};
        if (role == MoveRole::outgoing) return;
        document.epoch = wish.epoch = seen.epoch = kThere;
        memory.run = {};
        off();
    }
    void off(bool migrated = false) {
        seen.state = DomainState::shut_off;
        seen.migrated = migrated;
        seen.live_fixed_hash.clear();
    }
    void arrived() {
        seen.state = DomainState::paused;
        seen.incoming = true;
    }
    void recorded(MoveState state) {
        record.state = state;
        memory.move.record = &record;
    }
    StepDecision decide() {
        wish.document = &document;
        return next_step(wish, seen, memory);
    }
};

struct Row {
    const char* claim;
    Step step;
    void (*change)(Scene&);
};

template <std::size_t N>
void check(MoveRole role, const Row (&rows)[N]) {
    for (const Row& row : rows) {
        CAPTURE(row.claim);
        Scene scene(role);
        row.change(scene);
        CHECK(static_cast<int>(scene.decide().step) == static_cast<int>(row.step));
    }
}

}  // namespace

TEST_CASE("the next step of a source") {
    const Row rows[] = {
        {"at rest: the beginning is written down", Step::move_begin, [](Scene&) {}},
        {"what is usual comes first", Step::record_run, [](Scene& s) { s.memory.run.boot_id = "a"; }},
        {"a start without an answer could still happen: not begun", Step::none,
         [](Scene& s) { s.memory.move.start_is_out = true; }},
        {"cancelled before it began: it stays, durably", Step::move_abort,
         [](Scene& s) { s.document.move->cancel = true; }},
        {"off, and meant to go live: it stays", Step::move_abort, [](Scene& s) { s.off(); }},
        {"begun by this process: sent", Step::move_send,
         [](Scene& s) {
             s.recorded(MoveState::sending);
             s.memory.move.may_send = true;
         }},
        {"cancelled before it was sent: it stays", Step::move_abort,
         [](Scene& s) {
             s.recorded(MoveState::sending);
             s.memory.move.may_send = true;
             s.document.move->cancel = true;
         }},
        {"on its way: nothing", Step::wait,
         [](Scene& s) {
             s.recorded(MoveState::sending);
             s.memory.move.sending = true;
         }},
        {"gone while it is being sent: its answer is waited for", Step::wait,
         [](Scene& s) {
             s.recorded(MoveState::sending);
             s.memory.move.sending = true;
             s.off(true);
         }},
        {"gone by migration: handed over", Step::move_hand_over,
         [](Scene& s) {
             s.recorded(MoveState::sending);
             s.off(true);
         }},
        {"sent, and gone: handed over", Step::move_hand_over,
         [](Scene& s) {
             s.recorded(MoveState::sending);
             s.memory.move.sent = true;
             s.off();
         }},
        {"sent, it was said, and it runs: it stays", Step::move_abort,
         [](Scene& s) {
             s.recorded(MoveState::sending);
             s.memory.move.sent = true;
         }},
        {"off after a restart, by what isn't known: it stays", Step::move_abort,
         [](Scene& s) {
             s.recorded(MoveState::sending);
             s.off();
         }},
        {"a cold move is proved by no libvirt", Step::move_abort,
         [](Scene& s) {
             s.recorded(MoveState::sending);
             s.document.move->live = false;
             s.off(true);
         }},
        {"it stays, durably: as usual", Step::record_end,
         [](Scene& s) {
             s.recorded(MoveState::aborted);
             s.off();
         }},
        {"handed over: nothing of it is left that could run", Step::undefine,
         [](Scene& s) {
             s.recorded(MoveState::handed_over);
             s.off(true);
         }},
        {"handed over, and somebody started it: switched off", Step::destroy,
         [](Scene& s) { s.recorded(MoveState::handed_over); }},
        {"handed over and undefined: told", Step::move_tell,
         [](Scene& s) {
             s.recorded(MoveState::handed_over);
             s.seen.state = DomainState::absent;
         }},
        {"handed over, and its document knows of no move any more: never started", Step::none,
         [](Scene& s) {
             s.recorded(MoveState::handed_over);
             s.document.move.reset();
             s.memory.move.told = true;
             s.seen.state = DomainState::absent;
         }},
        {"cold and running: what is about to happen is noted, then it is asked", Step::note_stop,
         [](Scene& s) { s.document.move->live = false; }},
        {"cold and off: its end is written down first", Step::record_end,
         [](Scene& s) {
             s.document.move->live = false;
             s.off();
         }},
        {"cold, off and recorded: begun, not started", Step::move_begin,
         [](Scene& s) {
             s.document.move->live = false;
             s.memory.run.ended = RunEnd::stopped_by_us;
             s.off();
         }},
        {"cold, and the guest hears nothing: it stays", Step::move_abort,
         [](Scene& s) {
             s.document.move->live = false;
             s.memory.stop_noted = s.memory.stop_expired = true;
         }},
    };
    check(MoveRole::outgoing, rows);
}

TEST_CASE("the next step of a target") {
    const Row rows[] = {
        {"defined: the source is let in", Step::move_expect, [](Scene&) {}},
        {"waits for its disks first", Step::wait, [](Scene& s) { s.memory.missing = "disk root"; }},
        {"of another plan: defined", Step::define, [](Scene& s) { s.seen.hardware_hash = "other"; }},
        {"lets it in: nothing", Step::wait,
         [](Scene& s) {
             s.memory.move.expected = kThere;
             s.memory.move.lets_in = true;
         }},
        {"lets another move in: no more", Step::move_dismiss,
         [](Scene& s) {
             s.memory.move.expected = {1, 7};
         }},
        {"came up: not resumed", Step::wait,
         [](Scene& s) {
             s.arrived();
             s.memory.move.expected = kThere;
             s.memory.move.lets_in = true;
         }},
        {"came up by an earlier move: it goes", Step::destroy,
         [](Scene& s) {
             s.arrived();
             s.seen.epoch = {1, 7};
         }},
        {"handed over, says the source: accepted, durably", Step::move_accept,
         [](Scene& s) {
             s.arrived();
             s.memory.move.handed_over = kThere;
         }},
        {"handed over, says the document: accepted, durably", Step::move_accept,
         [](Scene& s) {
             s.arrived();
             s.document.move->handed_over = true;
         }},
        {"a word about another move is none", Step::move_expect,
         [](Scene& s) {
             s.arrived();
             s.memory.move.handed_over = {1, 7};
         }},
        {"accepted and paused: recorded, then resumed", Step::record_run,
         [](Scene& s) {
             s.arrived();
             s.recorded(MoveState::accepted);
         }},
        {"accepted, recorded, paused: resumed", Step::resume,
         [](Scene& s) {
             s.arrived();
             s.recorded(MoveState::accepted);
             s.memory.run = {.serial = 1, .boot_id = "b"};
         }},
        {"accepted after a power cut: started", Step::check_volumes, [](Scene& s) { s.recorded(MoveState::accepted); }},
        {"accepted, and it ended its run where it was: stays off", Step::none,
         [](Scene& s) {
             s.recorded(MoveState::accepted);
             s.memory.run = {.serial = 1, .boot_id = "b", .ended = RunEnd::guest_shutdown};
         }},
        {"accepted and at rest: nothing more is let in", Step::move_dismiss,
         [](Scene& s) {
             s.recorded(MoveState::accepted);
             s.memory.run = {.serial = 1, .boot_id = "b"};
             s.seen.state = DomainState::running;
             s.seen.live_fixed_hash = "h";
             s.memory.move.expected = kThere;
         }},
        {"released while it is let in: no more, then it goes", Step::move_dismiss,
         [](Scene& s) {
             s.arrived();
             s.wish.release = true;
             s.memory.move.expected = kThere;
         }},
    };
    check(MoveRole::incoming, rows);
}
