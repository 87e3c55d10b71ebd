// A host takes VMs when its agent is connected, it is ready and nobody has cordoned it.
#include "orchestrator/scheduler/scheduler.hpp"

namespace axle {

std::optional<std::string> reject_state(const VmRequest&, const HostState& host) {
    if (!host.connected) return "its agent is not connected";
    if (!host.ready) return host.not_ready_why;
    if (host.unschedulable) return fmt::format("it is cordoned (axle host uncordon {})", host.name);
    return std::nullopt;
}

}  // namespace axle
