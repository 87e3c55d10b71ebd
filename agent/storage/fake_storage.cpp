#include "agent/storage/fake_storage.hpp"

#include <algorithm>

#include "agent/storage/epoch_file.hpp"
#include "agent/storage/paths.hpp"
#include "common/model/codec.hpp"

namespace axle {

std::int64_t FakeDisks::free_in(const std::string& pool_path) const {
    std::int64_t free = pool_size;
    for (const auto& [path, file] : files)
        if (file.pool == pool_path) free -= file.allocated;
    return free;
}

std::vector<std::string> FakeDisks::files_without(const std::function<bool(const FakeFile&)>& claims) const {
    std::vector<std::string> unclaimed;
    for (const auto& [path, file] : files)
        if (!claims(file)) unclaimed.push_back(fmt::format("{}: {}", path, file.owner));
    return unclaimed;
}

FakeStorage::FakeStorage(FakeDisks& disks, Clock& clock, Random& random, FakeStorageOptions options)
    : disks_(disks), clock_(clock), random_(random), options_(std::move(options)) {}

FakeStorage::~FakeStorage() {
    *alive_ = false;
}

// Begins, acts, answers: three instants, between any two of which the agent or the machine may die. writes: path of the
// file that it makes, for which a temporary one stands until it has acted.
template <typename T>
void FakeStorage::perform(const std::string& operation, const std::string& subject, const std::string& writes,
                          std::function<Result<T>()> act, Answer<T> answer) {
    const StorageFault fault = options_.fault ? options_.fault(operation, subject) : StorageFault{};
    const auto span = static_cast<std::uint64_t>(options_.longest_delay.count()) + 1;
    const milliseconds until_act{random_.below(span)}, until_answer{random_.below(span)};
    const bool removes = operation.starts_with("remove") || operation.starts_with("destroy");
    const std::string temporary = writes.empty() || removes ? "" : writes + ".new";
    if (!temporary.empty() && fault.acts)
        disks_.apply(temporary, FakeFile{.kind = FakeFileKind::temporary, .owner = subject});
    clock_.after(until_act, [=, this, alive = alive_, act = std::move(act), answer = std::move(answer)]() mutable {
        if (!*alive) return;
        Result<T> result = fault.acts ? act() : Result<T>(fail(Code::internal, "nothing was done"));
        if (!temporary.empty()) disks_.apply(temporary, std::nullopt);
        if (fault.error) result = fail(*fault.error);
        clock_.after(until_answer + fault.delay, [=, this, result = std::move(result), answer = std::move(answer)] {
            if (!*alive) return;
            if (result && !writes.empty()) disks_.sync(writes);
            if (!temporary.empty()) disks_.sync(temporary);
            answer(result);
        });
    });
}

void FakeStorage::put(const std::string& path, FakeFile file) {
    disks_.apply(path, std::move(file));
}

Result<> FakeStorage::verify(const PoolDocument& pool) const {
    if (disks_.unmounted.contains(pool.path)) return fail(pool_missing(pool));
    const auto id = disks_.files.find(pool_id_path(pool));
    if (id == disks_.files.end()) return fail(pool_missing(pool));
    if (id->second.owner != pool.id.str() || id->second.cluster != pool.cluster)
        return fail(pool_foreign(pool, id->second.cluster, id->second.owner));
    return {};
}

Result<PoolObservation> FakeStorage::do_open(const PoolDocument& pool, bool known) {
    PoolObservation seen{.size = disks_.pool_size, .free = disks_.free_in(pool.path)};
    const bool there = disks_.files.contains(pool_id_path(pool)) && !disks_.unmounted.contains(pool.path);
    if (!there && !known && !disks_.unmounted.contains(pool.path)) {
        disks_.directories.insert(pool.path);
        put(pool_id_path(pool),
            {.kind = FakeFileKind::pool_id, .pool = pool.path, .owner = pool.id.str(), .cluster = pool.cluster});
    }
    const auto verified = verify(pool);
    seen.usable = verified.has_value();
    if (!verified) seen.why = verified.error().message + "; " + verified.error().hint;
    if (const auto found = disks_.not_durable.find(pool.path); found != disks_.not_durable.end()) {
        seen.durable = false;
        seen.durable_why = found->second;
    }
    return seen;
}

void FakeStorage::open_pool(PoolDocument pool, bool known, Answer<PoolObservation> answer) {
    const bool makes = !known && !disks_.files.contains(pool_id_path(pool)) && !disks_.unmounted.contains(pool.path);
    perform<PoolObservation>(
        "open_pool", pool.id.str(), makes ? pool_id_path(pool) : "", [=, this] { return do_open(pool, known); },
        std::move(answer));
}

void FakeStorage::list_volumes(PoolDocument pool, Answer<std::vector<VolumeFile>> answer) {
    perform<std::vector<VolumeFile>>(
        "list_volumes", pool.id.str(), "",
        [=, this]() -> Result<std::vector<VolumeFile>> {
            TRY_VOID(verify(pool));
            std::vector<VolumeFile> found;
            for (const auto& [path, file] : disks_.files)
                if (file.kind == FakeFileKind::volume && file.pool == pool.path)
                    found.push_back({VolumeId(*Uuid::parse(file.owner)),
                                     path.ends_with(".raw") ? DiskFormat::raw : DiskFormat::qcow2});
            return found;
        },
        std::move(answer));
}

Result<> FakeStorage::do_fetch(const PoolDocument& pool, const ImageDocument& image) {
    TRY_VOID(verify(pool));
    if (disks_.files.contains(image_path(pool, image.digest))) return {};
    if (disks_.missing_sources.contains(image.source))
        return fail(Code::not_found, "image {}: there is no {}", image.digest, image.source);
    if (disks_.wrong_sources.contains(image.source))
        return fail(Code::corrupt, "image {}: {} has another content", image.digest, image.source);
    const std::int64_t free = disks_.free_in(pool.path);
    if (free < image.size) return fail(no_space(pool, image.size, free));
    put(image_path(pool, image.digest), {.kind = FakeFileKind::image,
                                         .pool = pool.path,
                                         .owner = image.digest,
                                         .size = image.virtual_size,
                                         .allocated = image.size});
    return {};
}

void FakeStorage::fetch_image(PoolDocument pool, ImageDocument image, std::function<void(std::int64_t)> progress,
                              Done done) {
    perform<void>(
        "fetch_image", image.digest, image_path(pool, image.digest),
        [=, this]() -> Result<> {
            if (progress) progress(image.size / 2);
            return do_fetch(pool, image);
        },
        std::move(done));
}

void FakeStorage::remove_image(PoolDocument pool, std::string digest, Done done) {
    const std::string path = image_path(pool, digest);
    perform<void>(
        "remove_image", digest, path,
        [=, this]() -> Result<> {
            TRY_VOID(verify(pool));
            for (const auto& [other, file] : disks_.files)
                if (file.kind == FakeFileKind::volume && file.pool == pool.path && file.image_digest == digest)
                    return fail(Code::conflict, "image {} is in use by volume {}", digest, file.owner);
            if (disks_.files.contains(path)) disks_.apply(path, std::nullopt);
            return {};
        },
        std::move(done));
}

void FakeStorage::observe_volume(PoolDocument pool, VolumeDocument volume, Answer<VolumeObservation> answer) {
    perform<VolumeObservation>(
        "observe_volume", volume.id.str(), "",
        [=, this]() -> Result<VolumeObservation> {
            TRY_VOID(verify(pool));
            const auto found = disks_.files.find(volume_path(pool, volume));
            if (found == disks_.files.end()) return VolumeObservation{};
            const FakeFile& file = found->second;
            return VolumeObservation{
                .exists = true, .size = file.size, .allocated = file.allocated, .image_digest = file.image_digest};
        },
        std::move(answer));
}

Result<> FakeStorage::do_create(const PoolDocument& pool, const VolumeDocument& volume) {
    TRY_VOID(verify(pool));
    TRY_VOID(check_document(volume));
    const std::string path = volume_path(pool, volume);
    if (const auto found = disks_.files.find(path); found != disks_.files.end()) {
        if (found->second.size == volume.size && found->second.image_digest == volume.image_digest) return {};
        return fail(volume_differs(volume, found->second.size, found->second.image_digest));
    }
    if (volume.made) return fail(volume_lost(volume, path));
    if (!volume.image_digest.empty()) {
        const auto image = disks_.files.find(image_path(pool, volume.image_digest));
        if (image == disks_.files.end()) return fail(image_missing(pool, volume));
        if (image->second.size > volume.size) return fail(volume_too_small(volume, image->second.size));
    }
    const std::int64_t need = volume.format == DiskFormat::raw ? volume.size : 0;
    const std::int64_t free = disks_.free_in(pool.path);
    if (free <= need) return fail(no_space(pool, need, free));
    put(path, {.kind = FakeFileKind::volume,
               .pool = pool.path,
               .owner = volume.id.str(),
               .size = volume.size,
               .allocated = need,
               .image_digest = volume.image_digest});
    return {};
}

void FakeStorage::create_volume(PoolDocument pool, VolumeDocument volume, Done done) {
    perform<void>(
        "create_volume", volume.id.str(), volume_path(pool, volume), [=, this] { return do_create(pool, volume); },
        std::move(done));
}

Result<> FakeStorage::do_grow(const PoolDocument& pool, const VolumeDocument& volume) {
    TRY_VOID(verify(pool));
    TRY_VOID(check_document(volume));
    const std::string path = volume_path(pool, volume);
    const auto found = disks_.files.find(path);
    if (found == disks_.files.end()) return fail(volume_absent(volume, path));
    FakeFile file = found->second;
    if (file.size >= volume.size) return {};
    if (file.locked) return fail(volume_open(volume, "a guest has it"));
    const std::int64_t need = volume.format == DiskFormat::raw ? volume.size - file.size : 0;
    const std::int64_t free = disks_.free_in(pool.path);
    if (free <= need) return fail(no_space(pool, need, free));
    file.size = volume.size;
    file.allocated += need;
    put(path, std::move(file));
    return {};
}

void FakeStorage::grow_volume(PoolDocument pool, VolumeDocument volume, Done done) {
    perform<void>(
        "grow_volume", volume.id.str(), volume_path(pool, volume), [=, this] { return do_grow(pool, volume); },
        std::move(done));
}

void FakeStorage::destroy_volume(PoolDocument pool, VolumeId volume, Done done) {
    const VolumeDocument qcow2{.id = volume, .format = DiskFormat::qcow2}, raw{.id = volume, .format = DiskFormat::raw};
    const std::string path = volume_path(pool, disks_.files.contains(volume_path(pool, raw)) ? raw : qcow2);
    perform<void>(
        "destroy_volume", volume.str(), path,
        [=, this]() -> Result<> {
            TRY_VOID(verify(pool));
            const std::string epoch = epoch_path(pool, volume);
            if (disks_.files.contains(path)) disks_.apply(path, std::nullopt);
            disks_.sync(path);  // before the epoch file: a disk without it could be taken by any placement
            if (disks_.files.contains(epoch)) disks_.apply(epoch, std::nullopt);
            disks_.sync(epoch);
            return {};
        },
        std::move(done));
}

Result<> FakeStorage::do_claim(const PoolDocument& pool, const VolumeDocument& volume) {
    TRY_VOID(verify(pool));
    if (!pool.shared) return {};
    if (!disks_.files.contains(volume_path(pool, volume)))
        return fail(volume_absent(volume, volume_path(pool, volume)));
    const std::string path = epoch_path(pool, volume.id);
    const auto found = disks_.files.find(path);
    TRY(claimed,
        is_claimed(pool, volume, found == disks_.files.end() ? std::nullopt : std::optional(found->second.content)));
    if (claimed) return {};
    put(path, {.kind = FakeFileKind::epoch,
               .pool = pool.path,
               .owner = volume.id.str(),
               .content = epoch_file_text(volume.id, volume.epoch)});
    return {};
}

void FakeStorage::claim_volume(PoolDocument pool, VolumeDocument volume, Done done) {
    const std::string writes = pool.shared ? epoch_path(pool, volume.id) : "";
    perform<void>(
        "claim_volume", volume.id.str(), writes, [=, this] { return do_claim(pool, volume); }, std::move(done));
}

void FakeStorage::check_volume(PoolDocument pool, VolumeDocument volume, Done done) {
    perform<void>(
        "check_volume", volume.id.str(), "",
        [=, this]() -> Result<> {
            TRY_VOID(verify(pool));
            const auto found = disks_.files.find(volume_path(pool, volume));
            if (found == disks_.files.end()) return fail(volume_absent(volume, volume_path(pool, volume)));
            if (found->second.damaged) return fail(Code::corrupt, "volume {} is damaged", volume.id.str());
            found->second.leaked = false;
            return {};
        },
        std::move(done));
}

std::string FakeStorage::volume_path(const PoolDocument& pool, const VolumeDocument& volume) const {
    return axle::volume_path(pool, volume);
}

void FakeStorage::make_seed(VmDocument vm, Answer<std::string> answer) {
    const std::string path = "/seeds/" + vm.id.str() + ".iso";
    perform<std::string>(
        "make_seed", vm.id.str(), path,
        [=, this]() -> Result<std::string> {
            const FakeFile seed{.kind = FakeFileKind::seed, .owner = vm.id.str(), .content = to_json_text(vm.seed)};
            const auto found = disks_.files.find(path);
            if (found == disks_.files.end() || found->second.content != seed.content) put(path, seed);
            return path;
        },
        std::move(answer));
}

void FakeStorage::remove_guest_files(VmId vm, Done done) {
    const std::string path = "/seeds/" + vm.str() + ".iso";
    perform<void>(
        "remove_guest_files", vm.str(), path,
        [=, this]() -> Result<> {
            if (disks_.files.contains(path)) disks_.apply(path, std::nullopt);
            return {};
        },
        std::move(done));
}

void FakeStorage::sweep(std::vector<PoolDocument>, Done done) {
    perform<void>(
        "sweep", "", "",
        [this]() -> Result<> {
            std::erase_if(disks_.files, [](const auto& entry) { return entry.second.kind == FakeFileKind::temporary; });
            return {};
        },
        std::move(done));
}

}  // namespace axle
