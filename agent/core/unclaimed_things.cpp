// What the keepers can say of things that nobody may claim: guests and volumes with a document, files without one.
#include <algorithm>

#include "agent/core/storage_keeper.hpp"
#include "agent/core/vm_keeper.hpp"
#include "common/model/codec.hpp"

namespace axle {

std::optional<UnclaimedThing> VmKeeper::as_unclaimed(VmId id) const {
    const auto it = vms_.find(id);
    if (it == vms_.end() || it->second.verdict != Verdict::keep || !it->second.document) return std::nullopt;
    const Entry& vm = it->second;
    UnclaimedThing thing{.kind = DocumentKind::vm,
                         .id = id,
                         .name = vm.document->name,
                         .held = true,
                         .epoch = vm.epoch,
                         .state = vm.seen.state,
                         .cpus = vm.document->cpus,
                         .memory = vm.document->memory,
                         .document = to_json_text(*vm.document)};
    for (const VmDocumentDisk& disk : vm.document->disks) thing.volumes.push_back(disk.volume);
    const MoveRecord* move = keep_.ledger.move(id);
    const std::string peer = vm.document->move ? vm.document->move->peer_name : "another host";
    if (has_left(vm))
        thing.elsewhere = fmt::format("it was handed over to host {}", peer);
    else if (is_coming_here(vm))
        thing.elsewhere = fmt::format("it was on its way here and belongs to host {}", peer);
    else if (move != nullptr && move->state == MoveState::sending)
        thing.elsewhere = fmt::format("it is being moved to host {}", peer);
    return thing;
}

bool StorageKeeper::is_stray(const PoolEntry& pool, VolumeId file) const {
    return !volumes_.contains(file) && (!pool.document.shared || nobodys_.contains(file));
}

// One after the other: there are few, and they are looked at anew with each look at their pool.
void StorageKeeper::look_at_strays(PoolEntry& pool, std::vector<StrayFile> seen, std::size_t from) {
    for (; from < pool.files.size() && seen.size() < kUnclaimedMax; ++from) {
        const VolumeFile file = pool.files[from];
        if (!is_stray(pool, file.id)) continue;
        VolumeDocument document{.format = file.format};
        document.id = file.id;
        document.pool = pool.document.id;
        return seams_.storage.observe_volume(
            pool.document, document,
            pool.attempt->job<VolumeObservation>(
                [this, &pool, seen = std::move(seen), from, file](Result<VolumeObservation> there) mutable {
                    if (!there || there->exists) seen.push_back({file, there ? *there : VolumeObservation{}});
                    look_at_strays(pool, std::move(seen), from + 1);
                }));
    }
    pool.strays = std::move(seen);
    hooks_.strays_changed();
}

std::vector<UnclaimedThing> StorageKeeper::strays() const {
    std::vector<UnclaimedThing> out;
    for (const auto& [id, pool] : pools_) {
        for (const StrayFile& stray : pool.strays) {
            if (!is_stray(pool, stray.file.id)) continue;  // it was given a document since
            VolumeDocument document{.format = stray.file.format};
            document.id = stray.file.id;
            document.pool = id;
            UnclaimedThing thing{.kind = DocumentKind::volume,
                                 .id = stray.file.id,
                                 .path = seams_.storage.volume_path(pool.document, document),
                                 .pool = id,
                                 .size = stray.seen.size,
                                 .allocated = stray.seen.allocated,
                                 .format = stray.file.format,
                                 .image_digest = stray.seen.image_digest};
            out.push_back(std::move(thing));
        }
    }
    return out;
}

std::int64_t StorageKeeper::stray_count() const {
    std::int64_t count = 0;
    for (const auto& [id, pool] : pools_)
        count += std::ranges::count_if(pool.files, [&](const VolumeFile& file) { return is_stray(pool, file.id); });
    return count;
}

std::vector<Uuid> StorageKeeper::shared_files() const {
    std::vector<Uuid> out;
    for (const auto& [id, pool] : pools_) {
        if (!pool.document.shared) continue;
        for (const VolumeFile& file : pool.files) {
            if (out.size() == kUnclaimedFilesMax) return out;
            if (!volumes_.contains(file.id)) out.push_back(file.id);
        }
    }
    return out;
}

void StorageKeeper::set_nobodys(std::set<VolumeId> files) {
    if (files == nobodys_) return;
    nobodys_ = std::move(files);
    for (auto& [id, pool] : pools_) {
        if (pool.document.shared) pool.attempt->kick();
    }
}

std::optional<UnclaimedThing> StorageKeeper::as_unclaimed(VolumeId id) const {
    const auto it = volumes_.find(id);
    if (it == volumes_.end() || it->second.verdict != Verdict::keep) return std::nullopt;
    const VolumeEntry& volume = it->second;
    const bool there = volume.report.state == VolumeState::ready;
    return UnclaimedThing{.kind = DocumentKind::volume,
                          .id = id,
                          .name = volume.document.name,
                          .held = true,
                          .epoch = volume.epoch,
                          .path = volume_path(id).value_or(""),
                          .pool = volume.document.pool,
                          .size = there ? volume.report.size : 0,
                          .allocated = volume.report.allocated,
                          .format = volume.document.format,
                          .image_digest = volume.document.image_digest,
                          .document = to_json_text(volume.document)};
}

bool StorageKeeper::holds_anything(PoolId id) const {
    const auto pool = pools_.find(id);
    const bool has_files = pool != pools_.end() && !pool->second.files.empty();
    return has_files || std::ranges::any_of(volumes_, [&](const auto& v) { return v.second.document.pool == id; });
}

}  // namespace axle
