// A VM that asks for kvm or qemu by name gets just that.
#include "orchestrator/scheduler/scheduler.hpp"

namespace axle {

std::optional<std::string> reject_accelerator(const VmRequest& request, const HostState& host) {
    if (request.accelerator == WantedAccelerator::kvm && host.accelerator != Accelerator::kvm)
        return "has no kvm, which the VM asks for";
    return std::nullopt;
}

}  // namespace axle
