// What the agent keeps durably, one small file each (DESIGN 8). All else is observed.
//
//   desired/<kind>-<id>   line 1: DocumentRecord; the rest: the document as the orchestrator gave it
//   runs/<vm>             RunRecord: how the last run of a guest stands or ended
//   local/<vm>            LocalRecord: what a person asked of this agent itself, with the orchestrator away
//   moves/<vm>            MoveRecord: what this host durably said of the guest's newest move
//   made/<volume>         Mark: this volume was made here once
//   known/<pool>          Mark: this pool was usable here once
//   tasks/<task>          TaskRecord: an action that began, and how it ended
//   agent/seen            SeenRecord: the highest that an orchestrator told
//   agent/connection      ConnectionRecord
//   agent/going-down      GoingDown: in this boot the host began to shut down
#pragma once
#include <string>
#include <utility>

#include "common/channel/messages.hpp"

namespace axle {

using DocumentKey = std::pair<DocumentKind, Uuid>;

// What is to become of a document. gone: a tombstone; its epoch and all lower ones are refused.
enum class Verdict { keep, release, destroy, gone };
constexpr EnumNames<Verdict, 4> names(Verdict) {
    return {{{Verdict::keep, "keep"},
             {Verdict::release, "release"},
             {Verdict::destroy, "destroy"},
             {Verdict::gone, "gone"}}};
}

struct DocumentRecord {
    DocumentKind kind = DocumentKind::vm;
    Uuid id{};
    Epoch epoch;
    Verdict verdict = Verdict::keep;
    std::string hash;
    std::uint64_t order = 0;  // revision of the message that brought it: tombstones are dropped oldest first
    bool destroyed = false;   // of a tombstone: the file went, too
    std::string content;      // not in the header line
    DocumentKey key() const { return {kind, id}; }
};
template <class V>
void describe(DocumentRecord& v, V&& field) {
    field("kind", v.kind, {});
    field("id", v.id, {});
    field("epoch", v.epoch, {});
    field("verdict", v.verdict, {});
    field("hash", v.hash, {});
    field("order", v.order, {});
    field("destroyed", v.destroyed, {});
}

// The last run of a guest (DESIGN 4, Power). A run counts from the moment when the guest was seen running.
struct RunRecord {
    VmId vm;
    std::int64_t serial = 0;      // start_serial that the run answered
    std::string boot_id;          // boot of the host in which it was last seen running
    RunEnd ended = RunEnd::none;  // none: it goes on, as far as we know
    std::int64_t restarts = 0;    // after crashes, since the last start by a person
    // Crashes lately: `crashes` of them since `crashes_since_ms` on the clock of boot `boot_id`.
    std::int64_t crashes = 0;
    std::int64_t crashes_since_ms = 0;
    // We pressed the button: an end before this instant (clock of boot `boot_id`) is ours. 0: not pressed.
    std::int64_t stopping_until_ms = 0;
    bool open() const { return serial > 0 && ended == RunEnd::none; }
    bool operator==(const RunRecord&) const = default;
};
template <class V>
void describe(RunRecord& v, V&& field) {
    field("vm", v.vm, {});
    field("serial", v.serial, {});
    field("bootId", v.boot_id, {});
    field("ended", v.ended, {});
    field("restarts", v.restarts, {});
    field("crashes", v.crashes, {});
    field("crashesSinceMs", v.crashes_since_ms, {});
    field("stoppingUntilMs", v.stopping_until_ms, {});
}

// Laid over the document of this epoch and generation, and over no other.
struct LocalRecord {
    VmId vm;
    Epoch epoch;
    LocalWish wish;
    bool force = false;  // a stop that asks the guest nothing
};
template <class V>
void describe(LocalRecord& v, V&& field) {
    field("vm", v.vm, {});
    field("epoch", v.epoch, {});
    field("wish", v.wish, {});
    field("force", v.force, {});
}

// This host's part in a move of a guest (RELIABILITY 5.4); that of a later move replaces it.
enum class MoveState {
    sending,      // source: streams may have begun; whether the guest is gone is seen, never assumed
    aborted,      // source: it stays here
    handed_over,  // source: it never runs here again at an epoch below that of the move
    accepted,     // target: it is at home here
};
constexpr EnumNames<MoveState, 4> names(MoveState) {
    return {{{MoveState::sending, "sending"},
             {MoveState::aborted, "aborted"},
             {MoveState::handed_over, "handed-over"},
             {MoveState::accepted, "accepted"}}};
}
struct MoveRecord {
    VmId vm;
    Epoch epoch;  // that the guest has, or would have, on the target
    MoveState state = MoveState::sending;
    std::string why;               // aborted
    std::int64_t downtime_ms = 0;  // handed over, as far as is known
};
template <class V>
void describe(MoveRecord& v, V&& field) {
    field("vm", v.vm, {});
    field("epoch", v.epoch, {});
    field("state", v.state, {});
    field("why", v.why, {});
    field("downtimeMs", v.downtime_ms, {});
}

struct Mark {
    Uuid id{};
};
template <class V>
void describe(Mark& v, V&& field) {
    field("id", v.id, {});
}

struct TaskRecord {
    TaskId id;
    TaskVerb verb = TaskVerb::reboot;
    VmId vm;
    Epoch epoch;
    TaskState state = TaskState::running;
    std::string code;
    std::string message;
};
template <class V>
void describe(TaskRecord& v, V&& field) {
    field("id", v.id, {});
    field("verb", v.verb, {});
    field("vm", v.vm, {});
    field("epoch", v.epoch, {});
    field("state", v.state, {});
    field("code", v.code, {});
    field("message", v.message, {});
}

struct SeenRecord {
    std::uint64_t revision = 0;
    std::uint64_t incarnation = 0;
    std::string run_id;         // of that incarnation
    std::string seal;           // the orchestrator's, over the two numbers: told again in hello
    std::string run_seal = {};  // the same, over incarnation and run
};
template <class V>
void describe(SeenRecord& v, V&& field) {
    field("revision", v.revision, {});
    field("incarnation", v.incarnation, {});
    field("runId", v.run_id, {});
    field("seal", v.seal, {});
    field("runSeal", v.run_seal, {});
}

// Number of the last connection to an orchestrator; each has a higher one.
struct ConnectionRecord {
    std::uint64_t number = 0;
};
template <class V>
void describe(ConnectionRecord& v, V&& field) {
    field("number", v.number, {});
}

struct GoingDown {
    std::string boot_id;
};
template <class V>
void describe(GoingDown& v, V&& field) {
    field("bootId", v.boot_id, {});
}

}  // namespace axle
