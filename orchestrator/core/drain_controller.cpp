// Draining a host: its VMs are moved elsewhere, a few at a time, until none is left that can go. What can't is named,
// with the reason, and tried again: the world may change.
#include <algorithm>

#include "common/base/units.hpp"
#include "orchestrator/core/controllers.hpp"
#include "orchestrator/core/migrate.hpp"
#include "orchestrator/core/moves.hpp"
#include "orchestrator/core/vm_rules.hpp"

namespace axle {
namespace {

constexpr milliseconds kTryAgain{60'000};
constexpr const char* kStuck = "DrainStuck";
constexpr int kNamed = 5;

Uuid drain_task(const World& world, const Uuid& host) {
    for (const Uuid& id : world.tasks_of(host))
        if (world.find<Task>(id)->spec.goal == TaskGoal::host_drain) return id;
    return {};
}

}  // namespace

void Controllers::reconcile_drain(const Uuid& id) {
    const World& world = pipeline_.world();
    const Host* host = world.find<Host>(id);
    if (host == nullptr) return;
    const Uuid task = drain_task(world, id);
    const bool cancelled = task && world.find<Task>(task)->status.phase == TaskPhase::cancelling;
    const bool told_stuck = find_condition(host->status.conditions, kStuck) != nullptr;
    if (host->spec.drain && !cancelled) return tell_drain(id, move_away(*host));
    if (!task && !told_stuck && !host->spec.drain) return;
    Transaction tx = pipeline_.begin();
    if (host->spec.drain)  // what is under way goes on
        tx.update_spec<Host>(id, [](Host& h) {
            h.spec.drain = false;
            ++h.meta.generation;
        });
    if (told_stuck) tx.update_status<Host>(id, [](Host& h) { drop_condition(h.status.conditions, kStuck); });
    if (task) move_task(tx, task, cancelled ? TaskPhase::cancelled : TaskPhase::superseded);
    pipeline_.commit(tx);
}

Controllers::Leaving Controllers::move_away(const Host& host) {
    const World& world = pipeline_.world();
    const BootTime now = pipeline_.clock().boot();
    const Uuid id = host.meta.id;
    const auto parallel = static_cast<int>(host.spec.drain_parallel);
    const std::string requester = "drain of host " + host.meta.name;
    Leaving leaving;
    std::vector<Uuid> waiting;
    for (const Vm* vm : world.vms_on(id)) {
        if (vm->is_deleted()) continue;
        ++leaving.left;
        if (vm->status.migration)
            ++leaving.moving;
        else
            waiting.push_back(vm->meta.id);
    }
    int named = 0;
    for (const Uuid& vm : waiting) {
        DrainTry& last = drain_tries_[vm];
        if (leaving.moving < parallel && now >= last.next) {
            Transaction tx = pipeline_.begin();
            const auto begun = begin_move(tx, *world.find<Vm>(vm), {.requester = requester});
            last = {now + kTryAgain, begun ? "its last move failed; it is tried again" : begun.error().message};
            if (begun) {
                pipeline_.commit(tx);
                ++leaving.moving;
                continue;
            }
        }
        if (last.why_not.empty() || ++named > kNamed) continue;
        leaving.stuck += fmt::format("{}{}: {}", named > 1 ? "; " : "", world.find<Vm>(vm)->meta.name, last.why_not);
    }
    if (named > kNamed) leaving.stuck += fmt::format("; and {} more", named - kNamed);
    return leaving;
}

void Controllers::tell_drain(const Uuid& id, const Leaving& leaving) {
    Transaction tx = pipeline_.begin();
    const World& world = tx.world();
    const Uuid task = drain_task(world, id);
    const Condition* told = find_condition(world.find<Host>(id)->status.conditions, kStuck);
    const bool stuck = leaving.moving == 0 && leaving.left > 0 && !leaving.stuck.empty();
    const std::string message = fmt::format("{} VMs can't leave: {}", leaving.left, leaving.stuck);
    if (stuck && (told == nullptr || told->message != message))
        tx.update_status<Host>(id, [&](Host& h) {
            set_condition(h.status.conditions, {kStuck, true, "CantMove", message, pipeline_.now_text()});
        });
    if (!stuck && told != nullptr)
        tx.update_status<Host>(id, [](Host& h) { drop_condition(h.status.conditions, kStuck); });
    if (task && leaving.left == 0) {
        move_task(tx, task, TaskPhase::succeeded);
    } else if (task) {
        const std::string step = fmt::format("{} VMs left, {} of them on their way", leaving.left, leaving.moving);
        if (world.find<Task>(task)->status.step != step)
            tx.update_status<Task>(task, [&](Task& t) { t.status.step = step; });
        wait_task_for(tx, task, stuck ? message : "");
    }
    pipeline_.commit(tx);
}

}  // namespace axle
