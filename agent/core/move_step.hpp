// What a move to or from another host asks for, before all that is usual (RELIABILITY 5.4). Pure.
//
//   source   (usual, until at rest) -> begin* -> send -> hand_over* -> undefine -> tell      * durable
//                                    -> abort* -> usual
//   target   prepare -> expect -> ... -> accept* -> usual -> dismiss
//
// Before `accepted` the target claims the epoch files of disks on shared pools (RELIABILITY 5.3).
//
// The source decides alone. Only its hand-over, which it never takes back, lets the target accept; only its abort, or
// never having begun, lets it start the guest again.
#pragma once
#include <functional>

#include "agent/core/next_step.hpp"

namespace axle {

// usual: the step without a move; asked where the move leaves it to that.
StepDecision move_step(const VmWish& wish, const DomainObservation& seen, const VmMemory& memory,
                       const std::function<StepDecision()>& usual);

// The guest was handed over to another host: this one runs it at no epoch up to this.
bool is_handed_over(const MoveRecord* record, Epoch epoch);
// The document is of a guest that is yet to come: it is another host's until it is accepted here.
bool is_coming(const VmDocument* document, const MoveRecord* record);
// What of a move there is to tell; progress is for the caller to add. null: nothing.
std::optional<MoveReport> move_report(const VmWish& wish, const DomainObservation& seen, const MoveMemory& memory,
                                      const StepDecision& decision);

}  // namespace axle
