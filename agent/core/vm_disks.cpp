// The part of VmKeeper that takes disks for a guest: against the other guests of this host, checked, and, where their
// pool is shared, against all other hosts (RELIABILITY 5.3).
#include "agent/core/planted.hpp"
#include "agent/core/vm_keeper.hpp"

namespace axle {

void VmKeeper::claim(const Entry& vm) {
    for (const auto& disk : vm.document->disks) {
        const auto [it, fresh] = holders_.try_emplace(disk.volume, vm.id);
        ENSURE(fresh || it->second == vm.id || planted().share_volumes, "what another holds is missing, not claimed");
    }
}

void VmKeeper::release_claims(Entry& vm) {
    if (vm.starts_out > 0) return;
    const auto released = std::erase_if(holders_, [&](const auto& held) { return held.second == vm.id; });
    if (released == 0) return;
    keep_.storage.kick_ended();
    kick_waiting();  // another may wait for them
}

// Claimed first: a check that mends writes.
void VmKeeper::check_volumes(Entry& vm) {
    claim(vm);
    if (planted().open_before_claim) return check_volume(vm, 0);
    claim_all_files(vm, [this, &vm] { check_volume(vm, 0); });
}

void VmKeeper::check_volume(Entry& vm, std::size_t from) {
    const auto& disks = vm.document->disks;
    if (from >= disks.size()) {
        vm.volumes_checked = true;
        return vm.attempt->kick();
    }
    const VolumeDocument* volume = keep_.storage.volume(disks[from].volume);
    const PoolDocument* pool = volume == nullptr ? nullptr : keep_.storage.pool(volume->pool);
    if (pool == nullptr) return vm.attempt->kick();  // the world moved on
    seams_.storage.check_volume(*pool, *volume,
                                vm.attempt->job<void>([this, &vm, from, version = vm.version](Result<> checked) {
                                    if (!checked) return failed(vm, checked.error());
                                    return version != vm.version ? vm.attempt->kick() : check_volume(vm, from + 1);
                                }));
}

// The volume's epoch, not the guest's: both go up together whenever the disk comes to another host, but a disk that is
// detached from a guest and attached to one that was placed earlier is no step back.
void VmKeeper::claim_files(Entry& vm, std::vector<VolumeId> volumes, std::function<void()> then) {
    while (!volumes.empty()) {
        const VolumeDocument* volume = keep_.storage.volume(volumes.back());
        const PoolDocument* pool = volume == nullptr ? nullptr : keep_.storage.pool(volume->pool);
        if (pool == nullptr) return failed(vm, error(Code::unavailable, "its disks are not known on this host"));
        volumes.pop_back();
        if (!pool->shared || planted().ignore_epoch_files) continue;
        auto claimed = [this, &vm, volumes = std::move(volumes), then = std::move(then),
                        version = vm.version](Result<> answer) {
            if (!answer) return failed(vm, answer.error());
            if (version != vm.version) return vm.attempt->kick();  // the world moved on
            claim_files(vm, volumes, then);
        };
        return seams_.storage.claim_volume(*pool, *volume, vm.attempt->job<void>(std::move(claimed)));
    }
    then();
}

void VmKeeper::claim_all_files(Entry& vm, std::function<void()> then) {
    std::vector<VolumeId> volumes;
    for (const auto& disk : vm.document->disks) volumes.push_back(disk.volume);
    claim_files(vm, std::move(volumes), std::move(then));
}

}  // namespace axle
