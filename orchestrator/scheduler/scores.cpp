// What makes one host better than another: room left after the VM is there, and the image at hand.
//
// An image at hand counts by what its copy would cost: all that it weighs for one of kDearCopy and more, next to
// nothing for a small one, so that load decides where the copy is cheap (as ImageLocality of Kubernetes).
#include <algorithm>

#include "common/base/units.hpp"
#include "orchestrator/scheduler/scheduler.hpp"

namespace axle {
namespace {

constexpr std::int64_t kDearCopy = 10 * kGiB;

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
    bool wants_any = false;
    std::map<std::string_view, std::int64_t> there;  // each is fetched once, for however many disks
    for (const VolumeRequest& volume : request.volumes) {
        if (volume.image_digest.empty()) continue;
        wants_any = true;
        if (std::ranges::find(host.images, volume.image_digest) != host.images.end())
            there[volume.image_digest] = volume.image_size;
    }
    if (!wants_any) return std::nullopt;
    std::int64_t saved = 0;
    for (const auto& [digest, size] : there) saved += size;
    return share(saved, kDearCopy);
}

}  // namespace axle
