// Documents of storage, pools and images; volumes are in volume_keeper.cpp.
#include "agent/core/storage_keeper.hpp"

#include <algorithm>

#include "common/model/codec.hpp"

namespace axle {
namespace {

// A pool's free room changes all the time; only a change that matters is told (DESIGN 4: load figures are soft).
std::int64_t told_free(std::int64_t told, std::int64_t now, std::int64_t size) {
    return std::abs(told - now) * 100 > size ? now : told;
}

}  // namespace

Condition not_ready(const Error& error) {
    return not_ready(error.reason.empty() ? name_of(error.code) : error.reason,
                     error.hint.empty() ? error.message : error.message + ". " + error.hint);
}

Condition not_ready(std::string reason, std::string message) {
    return {.type = "Ready", .status = false, .reason = std::move(reason), .message = std::move(message)};
}

StorageKeeper::StorageKeeper(const Seams& seams, Ledger& ledger, Reporter& reporter, Hooks hooks)
    : seams_(seams), ledger_(ledger), reporter_(reporter), hooks_(std::move(hooks)) {}

void StorageKeeper::apply(const DocumentRecord& record) {
    switch (record.kind) {
        case DocumentKind::pool:
            return apply_pool(record);
        case DocumentKind::image:
            return apply_image(record);
        case DocumentKind::volume:
            return apply_volume(record);
        case DocumentKind::network:
        case DocumentKind::vm:
            return;
    }
}

void StorageKeeper::resync() {
    for (auto& [id, pool] : pools_) pool.attempt->kick();
    for (auto& [id, image] : images_) image.attempt->kick();
    for (auto& [id, volume] : volumes_) volume.attempt->kick();
}

void StorageKeeper::kick_ended() {
    for (auto& [id, volume] : volumes_) {
        if (volume.verdict != Verdict::keep) volume.attempt->kick_now();
    }
    hooks_.strays_changed();  // whoever has them
}

// ---- pools

void StorageKeeper::apply_pool(const DocumentRecord& record) {
    auto document = from_json_text<PoolDocument>(record.content);
    if (!document) return seams_.log(log::Level::error, "pool document: " + document.error().message);
    auto [it, fresh] = pools_.try_emplace(PoolId{record.id});
    PoolEntry& pool = it->second;
    pool.document = std::move(*document);
    pool.verdict = record.verdict;
    if (fresh) {
        pool.attempt = std::make_unique<Attempt>(seams_.clock, seams_.random, [this, &pool] { look_pool(pool); });
    }
    pool.attempt->kick_now();
}

bool StorageKeeper::pool_is_needed(PoolId pool) const {
    return std::ranges::any_of(volumes_, [&](const auto& v) { return v.second.document.pool == pool; }) ||
           std::ranges::any_of(images_, [&](const auto& i) { return i.second.document.pool == pool; });
}

void StorageKeeper::look_pool(PoolEntry& pool) {
    const DocumentKey key{DocumentKind::pool, pool.document.id};
    if (pool.verdict != Verdict::keep && !pool_is_needed(pool.document.id) && !ledger_.writing(key)) {
        ledger_.forget_known(pool.document.id);
        ledger_.forget_document(key);
        reporter_.gone(key, {});
        pools_.erase(pool.document.id);
        return;
    }
    seams_.storage.open_pool(pool.document, ledger_.known(pool.document.id),
                             pool.attempt->job<PoolObservation>([this, &pool](Result<PoolObservation> seen) {
                                 on_pool_opened(pool, std::move(seen));
                             }));
}

void StorageKeeper::on_pool_opened(PoolEntry& pool, Result<PoolObservation> seen) {
    SimpleReport report;
    if (!seen) {
        report.conditions.push_back(not_ready(seen.error()));
    } else if (!seen->usable) {
        report.conditions.push_back(not_ready("PoolUnusable", seen->why));
    }
    if (!report.conditions.empty()) {
        set_pool(pool, std::move(report));
        return pool.attempt->back_off();
    }
    if (!ledger_.known(pool.document.id)) {  // before anything is put into it
        return ledger_.mark_known(pool.document.id, pool.attempt->job<void>([&pool](Result<> marked) {
            return marked ? pool.attempt->kick() : pool.attempt->back_off();
        }));
    }
    pool.attempt->ease();
    report.ready = true;
    report.size = seen->size;
    report.free = told_free(pool.report.free, seen->free, seen->size);
    pool.not_durable = seen->durable ? "" : seen->durable_why;
    if (!seen->durable) {
        report.conditions.push_back({.type = "NotDurable", .reason = "NotDurable", .message = seen->durable_why});
    }
    const bool news = !pool.report.ready;
    set_pool(pool, std::move(report));
    if (news) kick_dependents(pool.document.id);
    list_files(pool);
}

void StorageKeeper::list_files(PoolEntry& pool) {
    seams_.storage.list_volumes(
        pool.document, pool.attempt->job<std::vector<VolumeFile>>([this, &pool](Result<std::vector<VolumeFile>> files) {
            if (!files) return;
            pool.files = std::move(*files);
            look_at_strays(pool, {}, 0);
        }));
}

void StorageKeeper::set_pool(PoolEntry& pool, SimpleReport report) {
    keep_since(pool.report.conditions, report.conditions, seams_.clock.wall());
    const bool news = pool.report.ready != report.ready;
    pool.report = std::move(report);
    reporter_.set({DocumentKind::pool, pool.document.id}, {}, to_json_text(pool.report));
    if (news) hooks_.changed();
}

void StorageKeeper::kick_dependents(PoolId pool) {
    for (auto& [id, image] : images_) {
        if (image.document.pool == pool) image.attempt->kick_now();
    }
    for (auto& [id, volume] : volumes_) {
        if (volume.document.pool == pool || !volume.document.pool) volume.attempt->kick_now();
    }
}

const StorageKeeper::PoolEntry* StorageKeeper::usable_pool(PoolId pool) const {
    auto it = pools_.find(pool);
    return it != pools_.end() && it->second.report.ready ? &it->second : nullptr;
}

// ---- images

void StorageKeeper::apply_image(const DocumentRecord& record) {
    auto document = from_json_text<ImageDocument>(record.content);
    if (!document) return seams_.log(log::Level::error, "image document: " + document.error().message);
    auto [it, fresh] = images_.try_emplace(record.id);
    ImageEntry& image = it->second;
    image.document = std::move(*document);
    image.verdict = record.verdict;
    if (fresh) {
        image.attempt = std::make_unique<Attempt>(seams_.clock, seams_.random, [this, &image] { look_image(image); });
    }
    image.attempt->kick_now();
}

bool StorageKeeper::image_is_needed(const ImageEntry& image) const {
    const auto& wanted = image.document;
    const bool overlaid = std::ranges::any_of(volumes_, [&](const auto& v) {
        const VolumeDocument& volume = v.second.document;
        return volume.image_digest == wanted.digest && volume.pool == wanted.pool;
    });
    const bool other = std::ranges::any_of(images_, [&](const auto& i) {
        const ImageEntry& twin = i.second;
        return &twin != &image && twin.document.digest == wanted.digest && twin.document.pool == wanted.pool;
    });
    return overlaid || other;
}

const StorageKeeper::ImageEntry* StorageKeeper::find_image(PoolId pool, const std::string& digest) const {
    for (const auto& [id, image] : images_) {
        if (image.document.pool == pool && image.document.digest == digest) return &image;
    }
    return nullptr;
}

void StorageKeeper::look_image(ImageEntry& image) {
    const DocumentKey key{DocumentKind::image, image.document.id};
    const PoolEntry* pool = usable_pool(image.document.pool);
    if (pool == nullptr) {
        return set_image(image, {.conditions = {not_ready("PoolUnusable", "its pool can't be used now")}});
    }
    if (image.verdict == Verdict::keep) return image.report.ready ? void() : fetch(image);
    if (image_is_needed(image) || ledger_.writing(key)) return;  // the last user's end brings the next look
    image.report.ready = false;
    seams_.storage.remove_image(pool->document, image.document.digest,
                                image.attempt->job<void>([this, &image, key](Result<> removed) {
                                    if (ledger_.writing(key)) return image.attempt->kick();  // wanted again meanwhile
                                    if (!removed) {  // a file that nobody knows may overlay it: it stays
                                        image.attempt->back_off();
                                        return set_image(image, {.conditions = {not_ready(removed.error())}});
                                    }
                                    ledger_.forget_document(key);
                                    reporter_.gone(key, {});
                                    const PoolId where = image.document.pool;
                                    images_.erase(Uuid{key.second});
                                    if (auto it = pools_.find(where); it != pools_.end()) it->second.attempt->kick();
                                }));
}

void StorageKeeper::fetch(ImageEntry& image) {
    const PoolEntry* pool = usable_pool(image.document.pool);
    const auto progress = life_.wrap([this, key = image.document.id](std::int64_t done) {
        auto it = images_.find(key);
        if (it == images_.end() || it->second.report.ready) return;
        SimpleReport report = it->second.report;
        report.size = it->second.document.size;
        report.done = done;
        it->second.attempt->still_going();
        set_image(it->second, std::move(report));
    });
    seams_.storage.fetch_image(
        pool->document, image.document, progress, image.attempt->job<void>([this, &image](Result<> fetched) {
            if (!fetched) {
                set_image(image, {.size = image.document.size, .conditions = {not_ready(fetched.error())}});
                return image.attempt->back_off();
            }
            image.attempt->ease();
            const std::int64_t size = image.document.size;
            set_image(image, {.ready = true, .size = size, .done = size});
            if (image.verdict != Verdict::keep) image.attempt->kick();
        }));
}

void StorageKeeper::set_image(ImageEntry& image, SimpleReport report) {
    keep_since(image.report.conditions, report.conditions, seams_.clock.wall());
    const bool came = report.ready && !image.report.ready;
    const bool trouble = !report.ready && report.conditions != image.report.conditions;
    image.report = std::move(report);
    reporter_.set({DocumentKind::image, image.document.id}, {}, to_json_text(image.report));
    if (!came && !trouble) return;
    for (auto& [id, volume] : volumes_) {
        if (volume.document.image_digest != image.document.digest) continue;
        if (came)
            volume.attempt->kick_now();
        else if (volume.report.state == VolumeState::pending)
            volume.attempt->kick();  // it tells what it waits for
    }
}

// ---- what others ask

Missing StorageKeeper::missing(const VmDocument& vm) const {
    for (const auto& disk : vm.disks) {
        auto it = volumes_.find(disk.volume);
        if (it == volumes_.end() || it->second.verdict != Verdict::keep)
            return {
                fmt::format("disk {} is on volume {}, which this host was not given", disk.name, disk.volume.str())};
        if (usable_pool(it->second.document.pool) == nullptr)
            return {fmt::format("disk {} is on a pool that can't be used now", disk.name)};
        const VolumeReport& report = it->second.report;
        if (report.state == VolumeState::ready) continue;
        const Condition* trouble = report.conditions.empty() ? nullptr : &report.conditions.front();
        const bool comes =
            report.state == VolumeState::pending && (trouble == nullptr || trouble->reason == kImagePending);
        return {fmt::format("disk {} is {}{}", disk.name, text_of(report.state),
                            trouble == nullptr ? "" : ": " + trouble->message),
                comes};
    }
    return {};
}

const VolumeDocument* StorageKeeper::volume(VolumeId volume) const {
    auto it = volumes_.find(volume);
    return it == volumes_.end() ? nullptr : &it->second.document;
}

const PoolDocument* StorageKeeper::pool(PoolId pool) const {
    auto it = pools_.find(pool);
    return it == pools_.end() ? nullptr : &it->second.document;
}

std::optional<std::string> StorageKeeper::volume_path(VolumeId id) const {
    const VolumeDocument* document = volume(id);
    const PoolDocument* where = document == nullptr ? nullptr : pool(document->pool);
    if (where == nullptr) return std::nullopt;
    return seams_.storage.volume_path(*where, *document);
}

bool StorageKeeper::on_shared_pool(const VmDocument& vm) const {
    return std::ranges::any_of(vm.disks, [&](const VmDocumentDisk& disk) {
        const PoolDocument* where = pool(disk.pool);
        return where != nullptr && where->shared;
    });
}

std::vector<Condition> StorageKeeper::host_conditions() const {
    std::vector<Condition> out;
    for (const auto& [id, pool] : pools_) {
        if (!pool.not_durable.empty()) {
            out.push_back({.type = "NotDurable",
                           .reason = "Pool",
                           .message = fmt::format("pool {}: {}", pool.document.name, pool.not_durable)});
        }
    }
    return out;
}

}  // namespace axle
