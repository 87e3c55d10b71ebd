// What a host has to give after reserve, overcommit and what isn't ours. Pure.
#pragma once
#include "common/model/fleet.hpp"

namespace axle {

struct Capacity {
    std::int64_t cpus = 0;
    std::int64_t memory = 0;  // bytes
};

inline Capacity allocatable_of(const Host& host) {
    const HostFacts& facts = host.status.facts;
    const auto memory = static_cast<double>(facts.memory - facts.foreign_memory - host.spec.memory_reserve);
    return {.cpus = static_cast<std::int64_t>(static_cast<double>(facts.cpus) * host.spec.cpu_overcommit) -
                    facts.foreign_cpus,
            .memory = static_cast<std::int64_t>(memory * host.spec.memory_overcommit)};
}

}  // namespace axle
