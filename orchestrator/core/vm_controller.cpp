// VMs: a place, the phase that people see, tasks, orders to hosts, and the way out.
#include <algorithm>

#include "common/base/units.hpp"
#include "orchestrator/core/controllers.hpp"
#include "orchestrator/core/decisions.hpp"
#include "orchestrator/core/moves.hpp"
#include "orchestrator/core/on_hosts.hpp"
#include "orchestrator/core/planted.hpp"
#include "orchestrator/core/schedule.hpp"
#include "orchestrator/core/vm_rules.hpp"

namespace axle {

void Controllers::reconcile_vm(const Uuid& id) {
    Transaction tx = pipeline_.begin();
    const auto vm = [&] { return pipeline_.world().find<Vm>(id); };
    if (vm() == nullptr) {
        waits_no_more(id);
        drain_tries_.erase(id);
        return;
    }
    forget_lost_leftovers(tx, *vm());
    advance_move(tx, id);
    if (vm()->is_deleted())
        expunge_vm(tx, *vm());
    else if (!vm()->status.placement && !(planted_in_core().lose_wakeups && waiting_.contains(id)))
        place_vm(tx, *vm());
    if (vm() != nullptr) {
        set_phase(tx, id);
        settle_tasks(tx, *vm());
        send_orders(tx, *vm());
        give_up_late_stop(tx, *vm());
    }
    pipeline_.commit(tx);
}

namespace {

constexpr const char* kRoomIsMade = "; room is being made: what was deleted first in the project goes for good";

// Disks that outlive their VM belong to nobody then.
void let_go_of_disks(Transaction& tx, const Vm& vm) {
    for (const auto& [name, disk] : vm.spec.disks) {
        const Volume* volume = tx.world().find<Volume>(disk.volume.id);
        if (volume == nullptr || volume->status.attached_to.id != vm.meta.id) continue;
        tx.update_status<Volume>(disk.volume.id, [](Volume& v) { v.status.attached_to = {}; });
    }
}

}  // namespace

void Controllers::expunge_vm(Transaction& tx, const Vm& vm) {
    waits_no_more(vm.meta.id);
    const Uuid id = vm.meta.id;
    if (vm.status.migration) return;  // it is known soon where it is
    if (!vm.meta.deletion->final) {
        if (tx.moment().cluster_time < vm.meta.deletion->expunge_at) return;
        tx.update_spec<Vm>(id, [](Vm& v) { v.meta.deletion->final = true; });
        return;
    }
    if (vm.status.placement && !vm.status.gone) return;  // its host has not confirmed yet
    if (!vm.status.leftovers.empty()) return;            // nor have those that it was to move to or away from
    const std::set<Uuid> open = tx.world().tasks_of(id);
    for (const Uuid& task : open) {
        const bool deletion = tx.world().find<Task>(task)->spec.goal == TaskGoal::vm_deleted;
        move_task(tx, task, deletion ? TaskPhase::succeeded : TaskPhase::superseded);
    }
    let_go_of_disks(tx, vm);
    tx.erase(Kind::vm, id);
}

Result<VmRequest> Controllers::request_for(const Vm& vm) const {
    return request_of(pipeline_.world(), vm);
}

void Controllers::waits_no_more(const Uuid& vm) {
    waiting_.erase(vm);
    waiting_near_.erase(vm);
}

void Controllers::place_vm(Transaction& tx, const Vm& vm) {
    const Uuid id = vm.meta.id;
    const auto wait = [&](const std::string& reason, std::string message) {
        waiting_.insert(id);
        const Condition* now = find_condition(vm.status.conditions, "Scheduled");
        if (now != nullptr && now->reason == reason && now->message == message) return;
        tx.update_status<Vm>(id, [&](Vm& v) {
            set_condition(v.status.conditions, {"Scheduled", false, reason, message, pipeline_.now_text()});
        });
    };
    const auto request = request_for(vm);
    if (request && !request->rules.empty()) waiting_near_.insert(id);
    if (!request) {
        const std::string& reason = request.error().reason;
        return wait(reason.empty() ? "NotReady" : reason, request.error().message);
    }
    Decision decision = decide_for(*request);
    decision.at = pipeline_.now_text();
    if (decision.host.empty()) {
        std::string summary = decision.summary;
        if (make_room(tx, vm.meta.project.id, *request, host_states())) summary += kRoomIsMade;
        return wait("NoCapacity", std::move(summary));
    }
    const ObjectPtr host = tx.world().named(Kind::host, {}, decision.host);
    bind_vm(tx, id, static_cast<const Host&>(*host), decision);
}

void Controllers::bind_vm(Transaction& tx, const Uuid& id, const Host& host, const Decision& decision) {
    waits_no_more(id);
    const Ref at{host.meta.id, host.meta.name};
    const HostFacts& facts = host.status.facts;
    const Epoch epoch{tx.moment().incarnation, planted_in_core().reuse_epochs ? 1 : tx.next_revision()};
    for (const auto& [name, disk] : tx.world().find<Vm>(id)->spec.disks) {
        if (tx.world().find<Volume>(disk.volume.id)->status.placement) continue;
        tx.update_status<Volume>(disk.volume.id, [&](Volume& v) {
            v.status.placement = VmPlacement{at, epoch};
            v.status.phase = VolumePhase::creating;
            drop_condition(v.status.conditions, "Placed");
        });
    }
    note_networks(tx, *tx.world().find<Vm>(id), host.meta.id);
    keep_decision(tx, id, epoch, decision);
    tx.update_status<Vm>(id, [&](Vm& v) {
        forget_leftover(v, at.id);  // the new document takes its place
        v.status.placement = VmPlacement{at, epoch};
        drop_condition(v.status.conditions, "Scheduled");
        if (v.status.machine.empty()) v.status.machine = facts.guest_machine;
        v.status.accelerator = v.spec.accelerator == WantedAccelerator::qemu ? Accelerator::qemu : facts.accelerator;
        if (v.status.cpu_model.empty())
            v.status.cpu_model = v.status.accelerator == Accelerator::qemu ? "qemu64" : facts.guest_cpu_model;
    });
}

void Controllers::set_phase(Transaction& tx, const Uuid& id) {
    const Vm& vm = *tx.world().find<Vm>(id);
    const VmPhase phase = phase_of(vm, !is_out_of_sight(vm));
    if (phase == vm.status.phase) return;
    tx.update_status<Vm>(id, [&](Vm& v) { v.status.phase = phase; });
}

// Reboot and reset: given to the host once, on its present connection; what was sent is never given to another.
// After a hello they are told again to the same host, which does none twice: the first may have been lost on the way.
void Controllers::send_orders(Transaction& tx, const Vm& vm) {
    if (!vm.status.placement) return;
    const bool again = untold_.erase(vm.meta.id) > 0;
    const Uuid host = vm.status.placement->host.id;
    const std::set<Uuid> open = tx.world().tasks_of(vm.meta.id);
    for (const Uuid& id : open) {
        const Task& task = *tx.world().find<Task>(id);
        if (task.spec.goal != TaskGoal::vm_reboot && task.spec.goal != TaskGoal::vm_reset) continue;
        if (task.status.sent && !again) continue;
        if (!links_.is_connected(host)) {
            wait_task_for(tx, id, fmt::format("host {} is not connected", vm.status.placement->host.name));
            continue;
        }
        TaskOrder order{.verb = task.spec.goal == TaskGoal::vm_reset ? TaskVerb::reset : TaskVerb::reboot,
                        .epoch = vm.status.placement->epoch,
                        .connection = links_.connection_of(host)};
        order.id = TaskId{id};
        order.vm = VmId{vm.meta.id};
        if (!task.status.sent)
            tx.update_status<Task>(id, [&](Task& t) {
                t.status.sent = true;
                t.status.phase = TaskPhase::running;
                t.status.epoch = order.epoch;
            });
        core_.post([this, host, order] { links_.send(host, order); });  // after the commit that says so
    }
}

// A graceful stop that ran out of time: its task has failed, and the wish follows what is.
void Controllers::give_up_late_stop(Transaction& tx, const Vm& vm) {
    const Condition* late = find_condition(vm.status.report.conditions, "StopTimedOut");
    const bool seen = vm.status.observed_generation >= vm.meta.generation;
    if (late == nullptr || !late->status || !seen || vm.spec.power != Power::stopped || vm.spec.force_stop ||
        vm.is_deleted())
        return;
    const DomainState state = vm.status.report.state;
    if (state != DomainState::running && state != DomainState::paused) return;  // paused: it could not be resumed
    tx.update_spec<Vm>(vm.meta.id, [&](Vm& v) {
        v.spec.power = state == DomainState::paused ? Power::paused : Power::running;
        ++v.meta.generation;
    });
}

}  // namespace axle
