#include "orchestrator/core/tasks.hpp"

#include <algorithm>
#include <array>

#include "common/base/units.hpp"
#include "orchestrator/core/vm_rules.hpp"

namespace axle {
namespace {

enum class Wish { power, deletion, action, content, change };
Wish wish_of(TaskGoal goal) {
    switch (goal) {
        case TaskGoal::vm_running:
        case TaskGoal::vm_stopped:
        case TaskGoal::vm_paused:
            return Wish::power;
        case TaskGoal::vm_deleted:
        case TaskGoal::volume_deleted:
        case TaskGoal::image_deleted:
            return Wish::deletion;
        case TaskGoal::vm_reboot:
        case TaskGoal::vm_reset:
        case TaskGoal::vm_migrate:
        case TaskGoal::host_drain:
        case TaskGoal::host_return:
        case TaskGoal::unclaimed_removed:
            return Wish::action;
        case TaskGoal::volume_ready:
        case TaskGoal::image_import:
            return Wish::content;
        case TaskGoal::vm_changed:
            return Wish::change;
    }
    return Wish::change;
}
bool replaces(TaskGoal newer, TaskGoal older) {
    return wish_of(newer) == Wish::deletion || (wish_of(newer) == wish_of(older) && wish_of(newer) == Wish::power);
}

// Nothing else is in the way of a VM while its host is away.
std::string why_host_is_silent(const World& world, const Vm& vm) {
    const Host* host = silent_host(world, vm);
    if (host == nullptr || vm.status.migration) return {};
    return fmt::format("host {}, where it is, is not connected", host->meta.name);
}

void settle_vm_task(Transaction& tx, const Task& task, const Vm& vm) {
    const GoalState state = goal_of(task, vm);
    if (state.state == GoalState::reached) return move_task(tx, task.meta.id, TaskPhase::succeeded);
    if (state.state == GoalState::failed) return move_task(tx, task.meta.id, TaskPhase::failed, state.error);
    if (wish_of(task.spec.goal) == Wish::action) return;
    const std::string silent = why_host_is_silent(tx.world(), vm);
    wait_task_for(tx, task.meta.id, silent.empty() ? state.waiting_for : silent);
}

void settle_volume_task(Transaction& tx, const Task& task, const Volume& volume) {
    const bool deletion = task.spec.goal == TaskGoal::volume_deleted;
    const bool grows = volume.status.size > 0 && volume.status.size < volume.spec.size;
    if (deletion ? volume.is_deleted() : volume.status.phase == VolumePhase::ready && !grows)
        return move_task(tx, task.meta.id, TaskPhase::succeeded);
    // Where there is a choice of hosts nobody makes it before a VM comes: that may be never, and nothing is in the way.
    const Condition* placed = find_condition(volume.status.conditions, "Placed");
    if (!deletion && placed != nullptr && placed->reason == kWaitsForVm) {
        tx.update_status<Task>(task.meta.id, [&](Task& t) { t.status.log.push_back(placed->message); });
        return move_task(tx, task.meta.id, TaskPhase::succeeded);
    }
    const Condition* why = volume.status.conditions.empty() ? nullptr : &volume.status.conditions.front();
    if (!deletion && volume.status.phase == VolumePhase::failed)
        return move_task(
            tx, task.meta.id, TaskPhase::failed,
            TaskError{"volume-failed", why != nullptr ? why->message : "the volume could not be made", ""});
    wait_task_for(tx, task.meta.id, why != nullptr ? why->message : "");
}

}  // namespace

const Host* silent_host(const World& world, const Vm& vm) {
    const Host* host = vm.status.placement ? world.find<Host>(vm.status.placement->host.id) : nullptr;
    return host == nullptr || host->status.connected ? nullptr : host;
}

Uuid open_task(const World& world, const Uuid& target, TaskGoal goal) {
    for (const Uuid& id : world.tasks_of(target)) {
        if (world.find<Task>(id)->spec.goal == goal) return id;
    }
    return {};
}

Uuid make_task(Transaction& tx, TaskGoal goal, const Object& target, const std::string& requester) {
    auto task = std::make_unique<Task>();
    task->meta.id = Uuid::make_v7(tx.moment().wall, tx.random());
    task->meta.name = task->meta.id.str();
    task->meta.project = target.meta.project;
    task->spec = {.goal = goal,
                  .target = {text_of(target.kind()), target.meta.id, target.meta.name},
                  .generation = target.meta.generation,
                  .requester = requester};
    const std::set<Uuid> older = tx.world().tasks_of(target.meta.id);
    for (const Uuid& id : older) {
        if (!replaces(goal, tx.world().find<Task>(id)->spec.goal)) continue;
        tx.update_status<Task>(id, [&](Task& t) {
            t.status.phase = TaskPhase::superseded;
            t.status.superseded_by = task->meta.name;
            t.status.ended = tx.moment().wall.ms;
        });
    }
    return tx.create(std::move(task)).meta.id;
}

void move_task(Transaction& tx, const Uuid& id, TaskPhase to, std::optional<TaskError> why) {
    const Task* task = tx.world().find<Task>(id);
    if (task == nullptr || task->status.phase == to || !may_move(task->status.phase, to)) return;
    tx.update_status<Task>(id, [&](Task& t) {
        t.status.phase = to;
        t.status.error = std::move(why);
        t.status.reason.clear();
        if (to == TaskPhase::succeeded) t.status.percent = 100;
        if (is_terminal(to)) t.status.ended = tx.moment().wall.ms;
    });
}

Error ended_already(const Task& task) {
    const TaskStatus& status = task.status;
    const bool ran_out = status.phase == TaskPhase::succeeded || status.phase == TaskPhase::failed;
    std::string how = ran_out ? text_of(status.phase) : fmt::format("was {}", text_of(status.phase));
    if (!status.superseded_by.empty()) how += " by task " + status.superseded_by;
    if (status.ended > 0) how += " at " + format_time(WallTime{status.ended});
    if (status.error) how += ": " + status.error->message;
    return error(Code::conflict, "task {} ({} of {} {}) has ended: it {}", task.meta.name, text_of(task.spec.goal),
                 task.spec.target.kind, task.spec.target.name, how)
        .with_reason("has-ended")
        .with_hint("axle task show " + task.meta.name);
}

void wait_task_for(Transaction& tx, const Uuid& id, const std::string& reason) {
    const Task* task = tx.world().find<Task>(id);
    const TaskPhase to = reason.empty() ? TaskPhase::running : TaskPhase::waiting;
    if (task == nullptr || is_terminal(task->status.phase) || task->status.phase == TaskPhase::cancelling) return;
    if (task->status.phase == to && task->status.reason == reason) return;
    tx.update_status<Task>(id, [&](Task& t) {
        t.status.phase = to;
        t.status.reason = reason;
    });
}

bool has_ended(std::string_view record) {
    // Quotes within texts are escaped: these words are the record's own. A task that is queued has no phase written.
    constexpr std::string_view kPhase = R"(,"status":{"phase":")";
    const std::size_t at = record.find(kPhase);
    if (at == std::string_view::npos) return false;
    const std::string_view phase = record.substr(at + kPhase.size());
    constexpr std::array kEnded = {TaskPhase::succeeded, TaskPhase::failed, TaskPhase::cancelled,
                                   TaskPhase::superseded};
    return std::ranges::any_of(kEnded,
                               [&](TaskPhase ended) { return phase.starts_with(std::string(text_of(ended)) + '"'); });
}

void settle_tasks(Transaction& tx, const Object& target) {
    const std::set<Uuid> open = tx.world().tasks_of(target.meta.id);
    for (const Uuid& id : open) {
        const Task& task = *tx.world().find<Task>(id);
        if (target.kind() == Kind::vm) settle_vm_task(tx, task, static_cast<const Vm&>(target));
        if (target.kind() == Kind::volume) settle_volume_task(tx, task, static_cast<const Volume&>(target));
    }
}

}  // namespace axle
