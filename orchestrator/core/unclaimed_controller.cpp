// Removals of what nobody claims: the task is the durable word; it is given to its host, once on each connection, until
// that has said that nothing is left, or why it was not done. The host does it only while the thing is as it was seen.
#include <algorithm>

#include "orchestrator/core/controllers.hpp"
#include "orchestrator/core/unclaimed.hpp"

namespace axle {
namespace {

// As it was when its removal was asked for.
UnclaimedThing thing_of(const Task& task) {
    UnclaimedThing thing{.id = task.spec.target.id, .held = task.spec.removal->held, .epoch = task.spec.removal->seen};
    for (const auto& [kind, name] : names(DocumentKind{})) {
        if (task.spec.target.kind == name) thing.kind = kind;
    }
    return thing;
}

}  // namespace

void Controllers::reconcile_removals(const Uuid& id) {
    const bool again = untold_hosts_.erase(id) > 0;
    const Host* host = pipeline_.world().find<Host>(id);
    Transaction tx = pipeline_.begin();
    const std::set<Key> there = tx.world().referrers(id);
    for (const Key& key : there) {
        if (key.kind != Kind::task) continue;
        const Task& task = *tx.world().find<Task>(key.id);
        if (!task.spec.removal || is_terminal(task.status.phase)) continue;
        if (host == nullptr || host->is_deleted())
            move_task(tx, key.id, TaskPhase::failed,
                      TaskError{"host-lost",
                                fmt::format("host {} is not in the cloud any more", task.spec.removal->host.name), ""});
        else
            order_removal(tx, task, *host, again);
    }
    pipeline_.commit(tx);
}

void Controllers::order_removal(Transaction& tx, const Task& task, const Host& host, bool again) {
    const UnclaimedThing thing = thing_of(task);
    if (task.status.sent && !again) return;
    if (!task.status.sent && is_claimed(tx.world(), host.meta.id, thing))
        return move_task(tx, task.meta.id, TaskPhase::failed,
                         TaskError{"claimed", "a record of this cloud has it by now", ""});
    const auto& features = host.status.facts.features;
    if (!links_.is_connected(host.meta.id))
        return wait_task_for(tx, task.meta.id, fmt::format("host {} is not connected", host.meta.name));
    if (std::ranges::find(features, kUnclaimedFeature) == features.end())
        return wait_task_for(tx, task.meta.id,
                             fmt::format("the agent of host {} is too old for this: upgrade it", host.meta.name));
    RemoveOrder order{.kind = thing.kind,
                      .id = thing.id,
                      .pool = task.spec.removal->pool,
                      .seen = thing.epoch,
                      .held = thing.held,
                      .epoch = task.status.epoch,
                      .connection = links_.connection_of(host.meta.id)};
    order.task = TaskId{task.meta.id};
    if (!task.status.sent)
        tx.update_status<Task>(task.meta.id, [](Task& t) {
            t.status.sent = true;
            t.status.phase = TaskPhase::running;
            t.status.reason.clear();
        });
    core_.post([this, to = host.meta.id, order] { links_.send(to, order); });  // after the commit that says so
}

// Pools and networks have no epochs: their word is over with whatever ended them.
void Controllers::settle_removal(const Uuid& host, const Status& gone) {
    const Uuid id = open_removal(pipeline_.world(), host, gone.kind, gone.id);
    const Task* task = id ? pipeline_.world().find<Task>(id) : nullptr;
    const bool dated = gone.kind == DocumentKind::vm || gone.kind == DocumentKind::volume;
    if (task == nullptr || !task->status.sent || (dated && gone.epoch < task->status.epoch)) return;
    Transaction tx = pipeline_.begin();
    move_task(tx, id, TaskPhase::succeeded);
    pipeline_.commit(tx);
}

}  // namespace axle
