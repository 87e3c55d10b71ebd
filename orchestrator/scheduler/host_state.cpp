#include <algorithm>

#include "orchestrator/scheduler/scheduler.hpp"

namespace axle {
namespace {

bool has_more_space(const HostState& before, const HostState& now) {
    return std::ranges::any_of(now.pools, [&](const auto& entry) {
        const auto was = before.pools.find(entry.first);
        return was == before.pools.end() || entry.second.free > was->second.free ||
               entry.second.claimed < was->second.claimed;
    });
}

}  // namespace

bool may_take_more(const HostState& before, const HostState& now) {
    if (now.cpus_claimed < before.cpus_claimed || now.memory_claimed < before.memory_claimed ||
        has_more_space(before, now))
        return true;
    HostState as_full = now;
    as_full.cpus_claimed = before.cpus_claimed;
    as_full.memory_claimed = before.memory_claimed;
    as_full.images = before.images;
    for (auto& [id, pool] : as_full.pools) {
        pool.free = before.pools.at(id).free;
        pool.claimed = before.pools.at(id).claimed;
    }
    return !(as_full == before);
}

}  // namespace axle
