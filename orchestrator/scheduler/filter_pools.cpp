// Every volume's pool is on the host, ready, and has room; a volume that has a file already pins the VM to its host.
#include "common/base/units.hpp"
#include "orchestrator/scheduler/scheduler.hpp"

namespace axle {
namespace {

std::optional<std::string> reject_pool(const HostPool& pool, std::int64_t wanted, std::int64_t copied,
                                       const HostState& host) {
    if (!pool.ready) return fmt::format("pool {} is not ready there: {}", pool.name, pool.why);
    if (wanted == 0) return std::nullopt;
    const auto allocatable = static_cast<std::int64_t>(static_cast<double>(pool.size) * host.disk_overcommit);
    if (pool.claimed + wanted > allocatable)
        return fmt::format("needs {} in pool {}, {} of {} allocatable are claimed", format_bytes(wanted), pool.name,
                           format_bytes(pool.claimed), format_bytes(allocatable));
    if (copied > 0 && pool.free < host.disk_reserve + copied)
        return fmt::format("{} are to be copied into pool {}, it has {} free on disk, of which {} are the reserve",
                           format_bytes(copied), pool.name, format_bytes(pool.free), format_bytes(host.disk_reserve));
    if (pool.free < host.disk_reserve)
        return fmt::format("pool {} has {} free on disk, the reserve is {}", pool.name, format_bytes(pool.free),
                           format_bytes(host.disk_reserve));
    return std::nullopt;
}

}  // namespace

std::optional<std::string> reject_pools(const VmRequest& request, const HostState& host) {
    std::map<PoolId, std::int64_t> wanted, copied;
    for (const VolumeRequest& volume : request.volumes) {
        if (volume.pinned && volume.pinned != host.id)
            return fmt::format("a disk of the VM lies on host {}", volume.pinned_name);
        if (!host.pools.contains(volume.pool)) return fmt::format("has no pool {}", volume.pool_name);
        wanted[volume.pool] += volume.pinned ? 0 : volume.size;
        copied[volume.pool] += volume.copied;
    }
    for (const auto& [id, bytes] : wanted) {
        if (auto why = reject_pool(host.pools.at(id), bytes, copied[id], host)) return why;
    }
    return std::nullopt;
}

}  // namespace axle
