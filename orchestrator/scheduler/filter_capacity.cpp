// CPUs and memory: what is claimed by records and what is allocatable after overcommit and reserve.
#include "common/base/counted.hpp"
#include "common/base/units.hpp"
#include "orchestrator/scheduler/scheduler.hpp"

namespace axle {

std::optional<std::string> reject_cpus(const VmRequest& request, const HostState& host) {
    const std::int64_t free = host.cpus_allocatable - host.cpus_claimed;
    if (request.cpus <= free) return std::nullopt;
    return fmt::format("needs {}, {} of {} allocatable are free", counted(request.cpus, "CPU"),
                       std::max<std::int64_t>(free, 0), host.cpus_allocatable);
}

std::optional<std::string> reject_memory(const VmRequest& request, const HostState& host) {
    const std::int64_t free = host.memory_allocatable - host.memory_claimed;
    if (request.memory <= free) return std::nullopt;
    return fmt::format("needs {} of memory, {} of {} allocatable are free", format_bytes(request.memory),
                       format_bytes(std::max<std::int64_t>(free, 0)), format_bytes(host.memory_allocatable));
}

}  // namespace axle
