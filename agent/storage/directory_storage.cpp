#include "agent/storage/directory_storage.hpp"

#include "agent/guest/guest_files.hpp"
#include "agent/guest/seed.hpp"
#include "agent/storage/paths.hpp"

namespace axle {
namespace {

// Whatever changes the names in a pool runs in one lane, in order: no image goes while an overlay on it is being made.
// What takes long has lanes of its own: a fetch holds up no create.
std::string lane_of(const PoolDocument& pool) {
    return "pool/" + pool.id.str();
}
std::string fetch_lane(const PoolDocument& pool) {
    return "fetch/" + pool.id.str();
}
std::string check_lane(const VolumeDocument& volume) {
    return "check/" + volume.id.str();
}
const std::string kSeedLane = "seeds";

}  // namespace

DirectoryStorage::DirectoryStorage(Executor& core, SubmitToLane submit, DirectoryStorageOptions options)
    : core_(core), submit_(std::move(submit)), options_(std::move(options)) {}

template <typename T>
void DirectoryStorage::perform(const std::string& lane, std::function<Result<T>()> work, Answer<T> answer) {
    auto shared = std::make_shared<Answer<T>>(std::move(answer));
    Executor& core = core_;
    const bool taken = submit_(lane, [&core, shared, work = std::move(work)] {
        auto result = std::make_shared<Result<T>>(work());
        core.post([shared, result] { (*shared)(std::move(*result)); });
    });
    if (taken) return;
    core_.post([shared] {
        (*shared)(
            fail(error(Code::exhausted, "too much work for the disks waits already").with_hint("try again later")));
    });
}

void DirectoryStorage::open_pool(PoolDocument pool, bool known, Answer<PoolObservation> answer) {
    perform<PoolObservation>(
        lane_of(pool), [=] { return open_pool_directory(pool, known); }, std::move(answer));
}

void DirectoryStorage::list_volumes(PoolDocument pool, Answer<std::vector<VolumeFile>> answer) {
    perform<std::vector<VolumeFile>>(
        lane_of(pool),
        [=]() -> Result<std::vector<VolumeFile>> {
            TRY_VOID(verify_pool(pool));
            return list_volume_files(pool);
        },
        std::move(answer));
}

void DirectoryStorage::fetch_image(PoolDocument pool, ImageDocument image, std::function<void(std::int64_t)> progress,
                                   Done done) {
    Executor& core = core_;
    const auto tell = [&core, progress](std::int64_t bytes) {
        if (progress) core.post([progress, bytes] { progress(bytes); });
    };
    perform<void>(
        fetch_lane(pool), [=, settings = options_.pool] { return fetch_image_file(pool, image, settings, tell); },
        std::move(done));
}

void DirectoryStorage::remove_image(PoolDocument pool, std::string digest, Done done) {
    perform<void>(
        lane_of(pool), [=] { return remove_image_file(pool, digest); }, std::move(done));
}

void DirectoryStorage::observe_volume(PoolDocument pool, VolumeDocument volume, Answer<VolumeObservation> answer) {
    perform<VolumeObservation>(
        lane_of(pool), [=] { return observe_volume_file(pool, volume); }, std::move(answer));
}

void DirectoryStorage::create_volume(PoolDocument pool, VolumeDocument volume, Done done) {
    perform<void>(
        lane_of(pool), [=, settings = options_.pool] { return create_volume_file(pool, volume, settings); },
        std::move(done));
}

void DirectoryStorage::grow_volume(PoolDocument pool, VolumeDocument volume, Done done) {
    perform<void>(
        check_lane(volume), [=, settings = options_.pool] { return grow_volume_file(pool, volume, settings); },
        std::move(done));
}

void DirectoryStorage::destroy_volume(PoolDocument pool, VolumeId volume, Done done) {
    perform<void>(
        lane_of(pool), [=] { return destroy_volume_files(pool, volume); }, std::move(done));
}

void DirectoryStorage::check_volume(PoolDocument pool, VolumeDocument volume, Done done) {
    perform<void>(
        check_lane(volume), [=, settings = options_.pool] { return check_volume_file(pool, volume, settings); },
        std::move(done));
}

void DirectoryStorage::claim_volume(PoolDocument pool, VolumeDocument volume, Done done) {
    perform<void>(
        lane_of(pool), [=, settings = options_.pool] { return claim_volume_file(pool, volume, settings); },
        std::move(done));
}

std::string DirectoryStorage::volume_path(const PoolDocument& pool, const VolumeDocument& volume) const {
    return axle::volume_path(pool, volume);
}

void DirectoryStorage::make_seed(VmDocument vm, Answer<std::string> answer) {
    perform<std::string>(
        kSeedLane,
        [vm = std::move(vm), directory = options_.seeds_directory, settings = options_.pool]() -> Result<std::string> {
            TRY(path, make_seed_file(directory, vm, settings.tag));
            TRY_VOID(give_to_guests(path, settings));
            return path;
        },
        std::move(answer));
}

void DirectoryStorage::remove_guest_files(VmId vm, Done done) {
    perform<void>(
        kSeedLane,
        [vm, seeds = options_.seeds_directory, files = options_.guest_files]() -> Result<> {
            if (files)
                for (const std::string& path : files(vm)) TRY_VOID(remove_with_rotated(path));
            return remove_seed_file(seeds, vm);
        },
        std::move(done));
}

void DirectoryStorage::sweep(std::vector<PoolDocument> pools, Done done) {
    perform<void>(
        kSeedLane,
        [pools = std::move(pools), directory = options_.seeds_directory, tag = options_.pool.tag]() -> Result<> {
            Result<> swept = sweep_seeds(directory, tag);
            for (const auto& pool : pools)
                if (auto one = sweep_pool(pool, tag); !one && swept) swept = std::move(one);
            return swept;
        },
        std::move(done));
}

}  // namespace axle
