#include "agent/core/task_keeper.hpp"

#include "agent/core/planted.hpp"

namespace axle {
namespace {

TaskNews news_of(const TaskRecord& task) {
    return {.id = task.id,
            .state = task.state,
            .percent = task.state == TaskState::succeeded ? 100 : 0,
            .code = task.code,
            .message = task.message};
}

constexpr milliseconds kActDeadline{60'000};

}  // namespace

TaskKeeper::TaskKeeper(const Seams& seams, Ledger& ledger, Hooks hooks)
    : seams_(seams), ledger_(ledger), hooks_(std::move(hooks)) {}

void TaskKeeper::recover() {
    const auto tasks = ledger_.tasks();
    for (const auto& [id, task] : tasks) {
        if (task.state == TaskState::running) {
            end(task, TaskState::failed, "outcome-unknown",
                "the agent stopped while this ran; the guest may or may not have been told");
        } else {
            keep_for_a_while(id);
        }
    }
}

void TaskKeeper::take(const TaskOrder& order, std::uint64_t connection) {
    const auto known = ledger_.tasks().find(order.id);
    if (known != ledger_.tasks().end() && !planted().rerun_tasks) return hooks_.tell(news_of(known->second));
    if (running_.contains(order.id)) return;  // its record is being written; its end will be told
    if (order.connection != connection) {
        return refuse(order, "old-connection",
                      fmt::format("the order is of connection {}, the newest is {}", order.connection, connection));
    }
    const auto epoch = hooks_.epoch_if_on(order.vm);
    if (!epoch) return refuse(order, "not-running", "the guest is not running on this host");
    if (*epoch != order.epoch) return refuse(order, "wrong-epoch", "the order is for another placement of the guest");
    if (ledger_.tasks().size() >= kMaxKept) return refuse(order, "busy", "too many tasks are kept on this host");
    begin(order);
}

void TaskKeeper::refuse(const TaskOrder& order, std::string code, std::string message) {
    hooks_.tell({.id = order.id, .state = TaskState::failed, .code = std::move(code), .message = std::move(message)});
}

void TaskKeeper::begin(const TaskOrder& order) {
    const TaskRecord task{.id = order.id, .verb = order.verb, .vm = order.vm, .epoch = order.epoch};
    running_.insert(order.id);
    ledger_.put(task, life_.wrap([this, task](Result<> put) {
        if (put) {
            hooks_.tell(news_of(task));
            return act(task);
        }
        running_.erase(task.id);
        hooks_.tell({.id = task.id,
                     .state = TaskState::failed,
                     .code = name_of(put.error().code),
                     .message = put.error().message});
    }));
}

void TaskKeeper::act(const TaskRecord& task) {
    // One answer counts, the edge's or the deadline's.
    auto open = std::make_shared<bool>(true);
    auto answer = life_.wrap([this, task, open](Result<> done) {
        if (!std::exchange(*open, false)) return;
        if (done) return end(task, TaskState::succeeded, "", "");
        const bool unknown = done.error().code == Code::timeout;
        end(task, TaskState::failed, unknown ? "outcome-unknown" : name_of(done.error().code), done.error().message);
    });
    seams_.clock.after(kActDeadline, [answer]() mutable {
        answer(Result<>(fail(Code::timeout, "libvirt did not answer within {} s", kActDeadline.count() / 1000)));
    });
    if (task.verb == TaskVerb::reboot) return seams_.hypervisor.ask_reboot(task.vm, answer);
    seams_.hypervisor.reset(task.vm, answer);
}

void TaskKeeper::end(TaskRecord task, TaskState state, std::string code, std::string message) {
    task.state = state;
    task.code = std::move(code);
    task.message = std::move(message);
    ledger_.put(task, life_.wrap([this, task](Result<> put) {
        if (!put) {  // no room: the end is told when it could be written
            seams_.clock.after(seconds{5},
                               life_.wrap([this, task] { end(task, task.state, task.code, task.message); }));
            return;
        }
        running_.erase(task.id);
        hooks_.tell(news_of(task));
        keep_for_a_while(task.id);
    }));
}

void TaskKeeper::tell_all() {
    for (const auto& [id, task] : ledger_.tasks()) hooks_.tell(news_of(task));
}

void TaskKeeper::keep_for_a_while(TaskId task) {
    seams_.clock.after(kKeep, life_.wrap([this, task] { ledger_.forget_task(task); }));
}

}  // namespace axle
