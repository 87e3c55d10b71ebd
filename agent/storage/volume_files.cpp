// Volumes: qcow2 files written in process, raw files, and the check before a start.
#include <algorithm>
#include <cerrno>
#include <sys/stat.h>

#include "agent/storage/epoch_file.hpp"
#include "agent/storage/paths.hpp"
#include "agent/storage/pool_directory.hpp"
#include "common/base/ensure.hpp"
#include "common/base/file.hpp"
#include "common/base/log.hpp"
#include "common/base/new_file.hpp"
#include "common/base/process.hpp"
#include "common/base/space.hpp"
#include "common/disk/qcow2.hpp"
#include "common/disk/qcow2_overlay.hpp"

namespace axle {
namespace {

constexpr milliseconds kCheckLimit{30 * 60'000};

// As the header names the image: relative to the volume, so that a pool can be mounted elsewhere.
std::string backing_name(const std::string& digest) {
    return digest.empty() ? "" : "../images/" + digest + ".qcow2";
}

std::string digest_of_backing(const std::string& backing_file) {
    std::string_view name = backing_file;
    name.remove_prefix(std::min(name.size(), name.rfind('/') + 1));
    if (!name.ends_with(".qcow2")) return backing_file;
    name.remove_suffix(6);
    return is_digest(name) ? std::string(name) : backing_file;
}

Qcow2Plan plan_of(const VolumeDocument& volume) {
    return {.size = volume.size, .backing_file = backing_name(volume.image_digest)};
}

VolumeDocument other_format(VolumeDocument volume) {
    volume.format = volume.format == DiskFormat::raw ? DiskFormat::qcow2 : DiskFormat::raw;
    return volume;
}

Error damaged(const VolumeDocument& volume, const std::string& path, const std::string& how) {
    return error(Code::corrupt, "volume {}: {}: {}", volume.name, path, how)
        .with_hint("its VM isn't started; copy the file before you try qemu-img check -r all on it");
}

Result<> fits(const PoolDocument& pool, const VolumeDocument& volume, const PoolSettings& settings) {
    const std::int64_t need = volume.format == DiskFormat::raw ? volume.size : 0;
    TRY(free, free_bytes(pool.path));
    if (free < need + settings.least_free) return fail(no_space(pool, need, free, settings.least_free));
    return {};
}

Result<> image_fits(const PoolDocument& pool, const VolumeDocument& volume) {
    if (volume.image_digest.empty()) return {};
    const auto header = read_qcow2(image_path(pool, volume.image_digest));
    if (!header && header.error().code == Code::not_found) return fail(image_missing(pool, volume));
    if (!header) return fail(damaged(volume, image_path(pool, volume.image_digest), header.error().message));
    const auto size = static_cast<std::int64_t>(header->size);
    if (size > volume.size) return fail(volume_too_small(volume, size));
    return {};
}

Result<> compare(const PoolDocument& pool, const VolumeDocument& volume, const VolumeObservation& there) {
    if (there.size != volume.size || there.image_digest != volume.image_digest)
        return fail(volume_differs(volume, there.size, there.image_digest));
    return sync_directory(volumes_directory(pool));  // it may have got its name just before a crash
}

Result<> make(const PoolDocument& pool, const VolumeDocument& volume, const PoolSettings& settings) {
    TRY(file, NewFile::create(volume_path(pool, volume), settings.tag));
    TRY_VOID(volume.format == DiskFormat::raw ? file.allocate(volume.size) : write_qcow2(file, plan_of(volume)));
    TRY_VOID(give_to_guests(file.temporary(), settings));
    return file.publish();
}

Result<> run_check(const VolumeDocument& volume, const std::string& path) {
    const ProcessSpec spec{.program = "qemu-img",
                           .arguments = {"check", "-q", "-f", "qcow2", "-r", "leaks", path},
                           .time_limit = kCheckLimit};
    TRY(result, run_process(spec));
    if (result.ok()) return {};
    const std::string words = describe_end(spec, result);
    if (words.find("lock") != std::string::npos) return fail(volume_open(volume, words));
    // 1: the check did not get through; 3: leaks that could not be mended, which cost room and no data.
    if (result.exit_status == 3) {
        log::warning(fmt::format("volume {}: leaked clusters stay: {}", volume.name, words));
        return {};
    }
    return fail(damaged(volume, path, words));
}

// Also of raw files by qemu-img: its lock keeps it off a file that a guest has open.
Result<> run_resize(const VolumeDocument& volume, const std::string& path) {
    const bool raw = volume.format == DiskFormat::raw;
    std::vector<std::string> arguments = {"resize", "-q", "-f", text_of(volume.format)};
    if (raw) arguments.emplace_back("--preallocation=falloc");
    arguments.insert(arguments.end(), {path, std::to_string(volume.size)});
    const ProcessSpec spec{.program = "qemu-img", .arguments = std::move(arguments), .time_limit = kCheckLimit};
    TRY(result, run_process(spec));
    if (result.ok()) return sync_file(path);  // qemu-img does not
    const std::string words = describe_end(spec, result);
    if (words.find("lock") != std::string::npos) return fail(volume_open(volume, words));
    return fail(Code::internal, "volume {} could not be made larger: {}", volume.name, words);
}

}  // namespace

Result<> give_to_guests(const std::string& path, const PoolSettings& settings) {
    if (!settings.guests) return {};
    struct stat st {};
    if (::stat(path.c_str(), &st) != 0) return fail(system_error("look at " + path, errno));
    if (st.st_uid == settings.guests->uid && st.st_gid == settings.guests->gid) return {};
    if (::chown(path.c_str(), settings.guests->uid, settings.guests->gid) == 0) return {};
    return fail(std::move(system_error("give " + path + " to QEMU's user", errno))
                    .with_hint("without that no guest can open it; is it on a file system that knows owners?"));
}

Result<std::vector<VolumeFile>> list_volume_files(const PoolDocument& pool) {
    TRY(names, list_directory(volumes_directory(pool)));
    std::vector<VolumeFile> files;
    for (const auto& name : names) {
        const auto file = volume_of_file_name(name);
        if (file && (files.empty() || files.back().id != file->id)) files.push_back(*file);
    }
    return files;
}

Result<VolumeObservation> observe_volume_file(const PoolDocument& pool, const VolumeDocument& volume) {
    TRY_VOID(verify_pool(pool));
    const std::string path = volume_path(pool, volume);
    struct stat st {};
    if (::stat(path.c_str(), &st) != 0) {
        if (errno == ENOENT) return VolumeObservation{};
        return fail(system_error("look at " + path, errno));
    }
    VolumeObservation seen{.exists = true, .size = st.st_size, .allocated = st.st_blocks * 512};
    if (volume.format == DiskFormat::raw) return seen;
    const auto header = read_qcow2(path);
    if (!header) return fail(damaged(volume, path, header.error().message));
    seen.size = static_cast<std::int64_t>(header->size);
    seen.image_digest = digest_of_backing(header->backing_file);
    return seen;
}

Result<> create_volume_file(const PoolDocument& pool, const VolumeDocument& volume, const PoolSettings& settings) {
    TRY_VOID(check_document(volume));
    TRY(there, observe_volume_file(pool, volume));
    if (there.exists) return compare(pool, volume, there);
    const std::string other = volume_path(pool, other_format(volume));
    if (file_exists(other))
        return fail(Code::conflict, "volume {} is there in the other format, as {}", volume.name, other);
    if (volume.made) return fail(volume_lost(volume, volume_path(pool, volume)));
    TRY_VOID(image_fits(pool, volume));
    TRY_VOID(fits(pool, volume, settings));
    return make(pool, volume, settings);
}

Result<> grow_volume_file(const PoolDocument& pool, const VolumeDocument& volume, const PoolSettings& settings) {
    TRY_VOID(check_document(volume));
    TRY(there, observe_volume_file(pool, volume));
    if (!there.exists) return fail(volume_absent(volume, volume_path(pool, volume)));
    if (there.size >= volume.size) return {};
    const std::int64_t need = volume.format == DiskFormat::raw ? volume.size - there.size : 0;
    TRY(free, free_bytes(pool.path));
    if (free < need + settings.least_free) return fail(no_space(pool, need, free, settings.least_free));
    return run_resize(volume, volume_path(pool, volume));
}

Result<> destroy_volume_files(const PoolDocument& pool, VolumeId id) {
    TRY_VOID(verify_pool(pool));
    const VolumeDocument volume{.id = id};
    TRY_VOID(remove_file_durably(volume_path(pool, volume)));
    TRY_VOID(remove_file_durably(volume_path(pool, other_format(volume))));
    KILL_POINT("volume.destroyed");
    // Last: a disk without it could be taken by any placement. What a crash leaves here goes with the next try, which
    // is certain to come: the destroy is durable until it is answered.
    return remove_file_durably(epoch_path(pool, id));
}

Result<> check_volume_file(const PoolDocument& pool, const VolumeDocument& volume, const PoolSettings& settings) {
    TRY_VOID(verify_pool(pool));
    const std::string path = volume_path(pool, volume);
    if (!file_exists(path)) return fail(volume_absent(volume, path));
    TRY_VOID(give_to_guests(path, settings));
    if (volume.format == DiskFormat::raw) return {};
    const auto header = read_qcow2(path);
    if (!header) return fail(damaged(volume, path, header.error().message));
    // What QEMU is about to open is decided by us, not by what stands in the file.
    if (header->backing_file != backing_name(volume.image_digest) || header->has_data_file())
        return fail(damaged(volume, path,
                            fmt::format("it refers to \"{:.100}{:.100}\", not to \"{}\"", header->backing_file,
                                        header->data_file, backing_name(volume.image_digest))));
    TRY(untouched, is_untouched_qcow2(path, plan_of(volume)));
    return untouched ? Result<>{} : run_check(volume, path);
}

Result<> claim_volume_file(const PoolDocument& pool, const VolumeDocument& volume, const PoolSettings& settings) {
    TRY_VOID(verify_pool(pool));
    if (!pool.shared) return {};
    if (!file_exists(volume_path(pool, volume))) return fail(volume_absent(volume, volume_path(pool, volume)));
    const std::string path = epoch_path(pool, volume.id);
    const auto read = read_file(path, kEpochFileMax);
    if (!read && read.error().code != Code::not_found)
        return fail(epoch_file_unreadable(pool, volume, read.error().message));
    TRY(claimed, is_claimed(pool, volume, read ? std::optional(*read) : std::nullopt));
    if (claimed) return sync_directory(volumes_directory(pool));  // it may have got its name just before a crash
    TRY(file, NewFile::create(path, settings.tag, 0644));
    TRY_VOID(file.write(epoch_file_text(volume.id, volume.epoch)));
    // Where there was none, one that another host has made meanwhile is not written over: the next try reads it.
    auto named = read ? file.replace() : file.publish();
    if (!named && named.error().code == Code::conflict)
        return fail(Code::unavailable, "volume {}: another host takes it just now: {}", volume.name,
                    named.error().message);
    TRY_VOID(std::move(named));
    KILL_POINT("epoch.claimed");
    return {};
}

}  // namespace axle
