#include "agent/storage/pool_directory.hpp"

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/storage/paths.hpp"
#include "common/base/ensure.hpp"
#include "common/base/mount.hpp"
#include "common/base/new_file.hpp"
#include "common/base/units.hpp"
#include "common/model/codec.hpp"

namespace axle {

// Content of a pool's id file.
struct PoolIdFile {
    std::int64_t v = 1;
    std::string cluster;
    PoolId pool;
    std::string name;  // for people
};
template <class V>
void describe(PoolIdFile& v, V&& field) {
    field("v", v.v, {});
    field("cluster", v.cluster, {});
    field("pool", v.pool, {});
    field("name", v.name, {});
}

namespace {

constexpr unsigned kTraversable = 0711;  // QEMU runs as a user of its own and opens files in it by name

Result<> lay_out(const PoolDocument& pool) {
    TRY_VOID(make_directories(pool.path, kTraversable));
    TRY_VOID(make_directories(images_directory(pool), kTraversable));
    return make_directories(volumes_directory(pool), kTraversable);
}

Result<> claim(const PoolDocument& pool) {
    TRY(volumes, list_volume_files(pool));
    if (!volumes.empty())
        return fail(error(Code::unavailable, "pool {}: {} has {} volumes, and no id file axle-pool.json", pool.name,
                          pool.path, volumes.size())
                        .with_hint("bring the id file back, or move the volumes away"));
    TRY_VOID(lay_out(pool));
    KILL_POINT("pool.laid-out");
    return write_file_durably(
        pool_id_path(pool),
        to_json_text(PoolIdFile{.cluster = pool.cluster, .pool = pool.id, .name = pool.name}) + "\n", 0644);
}

std::string real_path(const std::string& path) {
    const std::unique_ptr<char, void (*)(void*)> real(::realpath(path.c_str(), nullptr), std::free);
    return real ? real.get() : path;
}

Result<> observe(const PoolDocument& pool, PoolObservation& seen) {
    struct statvfs fs {};
    if (::statvfs(pool.path.c_str(), &fs) != 0) return fail(system_error("measure " + pool.path, errno));
    seen.size = static_cast<std::int64_t>(fs.f_blocks) * static_cast<std::int64_t>(fs.f_frsize);
    seen.free = static_cast<std::int64_t>(fs.f_bavail) * static_cast<std::int64_t>(fs.f_frsize);
    TRY(mounts, read_file("/proc/self/mountinfo"));
    const std::string path = real_path(pool.path);
    const Mount mount = find_mount(mounts, path).value_or(Mount{});
    const auto keeps_synced = judge_mount(mount, path);
    seen.durable_why = keeps_synced ? keeps_synced->value_or("") : keeps_synced.error().message;
    seen.durable = seen.durable_why.empty();
    if ((fs.f_flag & ST_RDONLY) != 0)
        return fail(error(Code::unavailable, "pool {}: {} is mounted read-only", pool.name, pool.path)
                        .with_hint("see the kernel's log for errors of the disk; mount it read-write"));
    if (!pool.shared && mount.on_network())
        return fail(error(Code::unavailable, "pool {}: {} lies on {}, a network file system, and isn't declared shared",
                          pool.name, pool.path, mount.type)
                        .with_hint("declare the pool shared: other hosts may have the same files"));
    return {};
}

// What decides first whether anything may be written at all: nothing is made on what we would refuse.
std::string existing_ancestor(std::string path) {
    while (!file_exists(path) && path != "/") path = parent_of(path);
    return path;
}

Result<> open_or_claim(const PoolDocument& pool, bool known, PoolObservation& seen) {
    if (!pool.path.starts_with('/'))
        return fail(Code::unavailable, "pool {}: \"{}\" is no absolute path", pool.name, pool.path);
    if (!file_exists(pool_id_path(pool))) {
        if (known) return fail(pool_missing(pool));
        PoolObservation before;
        PoolDocument there = pool;
        there.path = existing_ancestor(pool.path);
        TRY_VOID(observe(there, before));
        TRY_VOID(claim(pool));
    }
    TRY_VOID(verify_pool(pool));
    TRY_VOID(lay_out(pool));
    return observe(pool, seen);
}

Result<> sweep_directory(const std::string& directory, const std::string& tag) {
    TRY(names, list_directory(directory));
    for (const auto& name : names)
        if (NewFile::is_temporary(name, tag)) TRY_VOID(remove_file_durably(directory + "/" + name));
    return {};
}

}  // namespace

Result<PoolObservation> open_pool_directory(const PoolDocument& pool, bool known) {
    PoolObservation seen;
    const auto opened = open_or_claim(pool, known, seen);
    seen.usable = opened.has_value();
    if (!opened) {
        seen.why = opened.error().message;
        if (!opened.error().hint.empty()) seen.why += "; " + opened.error().hint;
    }
    return seen;
}

Result<> verify_pool(const PoolDocument& pool) {
    const auto text = read_file(pool_id_path(pool), 64 << 10);
    if (!text && text.error().code == Code::not_found) return fail(pool_missing(pool));
    if (!text) return fail(error(Code::unavailable, "pool {}: {}", pool.name, text.error().message));
    const auto file = from_json_text<PoolIdFile>(*text);
    if (!file)
        return fail(error(Code::unavailable, "pool {}: its id file {} can't be read: {}", pool.name, pool_id_path(pool),
                          file.error().message)
                        .with_hint("bring it back from a backup"));
    if (file->pool != pool.id || file->cluster != pool.cluster)
        return fail(pool_foreign(pool, file->cluster, file->pool.str()));
    return {};
}

Result<> sweep_pool(const PoolDocument& pool, const std::string& tag) {
    if (!verify_pool(pool)) return {};  // not there, or not ours: nothing of it is touched
    TRY_VOID(remove_file_durably(pool_id_path(pool) + ".new"));
    TRY_VOID(sweep_directory(images_directory(pool), tag));
    return sweep_directory(volumes_directory(pool), tag);
}

}  // namespace axle
