// Moves of VMs between hosts (RELIABILITY 5.4), seen from the world: what each of the two hosts is to have meanwhile,
// and what a move leaves behind. Core thread.
#pragma once
#include <algorithm>

#include "orchestrator/core/transaction.hpp"

namespace axle {

// The VM's move to that host; null: it doesn't move there.
const VmMigration* move_to(const Vm& vm, const Uuid& host);
// The VM that takes the volume along, and the volume's place in that move; null: it doesn't move. Its spec names the
// volume until the move is over, also when it was deleted meanwhile.
struct ComingDisk {
    const Vm* vm = nullptr;
    const MigrationDisk* disk = nullptr;
};
ComingDisk moving_disk(const World& world, const Uuid& volume);
ComingDisk coming_disk(const World& world, const Uuid& volume, const Uuid& host);  // to that host

// The VM's document for that host, one of the two: as it was when the move began, with the host's part in it.
Result<VmDocument> moving_document(const World& world, const Vm& vm, const Uuid& host);

// What a move left on a host, or may have brought there, until that host has said that it is gone: a copy of a volume,
// the document of a VM. leftover_on: null: nothing.
template <typename T>
const VmPlacement* leftover_on(const T& object, const Uuid& host) {
    const auto& all = object.status.leftovers;
    const auto left = std::ranges::find_if(all, [&](const VmPlacement& l) { return l.host.id == host; });
    return left == all.end() ? nullptr : &*left;
}
template <typename T>
void forget_leftover(T& object, const Uuid& host) {
    std::erase_if(object.status.leftovers, [&](const VmPlacement& left) { return left.host.id == host; });
}
// Nobody lets go of what is on a host that was taken out of the cloud.
template <typename T>
void forget_lost_leftovers(Transaction& tx, const T& object) {
    const auto lost = [&](const VmPlacement& left) { return tx.world().find<Host>(left.host.id) == nullptr; };
    if (std::ranges::none_of(object.status.leftovers, lost)) return;
    tx.update_status<T>(object.meta.id, [&](T& o) { std::erase_if(o.status.leftovers, lost); });
}

}  // namespace axle
