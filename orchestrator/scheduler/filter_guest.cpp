// A guest that moves finds the hardware that it was made with: accelerator, machine type, CPU model.
#include <charconv>

#include "orchestrator/scheduler/scheduler.hpp"

namespace axle {
namespace {

struct MachineType {
    std::string family;  // "pc-q35-"
    int major = 0, minor = 0;
};
std::optional<MachineType> parse_machine(const std::string& text) {
    const auto dash = text.rfind('-');
    if (dash == std::string::npos) return std::nullopt;
    MachineType out{.family = text.substr(0, dash + 1)};
    const char* end = text.data() + text.size();
    const auto [at, wrong] = std::from_chars(text.data() + dash + 1, end, out.major);
    if (wrong != std::errc{} || at == end || *at != '.') return std::nullopt;
    const auto [rest, bad] = std::from_chars(at + 1, end, out.minor);
    if (bad != std::errc{} || rest != end) return std::nullopt;
    return out;
}

// QEMU knows the machine types of its forerunners.
bool knows_machine(const std::string& newest, const std::string& wanted) {
    if (newest == wanted) return true;
    const auto there = parse_machine(newest), asked = parse_machine(wanted);
    return there && asked && there->family == asked->family &&
           std::pair(asked->major, asked->minor) <= std::pair(there->major, there->minor);
}

}  // namespace

std::optional<std::string> reject_guest(const VmRequest& request, const HostState& host) {
    if (!request.guest) return std::nullopt;
    const GuestRequest& guest = *request.guest;
    if (guest.accelerator == Accelerator::kvm && host.accelerator != Accelerator::kvm)
        return "has no kvm, with which the guest was made";
    if (!guest.machine.empty() && !knows_machine(host.guest_machine, guest.machine))
        return fmt::format("the guest's machine type is {}, the host knows none newer than {}", guest.machine,
                           host.guest_machine.empty() ? "(it has not told)" : host.guest_machine);
    const bool anywhere = guest.accelerator == Accelerator::qemu || guest.cpu_model == "qemu64";
    if (!anywhere && guest.cpu_model != host.guest_cpu_model)
        return fmt::format("the guest's CPU model is {}, the host gives {}", guest.cpu_model,
                           host.guest_cpu_model.empty() ? "(it has not told)" : host.guest_cpu_model);
    return std::nullopt;
}

}  // namespace axle
