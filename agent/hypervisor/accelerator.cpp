#include "agent/hypervisor/accelerator.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "common/base/file.hpp"

namespace axle {

AcceleratorFinding find_accelerator(const std::string& sys_module, const std::string& device) {
    const bool intel = file_exists(sys_module + "/kvm_intel"), amd = file_exists(sys_module + "/kvm_amd");
    const Fd kvm(::open(device.c_str(), O_RDWR | O_CLOEXEC));
    if (!intel && !amd)
        return {Accelerator::qemu,
                kvm ? fmt::format("{} opens, but neither kvm_intel nor kvm_amd is loaded: such a KVM can't be trusted "
                                  "with Linux guests, so they are emulated (slow)",
                                  device)
                    : "neither kvm_intel nor kvm_amd is loaded: guests are emulated (slow); is virtualisation switched "
                      "on in the firmware?"};
    const char* module = intel ? "kvm_intel" : "kvm_amd";
    if (!kvm)
        return {Accelerator::qemu,
                fmt::format("{} is loaded, but {} does not open: {}", module, device, std::strerror(errno))};
    const Fd vm(::ioctl(kvm.get(), KVM_CREATE_VM, 0));
    if (!vm)
        return {Accelerator::qemu,
                fmt::format("{} is loaded, but {} makes no VM: {}", module, device, std::strerror(errno))};
    return {Accelerator::kvm, fmt::format("{} is loaded and {} works", module, device)};
}

AcceleratorFinding choose_accelerator(std::optional<Accelerator> configured, AcceleratorFinding found) {
    if (!configured || *configured == found.accelerator) return found;
    return {*configured,
            fmt::format("the configuration says \"accelerator: {}\"; found: {}", text_of(*configured), found.why)};
}

}  // namespace axle
