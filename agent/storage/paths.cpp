#include "agent/storage/paths.hpp"

#include <algorithm>

#include "common/base/units.hpp"

namespace axle {

std::string pool_id_path(const PoolDocument& pool) {
    return pool.path + "/axle-pool.json";
}
std::string images_directory(const PoolDocument& pool) {
    return pool.path + "/images";
}
std::string volumes_directory(const PoolDocument& pool) {
    return pool.path + "/volumes";
}
std::string image_path(const PoolDocument& pool, const std::string& digest) {
    return images_directory(pool) + "/" + digest + ".qcow2";
}
std::string partial_path(const PoolDocument& pool, const std::string& digest) {
    return images_directory(pool) + "/" + digest + ".partial";
}
std::string volume_path(const PoolDocument& pool, const VolumeDocument& volume) {
    return fmt::format("{}/{}.{}", volumes_directory(pool), volume.id.str(),
                       volume.format == DiskFormat::raw ? "raw" : "qcow2");
}

bool is_digest(std::string_view text) {
    return text.size() == 64 &&
           std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::optional<VolumeFile> volume_of_file_name(std::string_view name) {
    const auto dot = name.find('.');
    if (dot == std::string_view::npos) return std::nullopt;
    const auto suffix = name.substr(dot);
    if (suffix != ".qcow2" && suffix != ".raw") return std::nullopt;
    const auto id = Uuid::parse(name.substr(0, dot));
    if (!id || id->str() != name.substr(0, dot)) return std::nullopt;
    return VolumeFile{VolumeId(*id), suffix == ".raw" ? DiskFormat::raw : DiskFormat::qcow2};
}

Result<> check_document(const VolumeDocument& volume) {
    if (volume.size <= 0 || volume.size % 512 != 0 || volume.size > 64 * kTiB)
        return fail(error(Code::invalid, "volume {} has a size of {} bytes", volume.name, volume.size)
                        .with_hint("take a multiple of 512 bytes between 512 bytes and 64 TiB"));
    if (!volume.image_digest.empty() && !is_digest(volume.image_digest))
        return fail(Code::invalid, "volume {}: \"{}\" is no sha256 digest of an image", volume.name,
                    volume.image_digest);
    if (!volume.image_digest.empty() && volume.format == DiskFormat::raw)
        return fail(error(Code::invalid, "volume {} is raw, and starts from an image", volume.name)
                        .with_hint("a raw volume starts blank; take qcow2 for one that starts from an image"));
    return {};
}

Error pool_missing(const PoolDocument& pool) {
    return error(Code::unavailable, "pool {}: {} has no id file axle-pool.json", pool.name, pool.path)
        .with_hint(fmt::format("mount the disk that holds the pool at {}", pool.path));
}
Error pool_foreign(const PoolDocument& pool, const std::string& cluster, const std::string& id) {
    return error(Code::unavailable, "pool {}: {} belongs to pool {} of cluster {}, not to {} of {}", pool.name,
                 pool.path, id, cluster, pool.id.str(), pool.cluster)
        .with_hint("give the pool a directory of its own, or mount the right disk there");
}
Error volume_differs(const VolumeDocument& wanted, std::int64_t size, const std::string& image_digest) {
    const auto image = [](const std::string& digest) { return digest.empty() ? "no image" : "image " + digest; };
    return error(Code::conflict, "volume {} is there with {} bytes on {}, not with {} bytes on {}", wanted.name, size,
                 image(image_digest), wanted.size, image(wanted.image_digest));
}
Error volume_lost(const VolumeDocument& volume, const std::string& path) {
    return error(Code::conflict, "volume {} was made, and {} is missing; it isn't made anew", volume.name, path)
        .with_hint("bring the file back, or delete the volume")
        .with_reason("lost");
}
Error volume_open(const VolumeDocument& volume, const std::string& how) {
    return error(Code::busy, "volume {} is open in another process: {}", volume.name, how);
}
Error volume_absent(const VolumeDocument& volume, const std::string& path) {
    return error(Code::not_found, "volume {}: there is no {}", volume.name, path);
}
Error volume_too_small(const VolumeDocument& volume, std::int64_t image_size) {
    return error(Code::invalid, "volume {} has {}, and its image's disk {}", volume.name, format_bytes(volume.size),
                 format_bytes(image_size))
        .with_hint("make the volume at least as large as the image's disk");
}
Error image_missing(const PoolDocument& pool, const VolumeDocument& volume) {
    return error(Code::not_found, "volume {}: image {} is not in pool {}", volume.name, volume.image_digest, pool.name);
}
Error no_space(const PoolDocument& pool, std::int64_t need, std::int64_t free, std::int64_t stays_free) {
    return error(Code::no_space, "pool {} has {} free, {} are needed{}", pool.name, format_bytes(free),
                 format_bytes(need), stays_free == 0 ? "" : fmt::format(" and {} stay free", format_bytes(stays_free)))
        .with_hint(fmt::format("free space in {}, or take another pool", pool.path));
}

}  // namespace axle
