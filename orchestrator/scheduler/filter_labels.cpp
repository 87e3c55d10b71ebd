// The host has every label that the VM's hostSelector asks for.
#include "orchestrator/scheduler/scheduler.hpp"

namespace axle {

std::optional<std::string> reject_labels(const VmRequest& request, const HostState& host) {
    for (const auto& [key, wanted] : request.host_selector) {
        const auto label = host.labels.find(key);
        if (label == host.labels.end()) return fmt::format("has no label {}, {}={} is wanted", key, key, wanted);
        if (label->second != wanted)
            return fmt::format("has label {}={}, {}={} is wanted", key, label->second, key, wanted);
    }
    return std::nullopt;
}

}  // namespace axle
