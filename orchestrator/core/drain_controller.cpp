// Draining a host: its VMs are moved elsewhere, a few at a time, until none is left that can go; and the way back, when
// the host is to have them again. What can't move is named, with the reason, and tried again: the world may change.
#include <algorithm>

#include "common/base/counted.hpp"
#include "common/base/units.hpp"
#include "orchestrator/core/controllers.hpp"
#include "orchestrator/core/migrate.hpp"
#include "orchestrator/core/moves.hpp"
#include "orchestrator/core/vm_rules.hpp"

namespace axle {
namespace {

constexpr milliseconds kTryAgainFirst{2'000}, kTryAgainLast{60'000};  // doubled in between
constexpr const char* kStuck = "DrainStuck";
constexpr int kNamed = 5;

// What is to leave the host.
std::vector<Uuid> guests_to_go(const World& world, const Host& host) {
    std::vector<Uuid> out;
    for (const Vm* vm : world.vms_on(host.meta.id)) {
        if (!vm->is_deleted()) out.push_back(vm->meta.id);
    }
    return out;
}

// What was there before a drain, and is elsewhere now.
std::vector<Uuid> guests_to_return(const World& world, const Host& host) {
    std::vector<Uuid> out;
    for (const Ref& away : host.status.away) {
        const Vm* vm = world.find<Vm>(away.id);
        if (vm != nullptr && !vm->is_deleted() && vm->status.placement && vm->status.placement->host.id != host.meta.id)
            out.push_back(away.id);
    }
    return out;
}

void end_tasks(Transaction& tx, const Uuid& host, TaskGoal goal, TaskPhase phase) {
    if (const Uuid task = open_task(tx.world(), host, goal)) move_task(tx, task, phase);
}

}  // namespace

void Controllers::reconcile_drain(const Uuid& id) {
    const World& world = pipeline_.world();
    const Host* host = world.find<Host>(id);
    if (host == nullptr) return;
    const bool wanted = host->spec.drain || host->spec.take_back;
    const TaskGoal goal = host->spec.drain ? TaskGoal::host_drain : TaskGoal::host_return;
    const Uuid task = wanted ? open_task(world, id, goal) : Uuid{};
    const bool cancelled = task && world.find<Task>(task)->status.phase == TaskPhase::cancelling;
    if (wanted && !cancelled) {
        const auto vms = host->spec.drain ? guests_to_go(world, *host) : guests_to_return(world, *host);
        const std::string target = host->spec.drain ? "" : host->meta.name;
        const Leaving leaving = move_some(*host, vms, target);
        return tell_drain(id, goal, leaving);
    }
    Transaction tx = pipeline_.begin();
    if (cancelled)  // what is under way goes on
        tx.update_spec<Host>(id, [](Host& h) {
            h.spec.drain = h.spec.take_back = false;
            ++h.meta.generation;
        });
    if (find_condition(host->status.conditions, kStuck) != nullptr)
        tx.update_status<Host>(id, [](Host& h) { drop_condition(h.status.conditions, kStuck); });
    if (cancelled) move_task(tx, task, TaskPhase::cancelled);
    for (const TaskGoal other : {TaskGoal::host_drain, TaskGoal::host_return})
        end_tasks(tx, id, other, TaskPhase::superseded);
    pipeline_.commit(tx);
}

// target: empty: wherever it suits best.
Controllers::Leaving Controllers::move_some(const Host& host, const std::vector<Uuid>& vms, const std::string& target) {
    const World& world = pipeline_.world();
    const BootTime now = pipeline_.clock().boot();
    const auto parallel = static_cast<int>(host.spec.drain_parallel);
    const std::string requester = (target.empty() ? "drain of host " : "return to host ") + host.meta.name;
    Leaving leaving{.left = static_cast<int>(vms.size())};
    std::vector<Uuid> waiting;
    for (const Uuid& vm : vms) {
        if (world.find<Vm>(vm)->status.migration)
            ++leaving.moving;
        else
            waiting.push_back(vm);
    }
    int named = 0;
    milliseconds soonest = kTryAgainLast;
    for (const Uuid& vm : waiting) {
        DrainTry& last = drain_tries_[vm];
        if (leaving.moving < parallel && now >= last.next) {
            Transaction tx = pipeline_.begin();
            const auto begun = begin_move(tx, *world.find<Vm>(vm), {.host = target, .requester = requester});
            const milliseconds pause = std::clamp(last.pause * 2, kTryAgainFirst, kTryAgainLast);
            last = {now + pause, pause, begun ? "its last move failed; it is tried again" : begun.error().message};
            if (begun) {
                pipeline_.commit(tx);
                ++leaving.moving;
                continue;
            }
        }
        if (last.next > now) soonest = std::min(soonest, last.next - now);
        if (last.why_not.empty() || ++named > kNamed) continue;
        leaving.stuck += fmt::format("{}{}: {}", named > 1 ? "; " : "", world.find<Vm>(vm)->meta.name, last.why_not);
    }
    if (named > kNamed) leaving.stuck += fmt::format("; and {} more", named - kNamed);
    if (!waiting.empty()) drain_again(host.meta.id, soonest);
    return leaving;
}

void Controllers::drain_again(const Uuid& host, milliseconds from_now) {
    TimerId& timer = drain_timers_[host];
    pipeline_.clock().cancel(timer);
    timer = pipeline_.clock().after(from_now, [this, host] {
        drain_timers_.erase(host);
        enqueue({Kind::host, host});
    });
}

void Controllers::tell_drain(const Uuid& id, TaskGoal goal, const Leaving& leaving) {
    Transaction tx = pipeline_.begin();
    const World& world = tx.world();
    const bool away = goal == TaskGoal::host_drain;
    end_tasks(tx, id, away ? TaskGoal::host_return : TaskGoal::host_drain, TaskPhase::superseded);
    const Uuid task = open_task(world, id, goal);
    const Condition* told = find_condition(world.find<Host>(id)->status.conditions, kStuck);
    const bool stuck = leaving.moving == 0 && leaving.left > 0 && !leaving.stuck.empty();
    const std::string message =
        fmt::format("{} can't {}: {}", counted(leaving.left, "VM"), away ? "leave" : "come back", leaving.stuck);
    if (stuck && (told == nullptr || told->message != message))
        tx.update_status<Host>(id, [&](Host& h) {
            set_condition(h.status.conditions, {kStuck, true, "CantMove", message, pipeline_.now_text()});
        });
    if (!stuck && told != nullptr)
        tx.update_status<Host>(id, [](Host& h) { drop_condition(h.status.conditions, kStuck); });
    if (!away && leaving.left == 0) {  // a drain goes on: what is placed there later, by name, leaves too
        tx.update_spec<Host>(id, [](Host& h) {
            h.spec.take_back = false;
            ++h.meta.generation;
        });
        tx.update_status<Host>(id, [](Host& h) { h.status.away.clear(); });
    }
    if (task && leaving.left == 0) {
        move_task(tx, task, TaskPhase::succeeded);
    } else if (task) {
        const std::string step =
            fmt::format("{} left, {} of them on their way", counted(leaving.left, "VM"), leaving.moving);
        if (world.find<Task>(task)->status.step != step)
            tx.update_status<Task>(task, [&](Task& t) { t.status.step = step; });
        wait_task_for(tx, task, stuck ? message : "");
    }
    pipeline_.commit(tx);
}

// After a move: what a drain sent away can come back; what a person moved, or what has come back, is nowhere away.
void Controllers::note_away(Transaction& tx, const Vm& vm, const Uuid& from) {
    const World& world = tx.world();
    const Ref self{vm.meta.id, vm.meta.name};
    const Host* source = world.find<Host>(from);
    const bool drained = source != nullptr && source->spec.drain;
    bool is_home = false;
    std::vector<Uuid> forget;
    for (const auto& [id, object] : world.all(Kind::host)) {
        const auto& host = static_cast<const Host&>(*object);
        const bool knows = std::ranges::find(host.status.away, self.id, &Ref::id) != host.status.away.end();
        const bool home = vm.status.placement && vm.status.placement->host.id == id;
        is_home |= knows && home;
        if (knows && (home || (!drained && id != from))) forget.push_back(id);
    }
    for (const Uuid& id : forget)
        tx.update_status<Host>(
            id, [&](Host& h) { std::erase_if(h.status.away, [&](const Ref& away) { return away.id == self.id; }); });
    const bool listed =
        source != nullptr && std::ranges::find(source->status.away, self.id, &Ref::id) != source->status.away.end();
    if (drained && !listed && !is_home) tx.update_status<Host>(from, [&](Host& h) { h.status.away.push_back(self); });
}

}  // namespace axle
