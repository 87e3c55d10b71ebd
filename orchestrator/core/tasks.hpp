// Tasks: made in the commit that makes their work, ended once (DESIGN 4). Core thread, in a transaction.
#pragma once
#include "orchestrator/core/pipeline.hpp"

namespace axle {

// A new task about `target`. Open tasks with a wish that this one replaces end as superseded. Answers its id.
Uuid make_task(Transaction& tx, TaskGoal goal, const Object& target, const std::string& requester);
// An unfinished one with this goal; zero: there is none.
Uuid open_task(const World& world, const Uuid& target, TaskGoal goal);
// Moves it if that is legal; an ended task stays as it is.
void move_task(Transaction& tx, const Uuid& task, TaskPhase to, std::optional<TaskError> why = std::nullopt);
// Of whoever would still change one that has ended: when, and how.
Error ended_already(const Task& task);
void wait_task_for(Transaction& tx, const Uuid& task, const std::string& reason);

// The host that a VM is on, if that is not connected: what it last told of the VM need not hold. null: there is none.
const Host* silent_host(const World& world, const Vm& vm);
// Of a task's record in the store, without reading it.
bool has_ended(std::string_view record);

// Why a volume is not placed: it is made beside the first VM that uses it. Its task ends with that.
inline constexpr const char* kWaitsForVm = "WaitsForVm";
// What becomes of a VM's or a volume's tasks as it now is.
void settle_tasks(Transaction& tx, const Object& target);

}  // namespace axle
