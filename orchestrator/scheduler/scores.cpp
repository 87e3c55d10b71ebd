// What makes one host better than another: room left after the VM is there, and the image at hand.
#include <algorithm>

#include "orchestrator/scheduler/scheduler.hpp"

namespace axle {
namespace {

double share(std::int64_t left, std::int64_t whole) {
    return whole <= 0 ? 0 : std::clamp(static_cast<double>(left) / static_cast<double>(whole), 0.0, 1.0);
}

}  // namespace

std::optional<double> score_free_memory(const VmRequest& request, const HostState& host) {
    return share(host.memory_allocatable - host.memory_claimed - request.memory, host.memory_allocatable);
}

std::optional<double> score_free_cpus(const VmRequest& request, const HostState& host) {
    return share(host.cpus_allocatable - host.cpus_claimed - request.cpus, host.cpus_allocatable);
}

std::optional<double> score_free_space(const VmRequest& request, const HostState& host) {
    double least = 1;
    for (const VolumeRequest& volume : request.volumes) {
        const auto pool = host.pools.find(volume.pool);
        if (pool != host.pools.end()) least = std::min(least, share(pool->second.free, pool->second.size));
    }
    return least;
}

std::optional<double> score_image_at_hand(const VmRequest& request, const HostState& host) {
    std::size_t wanted = 0, there = 0;
    for (const VolumeRequest& volume : request.volumes) {
        if (volume.image_digest.empty()) continue;
        ++wanted;
        if (std::ranges::find(host.images, volume.image_digest) != host.images.end()) ++there;
    }
    if (wanted == 0) return std::nullopt;
    return static_cast<double>(there) / static_cast<double>(wanted);
}

}  // namespace axle
