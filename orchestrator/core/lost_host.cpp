// A host that a person has given up (axle host remove --lost): the recorded word is the evidence that nothing there
// runs or writes any more (RELIABILITY 5.2). Only on it are guests on shared disks placed anew; what lay on the host
// alone is lost with it, and said to be.
#include "orchestrator/core/lost_host.hpp"

#include <algorithm>

#include "orchestrator/core/commands.hpp"
#include "orchestrator/core/controllers.hpp"
#include "orchestrator/core/moves.hpp"
#include "orchestrator/core/vm_rules.hpp"

namespace axle {
namespace {

constexpr std::size_t kAtOnce = 10;  // objects a pass: with their disks and tasks they stay within one batch

bool lies_alone_on(const World& world, const Volume& volume, const Uuid& host) {
    const Pool* pool = world.find<Pool>(volume.spec.pool.id);
    return volume.status.placement && volume.status.placement->host.id == host &&
           (pool == nullptr || !pool->spec.shared);
}

std::string names_of_lost_disks(const World& world, const Vm& vm, const Uuid& host) {
    std::string names;
    for (const auto& [name, disk] : vm.spec.disks) {
        const Volume* volume = world.find<Volume>(disk.volume.id);
        if (volume != nullptr && lies_alone_on(world, *volume, host)) names += (names.empty() ? "" : ", ") + name;
    }
    return names;
}

// A move from a dead source is ended for it, and what the target has is dropped: so the target has to be there to say
// that it has not been handed the guest. (It would have said so: the source has been away for longer than a word
// takes.)
Result<> check_moves_from(const World& world, const Host& host) {
    for (const Vm* vm : world.vms_on(host.meta.id)) {
        if (!vm->status.migration) continue;
        const Host* target = world.find<Host>(vm->status.migration->host.id);
        if (target == nullptr || target->status.connected || target->is_deleted()) continue;
        return fail(error(Code::conflict,
                          "VM {} is moving from host {} to host {}, which is not connected: it may have the guest",
                          vm->meta.name, host.meta.name, target->meta.name)
                        .with_hint(fmt::format("bring host {0} back, or give it up first: axle host remove {0} --lost",
                                               target->meta.name)));
    }
    return {};
}

std::string consequence(const World& world, const Vm& vm, const Uuid& host) {
    const std::string name = vm.meta.project.name + "/" + vm.meta.name;
    const std::string lost = names_of_lost_disks(world, vm, host);
    if (!lost.empty()) return fmt::format("VM {}: its disks {} lie on this host alone and are lost", name, lost);
    if (vm.spec.power == Power::stopped) return fmt::format("VM {}: is free to start on another host", name);
    return fmt::format("VM {}: is started anew on another host", name);
}

}  // namespace

std::vector<std::string> consequences_of_loss(const World& world, const Uuid& host) {
    std::vector<std::string> out;
    for (const Vm* vm : world.vms_on(host)) {
        if (!vm->is_deleted()) out.push_back(consequence(world, *vm, host));
    }
    for (const Key& key : world.referrers(host)) {
        const Volume* volume = key.kind == Kind::volume ? world.find<Volume>(key.id) : nullptr;
        if (volume != nullptr && !volume->is_deleted() && !volume->status.attached_to &&
            lies_alone_on(world, *volume, host))
            out.push_back(fmt::format("volume {}/{}: lies on this host alone and is lost", volume->meta.project.name,
                                      volume->meta.name));
    }
    return out;
}

Result<Mutated> give_up_host(Transaction& tx, const Mutation& m, const Host& host) {
    if (host.status.connected)
        return fail(error(Code::conflict, "host {} is connected: it is not lost", host.meta.name)
                        .with_hint(fmt::format("axle host drain {0}, then axle host remove {0}", host.meta.name)));
    TRY_VOID(check_moves_from(tx.world(), host));
    Mutated done{.notes = consequences_of_loss(tx.world(), host.meta.id)};
    tx.update_spec<Host>(host.meta.id, [&](Host& h) {
        h.meta.deletion = Deletion{.at = tx.moment().wall.ms, .expunge_at = tx.moment().cluster_time, .final = true};
        set_condition(h.status.conditions, {.type = "Lost",
                                            .reason = "GivenUp",
                                            .message = fmt::format("{} has said that it is lost", m.who.name),
                                            .since = format_time(tx.moment().wall)});
    });
    done.object = tx.world().get(Kind::host, host.meta.id);
    return done;
}

// ---- the controller's half: some objects a pass, until nothing refers to the host any more

void Controllers::forget_lost_host(const Uuid& id) {
    const Host* host = pipeline_.world().find<Host>(id);
    if (host == nullptr || !host->is_final()) return;
    links_.disconnect(id, "the host was given up as lost");
    Transaction tx = pipeline_.begin();
    std::size_t count = 0;
    bool waits = false;  // for another host's word on a move; the next look comes with that, or with the resync
    const std::set<Key> there = tx.world().referrers(id);
    for (const Key& key : there) {
        if (key.kind == Kind::vm)
            waits |= !lose_vm(tx, key.id, id);
        else if (key.kind == Kind::volume)
            lose_volume(tx, key.id, id);
        else
            continue;
        if (++count == kAtOnce) break;
    }
    if (count == 0) tx.erase(Kind::host, id);
    pipeline_.commit(tx);
    if (count > 0 && !waits) enqueue({Kind::host, id});
}

// A move that the lost host had a part in. false: the source's word is awaited.
bool Controllers::lose_move(Transaction& tx, const Uuid& id, const Uuid& host) {
    const Vm& vm = *tx.world().find<Vm>(id);
    if (!vm.status.migration) return true;
    const VmMigration move = *vm.status.migration;
    const bool from_there = vm.status.placement && vm.status.placement->host.id == host;
    const TaskError why{"host-lost", "a host that it had to do with was given up as lost", ""};
    if (from_there && move.phase == MigrationPhase::handed_over && move.host.id != host)
        return false;  // it is there soon
    if (!from_there && move.phase == MigrationPhase::moving) return false;
    if (from_there || move.phase == MigrationPhase::preparing) return end_move(tx, id, why), true;
    // Handed over to a host that is lost: the source still has the disks, and takes the guest back under a new epoch.
    const VmPlacement back{vm.status.placement->host, {tx.moment().incarnation, tx.next_revision()}};
    for (const MigrationDisk& disk : move.disks) {
        if (tx.world().find<Volume>(disk.volume) != nullptr)
            tx.update_status<Volume>(disk.volume, [&](Volume& v) { v.status.placement = back; });
    }
    end_move(tx, id, why);
    tx.update_status<Vm>(id, [&](Vm& v) {
        v.status.placement = back;
        v.status.report = {};
    });
    return true;
}

bool Controllers::lose_vm(Transaction& tx, const Uuid& id, const Uuid& host) {
    if (!lose_move(tx, id, host)) return false;
    const Vm& vm = *tx.world().find<Vm>(id);
    if (leftover_on(vm, host) != nullptr) tx.update_status<Vm>(id, [&](Vm& v) { forget_leftover(v, host); });
    if (!vm.status.placement || vm.status.placement->host.id != host) return true;
    const std::string name = vm.status.placement->host.name, lost = names_of_lost_disks(tx.world(), vm, host);
    for (const auto& [disk_name, disk] : vm.spec.disks) {
        if (tx.world().find<Volume>(disk.volume.id) != nullptr) lose_volume(tx, disk.volume.id, host);
    }
    const std::set<Uuid> tasks = tx.world().tasks_of(id);
    for (const Uuid& task : tasks) {
        if (tx.world().find<Task>(task)->status.sent)
            move_task(tx, task, TaskPhase::failed,
                      TaskError{"outcome-unknown", fmt::format("host {} was given up as lost", name), ""});
    }
    tx.update_status<Vm>(id, [&](Vm& v) {
        if (v.is_deleted()) {
            v.status.gone = true;  // nobody is left to confirm it
            v.status.placement.reset();
            return;
        }
        v.status.placement.reset();
        v.status.report = {};
        v.status.conditions.clear();
        if (!lost.empty())
            set_condition(v.status.conditions,
                          {"Scheduled", false, "DiskLost",
                           fmt::format("its disks {} lay on host {}, which was given up as lost", lost, name),
                           pipeline_.now_text()});
    });
    enqueue({Kind::vm, id});
    return true;
}

void Controllers::lose_volume(Transaction& tx, const Uuid& id, const Uuid& host) {
    const Volume& volume = *tx.world().find<Volume>(id);
    const bool alone = lies_alone_on(tx.world(), volume, host);
    const bool there = volume.status.placement && volume.status.placement->host.id == host;
    const std::string name = there ? volume.status.placement->host.name : "";
    tx.update_status<Volume>(id, [&](Volume& v) {
        forget_leftover(v, host);
        if (!there) return;
        v.status.placement.reset();
        if (!alone || v.is_deleted()) return;
        v.status.phase = VolumePhase::lost;
        set_condition(v.status.conditions, {"Ready", false, "Lost",
                                            fmt::format("its file lay on host {} alone, which was given up as lost. "
                                                        "Restore it from a backup or delete the volume",
                                                        name),
                                            pipeline_.now_text()});
    });
    enqueue({Kind::volume, id});
}

}  // namespace axle
