// What lies where in a pool, and the sentences that real and fake storage share. Pure; any thread.
//
//   <pool>/axle-pool.json            whose pool this is: {"cluster": ..., "pool": ...}
//   <pool>/images/<digest>.qcow2     0444, content-addressed, never changed
//   <pool>/images/<digest>.partial   what has come of one that is being fetched; gone on with
//   <pool>/volumes/<id>.qcow2|.raw   a volume
//   <pool>/volumes/<id>.epoch        where the pool is shared: the placement that has it (epoch_file.hpp)
//   <any of these>.<tag>.new         being made by the agent with this tag; swept at its start
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "agent/storage/storage.hpp"
#include "common/base/result.hpp"

namespace axle {

std::string pool_id_path(const PoolDocument& pool);
std::string images_directory(const PoolDocument& pool);
std::string volumes_directory(const PoolDocument& pool);
std::string image_path(const PoolDocument& pool, const std::string& digest);
std::string partial_path(const PoolDocument& pool, const std::string& digest);
std::string volume_path(const PoolDocument& pool, const VolumeDocument& volume);

bool is_digest(std::string_view text);  // 64 lower-case hexadecimal digits
// "<id>.qcow2" or "<id>.raw"; nothing else is a volume.
std::optional<VolumeFile> volume_of_file_name(std::string_view name);

// Sizes and digests that no document may have.
Result<> check_document(const VolumeDocument& volume);

Error pool_missing(const PoolDocument& pool);
Error pool_foreign(const PoolDocument& pool, const std::string& cluster, const std::string& id);
Error volume_differs(const VolumeDocument& wanted, std::int64_t size, const std::string& image_digest);
Error volume_lost(const VolumeDocument& volume, const std::string& path);
Error volume_open(const VolumeDocument& volume, const std::string& how);
Error volume_absent(const VolumeDocument& volume, const std::string& path);
Error volume_too_small(const VolumeDocument& volume, std::int64_t image_size);
Error image_missing(const PoolDocument& pool, const VolumeDocument& volume);
Error no_space(const PoolDocument& pool, std::int64_t need, std::int64_t free, std::int64_t stays_free = 0);

}  // namespace axle
