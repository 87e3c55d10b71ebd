// Moves of VMs between hosts (RELIABILITY 5.4), seen from the world: what each of the two hosts is to have meanwhile.
// Pure.
#pragma once
#include "orchestrator/core/world.hpp"

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

// Where a copy of the volume is left behind; null: not there.
const VmPlacement* leftover_on(const Volume& volume, const Uuid& host);
// Of a VM: its document, which a move left there or may have brought there. Null: nothing.
const VmPlacement* leftover_on(const Vm& vm, const Uuid& host);
void forget_leftover(Vm& vm, const Uuid& host);

}  // namespace axle
