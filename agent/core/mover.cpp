// The part of VmKeeper that moves guests to and from other hosts: the decided steps (move_step.hpp), and what this
// process knows of streams.
#include <algorithm>

#include "agent/core/planted.hpp"
#include "agent/core/vm_keeper.hpp"

namespace axle {
namespace {

constexpr milliseconds kSilent{300'000};     // without any progress: it is given up
constexpr milliseconds kLastChance{60'000};  // for the answer, from then on

}  // namespace

// A document has come, or what was said of the move.
void VmKeeper::moved_document(Entry& vm) {
    if (!vm.document || !vm.document->move) return;
    const VmMove& move = *vm.document->move;
    Moving& moving = vm.moving;
    if (moving.epoch != move.epoch) {
        const Epoch expected = moving.expected;
        moving = {};
        moving.epoch = move.epoch;
        moving.expected = expected;
    }
    if (!move.cancel || !moving.sending || std::exchange(moving.cancel_asked, true)) return;
    cancel_send(vm);
}

void VmKeeper::cancel_send(Entry& vm) {
    seams_.migration.cancel(vm.id, life_.wrap([this, id = vm.id](Result<> asked) {
        if (asked) return;
        seams_.log(log::Level::warning,
                   fmt::format("the move of guest {} was not cancelled: {}", id.str(), asked.error().message));
        if (auto it = vms_.find(id); it != vms_.end()) it->second.moving.cancel_asked = false;
    }));
}

MoveMemory VmKeeper::move_memory(const Entry& vm) const {
    const Moving& moving = vm.moving;
    const bool moves = vm.document && vm.document->move;
    return {.record = keep_.ledger.move(vm.id),
            .may_send = moving.may_send,
            .sending = moving.sending,
            .sent = moving.sent,
            .told = moving.told,
            .start_is_out = vm.starts_out > 0,
            .error = moving.error,
            .disks_missing = moves ? keep_.storage.missing(*vm.document).what : "",
            .expected = moving.expected,
            .lets_in = moving.lets_in,
            .handed_over = moving.handed_over};
}

bool VmKeeper::is_coming_here(const Entry& vm) const {
    return vm.verdict == Verdict::keep &&
           axle::is_coming(vm.document ? &*vm.document : nullptr, keep_.ledger.move(vm.id));
}
bool VmKeeper::has_left(const Entry& vm) const {
    return vm.verdict == Verdict::keep && is_handed_over(keep_.ledger.move(vm.id), vm.epoch);
}

bool VmKeeper::is_coming(VmId id) const {
    auto it = vms_.find(id);
    return it != vms_.end() && is_coming_here(it->second);
}

void VmKeeper::told_handed_over(VmId id, Epoch epoch) {
    auto it = vms_.find(id);
    if (it == vms_.end() || !it->second.document || !it->second.document->move) return;
    if (it->second.document->move->epoch != epoch || it->second.document->move->role != MoveRole::incoming) return;
    it->second.moving.handed_over = epoch;
    it->second.attempt->kick_now();
}

void VmKeeper::perform_move(Entry& vm) {
    switch (vm.decision.step) {
        case Step::move_begin:
            return put_move(vm, MoveState::sending);
        case Step::move_abort:
            return put_move(vm, MoveState::aborted);
        case Step::move_hand_over:
            if (planted().tell_before_record && !vm.moving.told) return tell_target(vm);
            return put_move(vm, MoveState::handed_over);
        case Step::move_accept:
            return accept(vm);
        case Step::move_send:
            return send(vm);
        case Step::move_tell:
            return tell_target(vm);
        case Step::move_expect:
            return expect(vm);
        case Step::move_dismiss:
            return seams_.migration.dismiss(vm.id, stepped(vm, [&vm] {
                                                vm.moving.expected = {};
                                                vm.moving.lets_in = false;
                                            }));
        default:
            ENSURE(false, "a step of a move without an action");
    }
}

void VmKeeper::put_move(Entry& vm, MoveState state) {
    const VmMove& move = *vm.document->move;
    MoveRecord record{.vm = vm.id, .epoch = move.epoch, .state = state, .why = vm.decision.why};
    if (state == MoveState::handed_over) record.downtime_ms = vm.moving.progress.downtime_ms;
    if (state == MoveState::aborted) vm.stop_noted = false;
    seams_.log(log::Level::info,
               fmt::format("guest {}: its move between hosts, with {}: {}{}{}", name_of(vm), move.peer_name,
                           text_of(state), record.why.empty() ? "" : ": ", record.why));
    keep_.ledger.put(std::move(record), vm.attempt->job<void>([this, &vm, state, epoch = move.epoch](Result<> put) {
        if (!put) return failed(vm, put.error());
        vm.trouble.reset();
        if (state == MoveState::sending && vm.moving.epoch == epoch) vm.moving.may_send = true;
        if (state == MoveState::handed_over) {
            vm.told = RunEnd::none;
            vm.start_asked = vm.started = false;
            keep_.network.mark();
        }
        if (state == MoveState::accepted) keep_.network.mark();
        vm.attempt->kick_now();
    }));
}

// Its source can't write any more, that is why it is accepted: from here on the disks on shared pools are this host's,
// and what the source may still be asked to start finds that. A crash before `accepted` only leads here again.
void VmKeeper::accept(Entry& vm) {
    claim_all_files(vm, [this, &vm] { book_arrival(vm); });
}

// A run that the guest ended itself, where it was, is over here too: that is known before it is at home.
void VmKeeper::book_arrival(Entry& vm) {
    if (!vm.document->move->run_over) return put_move(vm, MoveState::accepted);
    RunRecord run{.vm = vm.id,
                  .serial = vm.document->start_serial,
                  .boot_id = identity_.boot_id,
                  .ended = RunEnd::guest_shutdown};
    keep_.ledger.put(std::move(run), vm.attempt->job<void>([this, &vm](Result<> put) {
        if (!put) return failed(vm, put.error());
        if (!vm.document || !vm.document->move) return vm.attempt->kick();
        put_move(vm, MoveState::accepted);
    }));
}

// The answer doesn't hold up looks: the guest is watched while it moves.
void VmKeeper::send(Entry& vm) {
    auto plan = plan_of(vm);
    if (!plan) return failed(vm, error(Code::unavailable, "its disks are not known on this host"));
    claim(vm);
    Moving& moving = vm.moving;
    moving.may_send = false;
    moving.sending = true;
    moving.heard = seams_.clock.boot();
    const auto of_this = [this, id = vm.id, epoch = moving.epoch]() -> Entry* {
        auto it = vms_.find(id);
        const bool same = it != vms_.end() && it->second.moving.epoch == epoch && it->second.moving.sending;
        return same ? &it->second : nullptr;
    };
    const auto progress = life_.wrap([this, of_this](MoveProgress now) {
        Entry* mine = of_this();
        if (mine == nullptr) return;
        mine->moving.progress = now;
        mine->moving.heard = seams_.clock.boot();
        update_report(*mine);
    });
    const auto done = life_.wrap([of_this](Result<> sent) {
        Entry* mine = of_this();
        if (mine == nullptr) return;
        mine->moving.answer = std::move(sent);  // counts for what is seen from now on
        mine->attempt->kick_now();
    });
    seams_.migration.send({std::move(*plan), *vm.document->move}, progress, done);
    update_report(vm);
    vm.attempt->look_after(kLookWhileMoving);
}

// Before each look: what is known now is older than what will be seen.
void VmKeeper::take_sent(Entry& vm) {
    Moving& moving = vm.moving;
    if (!moving.sending) return;
    const milliseconds silent = seams_.clock.boot() - moving.heard;
    if (!moving.answer && silent > kSilent && !std::exchange(moving.cancel_asked, true)) cancel_send(vm);
    if (!moving.answer && silent > kSilent + kLastChance)
        moving.answer = fail(Code::timeout, "nothing was heard of the move for {} s", silent.count() / 1000);
    if (!moving.answer) return;
    moving.sending = false;
    moving.sent = moving.answer->has_value();
    if (!moving.sent) {
        const Error& why = moving.answer->error();
        moving.error = why.hint.empty() ? why.message : why.message + ". " + why.hint;
    }
    moving.answer.reset();
}

// Only to save time: the orchestrator tells the target as well.
void VmKeeper::tell_target(Entry& vm) {
    vm.moving.told = true;
    auto plan = plan_of(vm);
    const bool of_this = vm.document && vm.document->move && vm.document->move->role == MoveRole::outgoing;
    if (!plan || !of_this) return vm.attempt->kick();
    seams_.migration.tell_handed_over({std::move(*plan), *vm.document->move}, life_.wrap([](Result<>) {}));
    vm.attempt->kick();
}

void VmKeeper::expect(Entry& vm) {
    auto plan = plan_of(vm);
    if (!plan) return failed(vm, error(Code::unavailable, "its disks are not known on this host"));
    const Epoch epoch = vm.document->move->epoch;
    vm.moving.expected = epoch;  // also where the answer is lost: it is dismissed one day
    seams_.migration.expect({std::move(*plan), *vm.document->move}, vm.attempt->job<void>([this, &vm](Result<> done) {
        if (!done) return failed(vm, done.error());
        vm.moving.lets_in = true;
        vm.trouble.reset();
        vm.attempt->kick();
    }));
}

void VmKeeper::tell_move(const Entry& vm, VmReport& report) const {
    report.move = move_report(wish_of(vm), vm.seen, move_memory(vm), vm.decision);
    if (!report.move) return;
    // Who hears that it has come is not to see it paused, unless that can't be helped.
    const bool wakes = vm.seen.state == DomainState::paused && vm.document->power == Power::running && !vm.trouble;
    if (report.move->phase == MovePhase::accepted && wakes) report.move->phase = MovePhase::preparing;
    const MovePhase phase = report.move->phase;
    if (phase == MovePhase::moving) {
        report.move->done = vm.moving.progress.done;
        report.move->total = vm.moving.progress.total;
        report.move->downtime_ms = vm.moving.progress.downtime_ms;
    }
    if (phase == MovePhase::preparing && vm.trouble) report.move->message = vm.trouble->message;
    if (!is_coming_here(vm)) return;
    report.state = DomainState::absent;  // it is another host's
    report.settled = report.needs_reboot = false;
    report.stages.clear();
}

}  // namespace axle
