// zone, host, and who may do what: project, token; and task.
#pragma once
#include "common/base/units.hpp"
#include "common/channel/reports.hpp"
#include "common/model/object.hpp"
#include "common/model/on_host.hpp"
#include "common/model/placing.hpp"

namespace axle {

struct ZoneSpec {
    std::string description;
};
template <class V>
void describe(ZoneSpec& v, V&& field) {
    field("description", v.description, {.doc = "For people.", .max = 1024});
}

struct HostSpec {
    Ref zone;
    bool unschedulable = false;
    bool drain = false;
    bool take_back = false;
    std::int64_t drain_parallel = 2;
    double cpu_overcommit = 4;
    double memory_overcommit = 1;
    double disk_overcommit = 2;
    std::int64_t memory_reserve = 512 * kMiB;
    std::int64_t disk_reserve = 2 * kGiB;
};
template <class V>
void describe(HostSpec& v, V&& field) {
    field("zone", v.zone, {.doc = "Zone that it stands in.", .ref = "zone"});
    field("unschedulable", v.unschedulable, {.doc = "No new VMs (cordoned)."});
    field("drain", v.drain, {.doc = "Its VMs are moved to other hosts."});
    field("takeBack", v.take_back, {.doc = "The VMs that a drain moved away come back."});
    field("drainParallel", v.drain_parallel, {.doc = "How many VMs move at once, away or back.", .min = 1, .max = 64});
    field("cpuOvercommit", v.cpu_overcommit, {.doc = "Virtual CPUs for each processor.", .least = 0.1, .most = 100});
    field("memoryOvercommit", v.memory_overcommit,
          {.doc = "Guests' memory for each byte of the host's.", .least = 0.1, .most = 100});
    field("diskOvercommit", v.disk_overcommit,
          {.doc = "Volumes' size for each byte of a pool.", .least = 0.1, .most = 100});
    field("memoryReserve", v.memory_reserve,
          {.doc = "Memory kept for the host itself.", .min = 0, .max = kTiB, .unit = Unit::bytes});
    field("diskReserve", v.disk_reserve,
          {.doc = "Space kept free in each pool.", .min = 0, .max = 64 * kTiB, .unit = Unit::bytes});
}
struct HostStatus {
    bool connected = false;
    std::string address;
    std::int64_t enrolled = 0;
    std::string joined_by;  // "token/request" of its last join: the same request may be sent again
    HostFacts facts;
    std::optional<HostLoad> load;  // soft: only where it is shown, never stored
    std::vector<ReportedPool> pools;
    std::vector<Ref> away;
    std::vector<Condition> conditions;
};
template <class V>
void describe(HostStatus& v, V&& field) {
    field("connected", v.connected, {.doc = "Its agent is connected."});
    field("address", v.address, {.doc = "From where its agent connects."});
    field("enrolled", v.enrolled,
          {.doc = "When it last joined; certificates from before are not taken.", .unit = Unit::time});
    field("joinedBy", v.joined_by, {.internal = true});
    field("facts", v.facts, {.doc = "What the host is."});
    field("load", v.load, {.doc = "How busy it is; told every ten seconds, while its agent is connected."});
    field("pools", v.pools, {.doc = "Pools that it has told of."});
    field("away", v.away, {.doc = "VMs that a drain has moved away, and that can come back.", .ref = "vm"});
    field("conditions", v.conditions, {.doc = "What you should know about it."});
}

struct Amounts {
    std::optional<std::int64_t> vms, cpus, memory, disk;
};
template <class V>
void describe(Amounts& v, V&& field) {
    field("vms", v.vms, {.doc = "Number of VMs.", .min = 0, .max = 10'000'000});
    field("cpus", v.cpus, {.doc = "Virtual CPUs.", .min = 0, .max = 100'000'000});
    field("memory", v.memory, {.doc = "Memory.", .min = 0, .unit = Unit::bytes});
    field("disk", v.disk, {.doc = "Size of all volumes.", .min = 0, .unit = Unit::bytes});
}
struct ProjectSpec {
    std::string description;
    Amounts limits;
    Strategy strategy = Strategy::spread;
};
template <class V>
void describe(ProjectSpec& v, V&& field) {
    field("description", v.description, {.doc = "For people.", .max = 1024});
    field("limits", v.limits, {.doc = "What the project may have at most; what isn't named is unlimited."});
    field("strategy", v.strategy,
          {.doc = "Where its VMs go that don't say: spread, to the host with the most room; pack, to the fullest."});
}

enum class Role { viewer, editor, admin };
constexpr EnumNames<Role, 3> names(Role) {
    return {{{Role::viewer, "viewer"}, {Role::editor, "editor"}, {Role::admin, "admin"}}};
}
struct TokenSpec {
    Role role = Role::viewer;
    std::vector<Ref> projects;
    std::int64_t lifetime = 0;
    std::string description;
};
template <class V>
void describe(TokenSpec& v, V&& field) {
    field(
        "role", v.role,
        {.doc = "viewer reads, editor changes what is in projects, admin everything; with projects named an admin does "
                "what an editor does.",
         .required = true,
         .change = Change::never});
    field("projects", v.projects,
          {.doc = "Projects that it is for; empty: all.", .max = 256, .ref = "project", .change = Change::never});
    field("lifetime", v.lifetime,
          {.doc = "How long it is valid; 0: until it is deleted.",
           .min = 0,
           .max = INT64_C(3660) * 24 * 3'600'000,
           .unit = Unit::duration,
           .change = Change::never});
    field("description", v.description, {.doc = "For people.", .max = 1024});
}
struct TokenStatus {
    std::string hash;  // sha256 of the secret, hex
    std::int64_t expires = 0;
};
template <class V>
void describe(TokenStatus& v, V&& field) {
    field("hash", v.hash, {.internal = true});
    field("expires", v.expires, {.doc = "When it ends; 0: never.", .unit = Unit::time});
}

struct JoinTokenSpec {
    Ref host;
    std::int64_t uses = 1;
    std::int64_t lifetime = INT64_C(24) * 3'600'000;
    std::string description;
};
template <class V>
void describe(JoinTokenSpec& v, V&& field) {
    field("host", v.host,
          {.doc = "Host that is to get a new certificate; empty: for machines that are new.",
           .ref = "host",
           .change = Change::never});
    field("uses", v.uses,
          {.doc = "How many machines may join with it.", .min = 1, .max = 10'000, .change = Change::never});
    field("lifetime", v.lifetime,
          {.doc = "How long it is valid.",
           .min = 60'000,
           .max = INT64_C(366) * 24 * 3'600'000,
           .unit = Unit::duration,
           .change = Change::never});
    field("description", v.description, {.doc = "For people.", .max = 1024, .change = Change::never});
}
struct JoinUse {
    Uuid host{};
    std::string name;
    std::int64_t at = 0;
};
template <class V>
void describe(JoinUse& v, V&& field) {
    field("host", v.host, {.doc = "Host that joined."});
    field("name", v.name, {.doc = "Its name."});
    field("at", v.at, {.doc = "When.", .unit = Unit::time});
}
struct JoinTokenStatus {
    std::string hash;  // sha256 of the secret, hex
    std::int64_t expires = 0;
    std::int64_t left = 0;
    std::vector<JoinUse> used;
};
template <class V>
void describe(JoinTokenStatus& v, V&& field) {
    field("hash", v.hash, {.internal = true});
    field("expires", v.expires, {.doc = "When it ends.", .unit = Unit::time});
    field("left", v.left, {.doc = "How many machines may still join with it."});
    field("used", v.used, {.doc = "Machines that joined with it, the last ten."});
}

enum class TaskPhase { queued, waiting, running, cancelling, succeeded, failed, cancelled, superseded };
constexpr EnumNames<TaskPhase, 8> names(TaskPhase) {
    return {{{TaskPhase::queued, "queued"},
             {TaskPhase::waiting, "waiting"},
             {TaskPhase::running, "running"},
             {TaskPhase::cancelling, "cancelling"},
             {TaskPhase::succeeded, "succeeded"},
             {TaskPhase::failed, "failed"},
             {TaskPhase::cancelled, "cancelled"},
             {TaskPhase::superseded, "superseded"}}};
}
constexpr bool is_terminal(TaskPhase p) {
    return p >= TaskPhase::succeeded;
}
// Legal moves of a task (STYLE 3.8, 2).
constexpr bool may_move(TaskPhase from, TaskPhase to) {
    if (is_terminal(from)) return false;
    if (to == TaskPhase::superseded || to == TaskPhase::failed) return true;
    if (from == TaskPhase::cancelling) return to == TaskPhase::cancelled || to == TaskPhase::succeeded;
    return to != TaskPhase::cancelled || from != TaskPhase::running;
}
static_assert(!may_move(TaskPhase::succeeded, TaskPhase::running), "a task ends once");

enum class TaskGoal {
    vm_running,
    vm_stopped,
    vm_paused,
    vm_changed,
    vm_deleted,
    vm_reboot,
    vm_reset,
    vm_migrate,
    host_drain,
    host_return,
    volume_ready,
    volume_deleted,
    image_import,
    image_deleted,
    unclaimed_removed
};
constexpr EnumNames<TaskGoal, 15> names(TaskGoal) {
    return {{{TaskGoal::vm_running, "vm-running"},
             {TaskGoal::vm_stopped, "vm-stopped"},
             {TaskGoal::vm_paused, "vm-paused"},
             {TaskGoal::vm_changed, "vm-changed"},
             {TaskGoal::vm_deleted, "vm-deleted"},
             {TaskGoal::vm_reboot, "vm-reboot"},
             {TaskGoal::vm_reset, "vm-reset"},
             {TaskGoal::vm_migrate, "vm-migrate"},
             {TaskGoal::host_drain, "host-drain"},
             {TaskGoal::host_return, "host-return"},
             {TaskGoal::volume_ready, "volume-ready"},
             {TaskGoal::volume_deleted, "volume-deleted"},
             {TaskGoal::image_import, "image-import"},
             {TaskGoal::image_deleted, "image-deleted"},
             {TaskGoal::unclaimed_removed, "unclaimed-removed"}}};
}
struct TaskTarget {
    std::string kind;
    Uuid id{};
    std::string name;
};
template <class V>
void describe(TaskTarget& v, V&& field) {
    field("kind", v.kind, {.doc = "Kind of the object."});
    field("id", v.id, {.doc = "Its id."});
    field("name", v.name, {.doc = "Its name."});
}
struct TaskError {
    std::string code;
    std::string message;
    std::string hint;
};
template <class V>
void describe(TaskError& v, V&& field) {
    field("code", v.code, {.doc = "Stable word for programs."});
    field("message", v.message, {.doc = "Cause and numbers."});
    field("hint", v.hint, {.doc = "What to do."});
}
// What exactly is removed of what nobody claims, as it was seen when it was asked for.
struct Removal {
    Ref host;
    std::string path;
    std::int64_t size = 0;
    Uuid pool{};
    bool held = false;
    Epoch seen;
};
template <class V>
void describe(Removal& v, V&& field) {
    field("host", v.host, {.doc = "Host that it lies on.", .ref = "host"});
    field("path", v.path, {.doc = "File that goes."});
    field("size", v.size, {.doc = "Size of the disk in it.", .unit = Unit::bytes});
    field("pool", v.pool, {.internal = true});
    field("held", v.held, {.internal = true});
    field("seen", v.seen, {.internal = true});
}
struct TaskSpec {
    TaskGoal goal = TaskGoal::vm_running;
    TaskTarget target;
    std::int64_t generation = 0;
    std::string requester;
    std::optional<Removal> removal;
};
template <class V>
void describe(TaskSpec& v, V&& field) {
    field("goal", v.goal, {.doc = "What is to be reached."});
    field("target", v.target, {.doc = "Object that is worked on."});
    field("generation", v.generation, {.doc = "Generation of its spec that is to be reached."});
    field("requester", v.requester, {.doc = "Who asked for it."});
    field("removal", v.removal, {.doc = "Of unclaimed-removed: what exactly goes."});
}
struct TaskStatus {
    TaskPhase phase = TaskPhase::queued;
    std::string reason;
    std::int64_t percent = 0;
    std::int64_t bytes = 0;
    std::string step;
    std::vector<std::string> log;
    std::optional<TaskError> error;
    std::int64_t ended = 0;
    std::string superseded_by;
    Epoch epoch;        // actions: placement that the order went to
    bool sent = false;  // actions: may have begun on a host; never given to another
};
template <class V>
void describe(TaskStatus& v, V&& field) {
    field("phase", v.phase, {.doc = "queued, waiting (reason), running, cancelling, or how it ended."});
    field("reason", v.reason, {.doc = "What it waits for."});
    field("percent", v.percent, {.doc = "How far it is, 0 to 100, where that is known."});
    field("bytes", v.bytes, {.doc = "Bytes done, where it moves bytes.", .unit = Unit::bytes});
    field("step", v.step, {.doc = "What is being done now, e.g. downloading, checking, unpacking, converting."});
    field("log", v.log, {.doc = "The last things that happened, the newest last."});
    field("error", v.error, {.doc = "Why it failed."});
    field("ended", v.ended, {.doc = "When it ended.", .unit = Unit::time});
    field("supersededBy", v.superseded_by, {.doc = "Task of the newer wish."});
    field("epoch", v.epoch, {.internal = true});
    field("sent", v.sent, {.internal = true});
}

using Zone = ObjectOf<Kind::zone, ZoneSpec, NoStatus>;
using Host = ObjectOf<Kind::host, HostSpec, HostStatus>;
using Project = ObjectOf<Kind::project, ProjectSpec, NoStatus>;
using Token = ObjectOf<Kind::token, TokenSpec, TokenStatus>;
using JoinToken = ObjectOf<Kind::jointoken, JoinTokenSpec, JoinTokenStatus>;
using Task = ObjectOf<Kind::task, TaskSpec, TaskStatus>;

}  // namespace axle
