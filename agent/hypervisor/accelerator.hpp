// Which accelerator guests get here (DESIGN 8): kvm only where kvm_intel or kvm_amd is loaded and /dev/kvm opens and
// makes a VM. Others exist in the wild (kvm_pvm opens, runs a boot sector, and hangs Linux), so the module's name
// counts.
#pragma once
#include <optional>
#include <string>

#include "common/channel/documents.hpp"

namespace axle {

struct AcceleratorFinding {
    Accelerator accelerator = Accelerator::qemu;
    std::string why;
};
// Blocks shortly. The folders are stated for tests.
AcceleratorFinding find_accelerator(const std::string& sys_module = "/sys/module",
                                    const std::string& device = "/dev/kvm");

// What the configuration states, whatever was found (which `why` then tells); nullopt: what was found.
AcceleratorFinding choose_accelerator(std::optional<Accelerator> configured, AcceleratorFinding found);

// Owner and mode of the device, where it is there and this user, who runs the guests, may not read and write it:
// libvirt then holds what it knows of QEMU for outdated at every step and starts one to ask anew, so that a definition
// takes seconds. Empty: no such trouble, or no such user. By permission bits only.
std::string why_shut_to(unsigned user, const std::string& device = "/dev/kvm");

}  // namespace axle
