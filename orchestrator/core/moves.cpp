#include "orchestrator/core/moves.hpp"

#include <algorithm>

#include "common/model/codec.hpp"

namespace axle {
namespace {

VmMove common_part(const VmMigration& migration) {
    VmMove move{.task = TaskId{migration.task}, .epoch = migration.epoch};
    move.ticket = migration.ticket.plain;
    move.live = migration.live;
    move.bandwidth = migration.bandwidth;
    for (const MigrationDisk& disk : migration.disks)
        if (disk.copied) move.copies.push_back(VolumeId{disk.volume});
    return move;
}

}  // namespace

const VmMigration* move_to(const Vm& vm, const Uuid& host) {
    return vm.status.migration && vm.status.migration->host.id == host ? &*vm.status.migration : nullptr;
}

ComingDisk moving_disk(const World& world, const Uuid& volume) {
    for (const Key& key : world.referrers(volume)) {
        const Vm* vm = key.kind == Kind::vm ? world.find<Vm>(key.id) : nullptr;
        if (vm == nullptr || !vm->status.migration) continue;
        const auto& disks = vm->status.migration->disks;
        const auto disk = std::ranges::find(disks, volume, &MigrationDisk::volume);
        if (disk != disks.end()) return {vm, &*disk};
    }
    return {};
}

ComingDisk coming_disk(const World& world, const Uuid& volume, const Uuid& host) {
    const ComingDisk moving = moving_disk(world, volume);
    return moving.vm != nullptr && move_to(*moving.vm, host) != nullptr ? moving : ComingDisk{};
}

Result<VmDocument> moving_document(const World& world, const Vm& vm, const Uuid& host) {
    const VmMigration& migration = *vm.status.migration;
    TRY(document, from_json_text<VmDocument>(migration.document.plain));
    VmMove move = common_part(migration);
    if (move_to(vm, host) != nullptr) {
        move.role = MoveRole::incoming;
        move.peer = HostId{vm.status.placement->host.id};
        move.peer_name = vm.status.placement->host.name;
        move.handed_over = migration.phase == MigrationPhase::handed_over;
        move.run_over = migration.run_over;
        document.epoch = migration.epoch;
        document.move = std::move(move);
        return document;
    }
    if (migration.phase == MigrationPhase::preparing) return document;  // it knows nothing of it yet
    const Host* target = world.find<Host>(migration.host.id);
    move.role = MoveRole::outgoing;
    move.peer = HostId{migration.host.id};
    move.peer_name = migration.host.name;
    if (target != nullptr)
        move.address = fmt::format("{}:{}", target->status.facts.underlay, target->status.facts.data_port);
    move.cancel = migration.cancel;
    document.move = std::move(move);
    return document;
}

}  // namespace axle
