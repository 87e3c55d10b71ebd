// Moves of VMs, from their commit to their end (RELIABILITY 5.4). The placement stays at the source until the target
// has accepted. While the target prepares, we may give up by ourselves; from then on the source alone decides, and we
// only ask it.
#include <algorithm>

#include "common/base/log.hpp"
#include "orchestrator/core/controllers.hpp"
#include "orchestrator/core/moves.hpp"
#include "orchestrator/core/vm_rules.hpp"

namespace axle {
namespace {

constexpr std::int64_t kPrepareFor = INT64_C(10) * 60'000;  // cluster time

// A stop or a delete that came since does not want it any more.
bool is_unwanted(const Vm& vm, const Task* task) {
    const auto frozen = from_json_text<VmDocument>(vm.status.migration->document.plain);
    const bool stops = frozen && frozen->power != Power::stopped && vm.spec.power != frozen->power;
    return vm.is_deleted() || stops || (task != nullptr && task->status.phase == TaskPhase::cancelling);
}

void show_step(Transaction& tx, const Uuid& task, const std::string& step) {
    const Task* now = tx.world().find<Task>(task);
    if (now == nullptr || is_terminal(now->status.phase) || now->status.step == step) return;
    tx.update_status<Task>(task, [&](Task& t) { t.status.step = step; });
}

// Whatever the copies there have become, they are no disks of anybody: they go by their epoch, and are remembered until
// the host has said so.
void leave_copies(Transaction& tx, const VmMigration& move, const Ref& host, std::optional<Epoch> epoch) {
    for (const MigrationDisk& disk : move.disks) {
        if (!disk.copied || tx.world().find<Volume>(disk.volume) == nullptr) continue;
        tx.update_status<Volume>(disk.volume, [&](Volume& v) {
            v.status.leftovers.push_back({host, epoch ? *epoch : v.status.placement->epoch});
        });
    }
}

}  // namespace

const MoveReport* Controllers::move_of(const Uuid& vm) const {
    const auto found = moving_.find(vm);
    return found == moving_.end() ? nullptr : &found->second;
}

void Controllers::advance_move(Transaction& tx, const Uuid& id) {
    const Vm& vm = *tx.world().find<Vm>(id);
    if (!vm.status.migration) return;
    const VmMigration& move = *vm.status.migration;
    const Uuid task = move.task;
    const bool over = move.phase == MigrationPhase::handed_over;
    if (!move.cancel && !over && is_unwanted(vm, tx.world().find<Task>(task))) {
        tx.update_status<Vm>(id, [](Vm& v) { v.status.migration->cancel = true; });
        return move_task(tx, task, TaskPhase::cancelling);  // the next pass goes on
    }
    const std::string target = move.host.name;
    if (move.phase == MigrationPhase::preparing) {
        if (move.cancel) return end_move(tx, id, {"cancelled", "it was cancelled", ""});
        if (tx.moment().cluster_time - move.at <= kPrepareFor) {
            if (!links_.is_connected(move.host.id)) wait_task_for(tx, task, "host " + target + " is not connected");
            return;
        }
        const Task* known = tx.world().find<Task>(task);
        const std::string why = known == nullptr ? "" : known->status.reason;
        return end_move(tx, id,
                        {"not-ready",
                         fmt::format("host {} did not get ready within {} min{}{}", target, kPrepareFor / 60'000,
                                     why.empty() ? "" : ": ", why),
                         "axle host show " + target});
    }
    const MoveReport* said = move_of(id);
    const std::int64_t limit = 2 * kPrepareFor + (move.live ? 0 : vm.spec.stop_timeout);
    const bool begun = said != nullptr && said->done > 0;
    if (!over && !begun && !move.cancel && tx.moment().cluster_time - move.at > limit) {
        if (tx.world().find<Task>(task) != nullptr)
            tx.update_status<Task>(task, [](Task& t) { t.status.log.push_back("the source did not begin in time"); });
        return tx.update_status<Vm>(id, [](Vm& v) { v.status.migration->cancel = true; });
    }
    const Ref& awaited = over ? move.host : vm.status.placement->host;
    const bool there = links_.is_connected(awaited.id);
    wait_task_for(tx, task,
                  there ? "" : fmt::format("host {} is not connected: only it knows how the move ended", awaited.name));
}

void Controllers::end_move(Transaction& tx, const Uuid& id, TaskError why) {
    const VmMigration move = *tx.world().find<Vm>(id)->status.migration;
    leave_copies(tx, move, move.host, move.epoch);
    tx.update_status<Vm>(id, [&](Vm& v) {
        v.status.migration.reset();
        v.status.leftovers.push_back({move.host, move.epoch});  // it may hold the document
    });
    moving_.erase(id);
    const Task* task = tx.world().find<Task>(move.task);
    const bool cancelled = task != nullptr && task->status.phase == TaskPhase::cancelling;
    move_task(tx, move.task, cancelled ? TaskPhase::cancelled : TaskPhase::failed,
              cancelled ? std::nullopt : std::optional(std::move(why)));
}

void Controllers::complete_move(Transaction& tx, const Uuid& id, VmReport report) {
    const Vm& vm = *tx.world().find<Vm>(id);
    const VmMigration move = *vm.status.migration;
    const Ref source = vm.status.placement->host;
    leave_copies(tx, move, source, std::nullopt);
    for (const MigrationDisk& disk : move.disks) {
        if (tx.world().find<Volume>(disk.volume) == nullptr) continue;
        tx.update_status<Volume>(disk.volume, [&](Volume& v) {
            v.status.placement = VmPlacement{move.host, move.epoch};
            // What the source had last told of its copy holds no more; the target accepts with all disks at hand, and
            // told so before this was heeded.
            v.status.conditions.clear();
            if (!v.meta.deletion) v.status.phase = VolumePhase::ready;
        });
    }
    tx.update_status<Vm>(id, [&](Vm& v) {
        v.status.leftovers.push_back({source, v.status.placement->epoch});
        v.status.placement = VmPlacement{move.host, move.epoch};
        v.status.migration.reset();
        v.status.report = std::move(report);
        v.status.phase = phase_of(v);
    });
    note_away(tx, *tx.world().find<Vm>(id), source.id);
    moving_.erase(id);
    drain_tries_.erase(id);
    if (tx.world().find<Task>(move.task) == nullptr) return;
    tx.update_status<Task>(move.task, [&](Task& t) {
        std::string line = fmt::format("it is on host {} now", move.host.name);
        if (move.live && move.downtime_ms > 0) line += fmt::format(", after {} ms of standstill", move.downtime_ms);
        t.status.log.push_back(std::move(line));
        t.status.step.clear();
    });
    move_task(tx, move.task, TaskPhase::succeeded);
}

void Controllers::source_says(Transaction& tx, const Uuid& id, const MoveReport& said) {
    const Vm& vm = *tx.world().find<Vm>(id);
    if (!vm.status.migration || vm.status.migration->epoch != said.epoch) return;
    const VmMigration& move = *vm.status.migration;
    const Uuid task = move.task;
    switch (said.phase) {
        case MovePhase::moving:
            moving_[id] = said;
            return show_step(tx, task, said.done > 0 ? "copying to host " + move.host.name : "waiting");
        case MovePhase::aborted:
            if (move.phase == MigrationPhase::moving)
                end_move(tx, id,
                         {"aborted", said.message,
                          fmt::format("the VM goes on on host {}", vm.status.placement->host.name)});
            return;
        case MovePhase::handed_over:
            if (move.phase != MigrationPhase::moving) return;
            tx.update_status<Vm>(id, [&](Vm& v) {
                v.status.migration->phase = MigrationPhase::handed_over;
                v.status.migration->downtime_ms = said.downtime_ms;
            });
            return show_step(tx, task, "starting on host " + move.host.name);
        default:
            return;  // a target's words
    }
}

void Controllers::target_status(const Vm& vm, const Status& status) {
    const Uuid id = vm.meta.id;
    if (status.gone) return;
    auto report = from_json_text<VmReport>(status.content);
    if (!report) return;
    const auto said = std::exchange(report->move, std::nullopt);
    if (!said || said->epoch != vm.status.migration->epoch) return;
    const VmMigration& move = *vm.status.migration;
    Transaction tx = pipeline_.begin();
    if (said->phase == MovePhase::accepted && move.phase != MigrationPhase::preparing) {
        complete_move(tx, id, std::move(*report));
        settle_tasks(tx, *tx.world().find<Vm>(id));
    } else if (move.phase == MigrationPhase::preparing && !move.cancel) {
        if (said->phase == MovePhase::ready) {
            show_step(tx, move.task, "waiting");
            wait_task_for(tx, move.task, "");
            tx.update_status<Vm>(id, [](Vm& v) { v.status.migration->phase = MigrationPhase::moving; });
        } else if (!said->message.empty()) {
            wait_task_for(tx, move.task, fmt::format("host {}: {}", move.host.name, said->message));
        }
    }
    pipeline_.commit(tx);
}

// Of what a move left there. false: it is not about that.
template <typename T>
bool Controllers::leftover_status(const T& object, const Uuid& host, const Status& status) {
    const VmPlacement* left = leftover_on(object, host);
    if (left == nullptr || status.epoch > left->epoch) return false;
    if (!status.gone || status.epoch != left->epoch) return true;
    Transaction tx = pipeline_.begin();
    tx.update_status<T>(object.meta.id, [&](T& o) { forget_leftover(o, host); });
    pipeline_.commit(tx);
    return true;
}
template bool Controllers::leftover_status(const Vm&, const Uuid&, const Status&);
template bool Controllers::leftover_status(const Volume&, const Uuid&, const Status&);

// Of a copy that is being made for a move. false: it is none.
bool Controllers::copy_status(const Volume& volume, const Uuid& host, const Status& status) {
    const ComingDisk coming = coming_disk(pipeline_.world(), volume.meta.id, host);
    if (coming.vm == nullptr || coming.vm->status.migration->epoch != status.epoch) return false;
    if (status.gone) return true;
    const auto report = from_json_text<VolumeReport>(status.content);
    if (!report || report->conditions.empty()) return true;
    const Condition& why = report->conditions.front();
    const bool hopeless = report->state == VolumeState::failed || report->state == VolumeState::lost ||
                          why.reason == name_of(Code::no_space);
    if (!hopeless || coming.vm->status.migration->phase != MigrationPhase::preparing) return true;
    Transaction tx = pipeline_.begin();
    end_move(
        tx, coming.vm->meta.id,
        {"not-ready",
         fmt::format("host {}: disk {}: {}", coming.vm->status.migration->host.name, volume.meta.name, why.message),
         ""});
    pipeline_.commit(tx);
    return true;
}

}  // namespace axle
