// Pools, images and volumes as files of a directory: the work behind DirectoryStorage. Every call blocks: workers only.
// Promises are those of storage.hpp.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/storage/image_source.hpp"
#include "agent/storage/storage.hpp"

namespace axle {

struct FileOwner {
    unsigned uid = 0, gid = 0;
};
struct PoolSettings {
    std::string tag = "local";  // of our temporary names; unlike that of any host that shares a pool
    std::int64_t least_free = std::int64_t{64} << 20;  // bytes of a pool that new files leave free
    // QEMU's user: has volumes and seeds from their first instant on. Nobody else changes owners (domain_xml.cpp).
    std::optional<FileOwner> guests = std::nullopt;
    ImageFetcher fetch = {};  // of images that lie elsewhere
};

Result<PoolObservation> open_pool_directory(const PoolDocument& pool, bool known);
// The id file, before anything else is touched. Code::unavailable.
Result<> verify_pool(const PoolDocument& pool);
Result<> sweep_pool(const PoolDocument& pool, const std::string& tag);

Result<> fetch_image_file(const PoolDocument& pool, const ImageDocument& image, const PoolSettings& settings,
                          const std::function<void(std::int64_t)>& progress);
Result<> remove_image_file(const PoolDocument& pool, const std::string& digest);

Result<std::vector<VolumeFile>> list_volume_files(const PoolDocument& pool);
Result<VolumeObservation> observe_volume_file(const PoolDocument& pool, const VolumeDocument& volume);
Result<> create_volume_file(const PoolDocument& pool, const VolumeDocument& volume, const PoolSettings& settings);
Result<> destroy_volume_files(const PoolDocument& pool, VolumeId volume);
Result<> grow_volume_file(const PoolDocument& pool, const VolumeDocument& volume, const PoolSettings& settings);
Result<> check_volume_file(const PoolDocument& pool, const VolumeDocument& volume, const PoolSettings& settings = {});
Result<> claim_volume_file(const PoolDocument& pool, const VolumeDocument& volume, const PoolSettings& settings = {});
// Makes QEMU's user the owner, where it isn't.
Result<> give_to_guests(const std::string& path, const PoolSettings& settings);

}  // namespace axle
