#include "agent/core/move_step.hpp"

#include "agent/core/planted.hpp"

namespace axle {
namespace {

constexpr const char* kExpecting = "Expecting";

StepDecision wait(std::string reason, std::string why) {
    return {.step = Step::wait, .reason = std::move(reason), .why = std::move(why)};
}
StepDecision abort(std::string why) {
    return {.step = Step::move_abort, .why = std::move(why)};
}

const MoveRecord* record_of(const VmMove& move, const MoveMemory& memory) {
    return memory.record != nullptr && memory.record->epoch == move.epoch ? memory.record : nullptr;
}

// Nothing of it may be left that could run, before the target is told: a late answer to an old start finds no domain.
StepDecision left_step(const DomainObservation& seen, const MoveMemory& memory) {
    if (is_on(seen.state) || seen.state == DomainState::crashed) return {.step = Step::destroy};
    if (seen.state == DomainState::shut_off) return {.step = Step::undefine};
    return {.step = memory.told ? Step::none : Step::move_tell};
}

// Streams may have been out: what became of it is seen.
StepDecision sent_step(const VmMove& move, const DomainObservation& seen, const VmMemory& known) {
    const MoveMemory& memory = known.move;
    if (memory.may_send) {
        if (move.cancel) return abort("it was cancelled");
        if (!known.seed_made) return {.step = Step::make_seed};
        if (move.live && seen.state != DomainState::running)
            return abort(fmt::format("the guest is {}, a live move needs it running", text_of(seen.state)));
        return {.step = Step::move_send};
    }
    if (memory.sending) return wait("Moving", "it is being moved to host " + move.peer_name);
    const bool off = seen.state == DomainState::shut_off || seen.state == DomainState::absent;
    if (off && (memory.sent || (move.live && seen.migrated))) return {.step = Step::move_hand_over};
    if (!memory.error.empty()) return abort(memory.error);
    return abort("the host or its agent was restarted while the guest was being moved; it stays where it is");
}

// The guest is asked as a stop would ask it, and its end is written down as one of ours.
StepDecision off_for_copy_step(const VmDocument& document, const DomainObservation& seen, const VmMemory& memory) {
    if (seen.state == DomainState::crashed) return {.step = Step::destroy};
    if (memory.stop_expired)
        return abort(fmt::format("the guest did not shut down within {} s", document.stop_timeout_ms / 1000));
    if (!memory.stop_noted) return {.step = Step::note_stop};
    if (seen.state == DomainState::paused) return {.step = Step::resume};
    if (memory.ask_due) return {.step = Step::ask_shutdown};
    return wait("Stopping", "the guest was asked to shut down for its move");
}

StepDecision leaving_step(const VmWish& wish, const DomainObservation& seen, const VmMemory& memory,
                          const std::function<StepDecision()>& usual) {
    const VmMove& move = *wish.document->move;
    const MoveMemory& known = memory.move;
    if (const MoveRecord* record = record_of(move, known)) {
        if (record->state == MoveState::sending) return sent_step(move, seen, memory);
        return usual();  // aborted
    }
    if (move.cancel) return abort("it was cancelled");
    if (memory.host.going_down()) return abort("the host is shutting down");
    if (known.start_is_out) return usual();
    if (move.live) {
        if (seen.state != DomainState::running)
            return abort(fmt::format("the guest is {}, a live move needs it running", text_of(seen.state)));
        StepDecision first = usual();
        return first.step == Step::none ? StepDecision{.step = Step::move_begin} : first;
    }
    if (is_on(seen.state) || seen.state == DomainState::crashed) {
        StepDecision first = usual();
        if (first.step == Step::record_run) return first;
        return off_for_copy_step(*wish.document, seen, memory);
    }
    if (memory.run.open() || memory.started) return usual();  // its end is written down first
    if (!known.disks_missing.empty()) return abort(known.disks_missing);
    if (!memory.seed_made) return {.step = Step::make_seed};
    if (wish.hardware_hash.empty()) return abort("its disks are not known on this host");
    return {.step = Step::move_begin};
}

StepDecision coming_step(const VmWish& wish, const DomainObservation& seen, const VmMemory& memory,
                         const std::function<StepDecision()>& usual) {
    const VmMove& move = *wish.document->move;
    const MoveMemory& known = memory.move;
    const MoveRecord* record = record_of(move, known);
    if (record != nullptr && record->state == MoveState::accepted) return usual();
    if (move.handed_over || known.handed_over == move.epoch) return {.step = Step::move_accept};
    if (planted().accept_unasked && seen.state == DomainState::paused) return {.step = Step::move_accept};
    if (known.expected != Epoch{} && known.expected != move.epoch) return {.step = Step::move_dismiss};
    const bool stale = seen.state != DomainState::absent && seen.epoch < wish.epoch;  // came in by an earlier move
    if (seen.state == DomainState::crashed || (stale && is_on(seen.state))) return {.step = Step::destroy};
    if (!is_on(seen.state)) {
        if (memory.host.going_down()) return wait("HostGoingDown", "the host is shutting down");
        if (!memory.missing.empty()) return wait("Waiting", memory.missing);
    }
    if (!memory.seed_made) return {.step = Step::make_seed};
    if (!is_on(seen.state)) {
        if (wish.hardware_hash.empty()) return wait("Waiting", "its disks are not known on this host");
        const bool defined = seen.state != DomainState::absent && seen.hardware_hash == wish.hardware_hash;
        if (!defined || seen.epoch != wish.epoch) return {.step = Step::define};
    }
    if (known.expected != move.epoch || !known.lets_in) return {.step = Step::move_expect};
    return wait(kExpecting, "it is ready for the guest, which is on host " + move.peer_name);
}

}  // namespace

bool is_handed_over(const MoveRecord* record, Epoch epoch) {
    return record != nullptr && record->state == MoveState::handed_over && epoch < record->epoch;
}

bool is_coming(const VmDocument* document, const MoveRecord* record) {
    if (document == nullptr || !document->move || document->move->role != MoveRole::incoming) return false;
    return record == nullptr || record->epoch != document->move->epoch || record->state != MoveState::accepted;
}

StepDecision move_step(const VmWish& wish, const DomainObservation& seen, const VmMemory& memory,
                       const std::function<StepDecision()>& usual) {
    const MoveMemory& known = memory.move;
    if (is_handed_over(known.record, wish.epoch)) return left_step(seen, known);
    const bool coming = is_coming(wish.document, known.record);
    StepDecision next;
    if (!wish.document->move)
        next = usual();
    else if (wish.document->move->role == MoveRole::incoming)
        next = coming_step(wish, seen, memory, usual);
    else
        next = leaving_step(wish, seen, memory, usual);
    if (next.step == Step::none && !coming && known.expected != Epoch{}) return {.step = Step::move_dismiss};
    return next;
}

std::optional<MoveReport> move_report(const VmWish& wish, const DomainObservation& seen, const MoveMemory& memory,
                                      const StepDecision& decision) {
    if (wish.release || wish.document == nullptr) return std::nullopt;
    if (is_handed_over(memory.record, wish.epoch)) {
        const bool gone = seen.state == DomainState::absent;
        MoveReport left;
        left.epoch = memory.record->epoch;
        left.phase = gone ? MovePhase::handed_over : MovePhase::moving;
        left.downtime_ms = memory.record->downtime_ms;
        return left;
    }
    if (!wish.document->move) return std::nullopt;
    const VmMove& move = *wish.document->move;
    const MoveRecord* record = record_of(move, memory);
    MoveReport report;
    report.epoch = move.epoch;
    if (move.role == MoveRole::incoming) {
        if (record != nullptr && record->state == MoveState::accepted) {
            report.phase = MovePhase::accepted;
        } else if (decision.reason == kExpecting) {
            report.phase = MovePhase::ready;
        } else {
            report.message = decision.why;
        }
        return report;
    }
    report.phase = MovePhase::moving;
    if (record != nullptr && record->state == MoveState::aborted) {
        report.phase = MovePhase::aborted;
        report.message = record->why;
    } else if (decision.step == Step::wait) {
        report.message = decision.why;
    }
    return report;
}

}  // namespace axle
