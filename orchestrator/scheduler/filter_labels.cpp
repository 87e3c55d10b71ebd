// The host has every label that the VM's hostSelector asks for; its name is one.
#include "orchestrator/scheduler/scheduler.hpp"

namespace axle {

std::string named_host(const VmRequest& request) {
    const auto named = request.host_selector.find(kHostNameLabel);
    return named == request.host_selector.end() ? "" : named->second;
}

std::optional<std::string> reject_labels(const VmRequest& request, const HostState& host) {
    for (const auto& [key, wanted] : request.host_selector) {
        if (key == kHostNameLabel) {
            if (host.name != wanted) return fmt::format("is not host {}, which the VM asks for by name", wanted);
            continue;
        }
        const auto label = host.labels.find(key);
        if (label == host.labels.end()) return fmt::format("has no label {}, {}={} is wanted", key, key, wanted);
        if (label->second != wanted)
            return fmt::format("has label {}={}, {}={} is wanted", key, label->second, key, wanted);
    }
    return std::nullopt;
}

}  // namespace axle
