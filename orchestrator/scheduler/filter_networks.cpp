// A bridged network needs its bridge on the host; a nat network can be made anywhere. Features: what the agent must
// know.
#include <algorithm>

#include "orchestrator/scheduler/scheduler.hpp"

namespace axle {

std::optional<std::string> reject_networks(const VmRequest& request, const HostState& host) {
    for (const std::string& bridge : request.bridges) {
        if (std::ranges::find(host.bridges, bridge) == host.bridges.end())
            return fmt::format("has no bridge {}; it has {}", bridge,
                               host.bridges.empty() ? "none" : fmt::format("{}", fmt::join(host.bridges, ", ")));
    }
    return std::nullopt;
}

std::optional<std::string> reject_features(const VmRequest& request, const HostState& host) {
    for (const std::string& feature : request.features) {
        if (std::ranges::find(host.features, feature) == host.features.end())
            return fmt::format("its agent does not know {}: upgrade it", feature);
    }
    return std::nullopt;
}

}  // namespace axle
