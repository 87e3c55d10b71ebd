// The part of StorageKeeper that keeps volumes.
#include <algorithm>

#include "agent/core/storage_keeper.hpp"
#include "common/model/codec.hpp"

namespace axle {
void StorageKeeper::apply_volume(const DocumentRecord& record) {
    VolumeDocument document;
    if (!record.content.empty()) {
        auto read = from_json_text<VolumeDocument>(record.content);
        if (!read) return seams_.log(log::Level::error, "volume document: " + read.error().message);
        document = std::move(*read);
    }
    document.id = VolumeId{record.id};
    auto [it, fresh] = volumes_.try_emplace(document.id);
    VolumeEntry& volume = it->second;
    volume.document = std::move(document);
    volume.verdict = record.verdict;
    volume.epoch = record.epoch;
    if (fresh) {
        volume.attempt =
            std::make_unique<Attempt>(seams_.clock, seams_.random, [this, &volume] { look_volume(volume); });
    }
    volume.attempt->kick_now();
}

void StorageKeeper::look_volume(VolumeEntry& volume) {
    const bool destroys =
        volume.verdict == Verdict::destroy || (volume.verdict == Verdict::release && planted().destroy_on_release);
    if (volume.verdict != Verdict::keep) {
        const DocumentKey key{DocumentKind::volume, volume.document.id};
        const DocumentRecord* record = ledger_.document(key);
        if (ledger_.writing(key)) return volume.attempt->look_after(seconds{1});  // a newer word is on its way
        if (record == nullptr || record->verdict == Verdict::gone) return forget_volume(volume);
        const std::string user = hooks_.user_of(volume.document.id);
        if (!user.empty()) {
            return volume_waits(volume, "InUse", fmt::format("guest {} still has it", user));
        }
        return destroys ? destroy(volume) : finish_volume(volume);
    }
    const PoolEntry* pool = usable_pool(volume.document.pool);
    if (pool == nullptr) return volume_waits(volume, "PoolUnusable", "its pool can't be used now");
    seams_.storage.observe_volume(
        pool->document, volume.document,
        volume.attempt->job<VolumeObservation>(
            [this, &volume](Result<VolumeObservation> seen) { on_volume_observed(volume, std::move(seen)); }));
}

void StorageKeeper::on_volume_observed(VolumeEntry& volume, Result<VolumeObservation> seen) {
    if (!seen) return volume_failed(volume, seen.error());
    if (volume.verdict != Verdict::keep) return volume.attempt->kick();
    if (seen->exists) return mark_made(volume, *seen);
    const bool made = volume.document.made || ledger_.made(volume.document.id);
    if (made && !planted().remake_lost_volumes) {
        VolumeReport report{.state = VolumeState::lost};
        report.conditions.push_back(
            not_ready("Lost", fmt::format("the file of volume {} was made and is gone; it is not made anew. Restore "
                                          "it from a backup or delete the volume",
                                          volume.document.name)));
        return set_volume(volume, std::move(report));
    }
    if (planted().mark_before_making && !made)
        return ledger_.mark_made(volume.document.id, volume.attempt->job<void>([this, &volume](Result<> marked) {
            return marked ? create(volume) : volume_failed(volume, marked.error());
        }));
    create(volume);
}

void StorageKeeper::create(VolumeEntry& volume) {
    const VolumeDocument& document = volume.document;
    if (!document.image_digest.empty()) {
        const ImageEntry* image = find_image(document.pool, document.image_digest);
        if (image == nullptr || image->verdict != Verdict::keep || !image->report.ready) {
            const std::string name = document.image_digest.substr(0, 12);
            if (image == nullptr || image->report.conditions.empty())
                return volume_waits(volume, kImagePending, fmt::format("its image {} is not on this host yet", name));
            return volume_waits(
                volume, "ImageUnavailable",
                fmt::format("its image {} is not on this host: {}", name, image->report.conditions.front().message));
        }
    }
    const PoolEntry* pool = usable_pool(document.pool);
    if (pool == nullptr) return volume_waits(volume, "PoolUnusable", "its pool can't be used now");
    seams_.storage.create_volume(pool->document, document, volume.attempt->job<void>([this, &volume](Result<> made) {
        if (made) return volume.attempt->kick();  // look at it before it counts
        volume_failed(volume, made.error());
    }));
}

// The mark is durable before the volume is ready for its first guest: from then on a missing file is a loss.
void StorageKeeper::mark_made(VolumeEntry& volume, const VolumeObservation& seen) {
    const auto ready = [this, &volume, seen] {
        if (seen.size < volume.document.size) return grow(volume, seen);
        volume.asked_to_grow = 0;
        volume.attempt->ease();
        set_volume(volume, {.state = VolumeState::ready, .size = seen.size, .allocated = seen.allocated});
    };
    if (ledger_.made(volume.document.id)) return ready();
    ledger_.mark_made(volume.document.id, volume.attempt->job<void>([this, &volume, ready](Result<> marked) {
        if (!marked) return volume_failed(volume, marked.error());
        ready();
    }));
}

// The guest that has it open does it; else the file is made larger. Meanwhile the disk is as good as it was.
void StorageKeeper::grow(VolumeEntry& volume, const VolumeObservation& seen) {
    const auto tell = [this, &volume, seen](const std::string& trouble) {
        VolumeReport report{.state = VolumeState::ready, .size = seen.size, .allocated = seen.allocated};
        if (!trouble.empty())
            report.conditions.push_back({.type = "GrowFailed",
                                         .reason = "Storage",
                                         .message = fmt::format("it is to have {} bytes and has {}: {}",
                                                                volume.document.size, seen.size, trouble)});
        set_volume(volume, std::move(report));
    };
    const std::int64_t size = volume.document.size;
    if (std::exchange(volume.asked_to_grow, 0) == size) {
        tell("it was reported grown and is as it was; it is tried again");
        return volume.attempt->back_off();
    }
    const auto begin = [&] {
        return volume.attempt->job<void>([&volume, size, tell](Result<> grown) {
            if (grown) {
                volume.asked_to_grow = size;
                return volume.attempt->kick();
            }
            tell(grown.error().message + (grown.error().hint.empty() ? "" : "; " + grown.error().hint));
            volume.attempt->back_off();
        });
    };
    const VolumeUse use = hooks_.use_of(volume.document.id);
    const PoolEntry* pool = usable_pool(volume.document.pool);
    if (volume.attempt->failures() == 0) tell("");
    if (use.open) return seams_.hypervisor.grow_disk(use.open->vm, use.open->disk, size, begin());
    if (use.held || pool == nullptr) return volume.attempt->look_after(seconds{2});
    seams_.storage.grow_volume(pool->document, volume.document, begin());
}

void StorageKeeper::destroy(VolumeEntry& volume) {
    std::vector<PoolDocument> pools;
    for (const auto& [id, pool] : pools_) {
        if (volume.document.pool && volume.document.pool != id) continue;
        if (!pool.report.ready) return volume_waits(volume, "PoolUnusable", "its pool can't be used now");
        pools.push_back(pool.document);
    }
    if (volume.document.pool && pools.empty())
        return volume_waits(volume, "PoolUnusable", "this host does not have its pool");
    // Asked of libvirt at this moment, and of all domains: also one that nobody knows may have the file open.
    seams_.hypervisor.list(volume.attempt->job<std::vector<DomainObservation>>(
        [this, &volume, pools](Result<std::vector<DomainObservation>> domains) {
            if (!domains) return volume_failed(volume, domains.error());
            for (const auto& domain : *domains) {
                const bool open = std::ranges::any_of(
                    domain.live_disks, [&](const auto& disk) { return disk.volume == volume.document.id; });
                if (!open) continue;
                volume_waits(volume, "InUse", fmt::format("domain {} has it open", domain.name));
                return volume.attempt->back_off();
            }
            const std::string user = hooks_.user_of(volume.document.id);
            if (!user.empty() || volume.verdict == Verdict::keep) return volume.attempt->kick();
            destroy_in(volume, pools);
        }));
}

void StorageKeeper::destroy_in(VolumeEntry& volume, std::vector<PoolDocument> pools) {
    if (pools.empty()) {
        ledger_.forget_made(volume.document.id);
        return finish_volume(volume);
    }
    const PoolDocument pool = pools.back();
    pools.pop_back();
    seams_.storage.destroy_volume(pool, volume.document.id,
                                  volume.attempt->job<void>([this, &volume, pools](Result<> destroyed) {
                                      if (!destroyed) return volume_failed(volume, destroyed.error());
                                      destroy_in(volume, pools);
                                  }));
}

void StorageKeeper::finish_volume(VolumeEntry& volume) {
    const DocumentKey key{DocumentKind::volume, volume.document.id};
    const DocumentRecord* record = ledger_.document(key);
    if (record == nullptr || ledger_.writing(key)) return volume.attempt->look_after(seconds{1});
    DocumentRecord tombstone = *record;
    tombstone.destroyed = tombstone.verdict == Verdict::destroy;
    tombstone.verdict = Verdict::gone;
    tombstone.content.clear();
    tombstone.hash.clear();
    ledger_.put(std::move(tombstone), volume.attempt->job<void>([this, &volume](Result<> put) {
        if (!put) return volume_failed(volume, put.error());
        volume.attempt->kick();
    }));
}

// The tombstone is durable: it may be told.
void StorageKeeper::forget_volume(VolumeEntry& volume) {
    const DocumentKey key{DocumentKind::volume, volume.document.id};
    const PoolId pool = volume.document.pool;
    const std::string digest = volume.document.image_digest;
    reporter_.gone(key, volume.epoch);
    volumes_.erase(VolumeId{key.second});
    for (auto& [id, image] : images_) {
        if (image.verdict != Verdict::keep && image.document.digest == digest) image.attempt->kick_now();
    }
    if (auto where = pools_.find(pool); where != pools_.end()) where->second.attempt->kick();
}

void StorageKeeper::set_volume(VolumeEntry& volume, VolumeReport report) {
    keep_since(volume.report.conditions, report.conditions, seams_.clock.wall());
    const bool news = volume.report.state != report.state || volume.report.conditions != report.conditions;
    volume.report = std::move(report);
    reporter_.set({DocumentKind::volume, volume.document.id}, volume.epoch, to_json_text(volume.report));
    if (news) hooks_.changed();
}

void StorageKeeper::volume_waits(VolumeEntry& volume, std::string reason, std::string message) {
    VolumeReport report = volume.report;
    if (report.state != VolumeState::lost) report.state = VolumeState::pending;
    report.conditions = {not_ready(std::move(reason), std::move(message))};
    set_volume(volume, std::move(report));
}

void StorageKeeper::volume_failed(VolumeEntry& volume, const Error& error) {
    VolumeReport report = volume.report;
    const bool retryable = error.code != Code::conflict && error.code != Code::corrupt && error.code != Code::invalid;
    report.state = retryable ? VolumeState::pending : VolumeState::failed;
    report.conditions = {not_ready(error)};
    set_volume(volume, std::move(report));
    volume.attempt->back_off();
}

}  // namespace axle
