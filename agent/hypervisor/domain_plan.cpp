#include "agent/hypervisor/hypervisor.hpp"
#include "common/base/digest.hpp"

namespace axle {
namespace {

// Counts the changes of what domain_xml() makes of the same plan: definitions of an earlier form are made anew.
constexpr int kForm = 2;

std::string line_of(const DomainPlan::Disk& disk) {
    const VmDocumentDisk& d = disk.document;
    return fmt::format("disk {} {} {} {} {} {} {}\n", d.name, d.volume.str(), text_of(d.format), d.slot, d.boot_order,
                       d.serial, disk.path);
}

std::string machine_lines(const DomainPlan& plan) {
    const VmDocument& d = plan.document;
    return fmt::format("{} {} {} {} {} {}\n", d.id.str(), d.cpus, d.memory, d.machine, d.cpu_model,
                       text_of(d.accelerator));
}

std::string seed_lines(const DomainPlan& plan) {
    return fmt::format("seed {} {}\nserial {} {} {}\n", plan.document.seed_slot, plan.seed_path, plan.serial_log,
                       plan.console_socket, plan.vnc_socket);
}

std::string hash_of(const std::string& text) {
    return sha256_hex(text).substr(0, 32);
}

}  // namespace

// Field by field, not the document's JSON: a field that a later release adds changes no hash of a guest without it.
std::string DomainPlan::hardware_hash() const {
    std::string text = fmt::format("form {}\n", kForm) + machine_lines(*this);
    for (const auto& disk : disks) text += line_of(disk);
    for (const auto& nic : nics) {
        const VmDocumentNic& n = nic.document;
        text += fmt::format("nic {} {} {} {} {}\n", n.name, n.mac, n.slot, nic.tap, nic.mtu);
    }
    return hash_of(text + seed_lines(*this));
}

std::string DomainPlan::fixed_hash() const {
    std::string text = machine_lines(*this);
    for (const auto& disk : disks) {
        if (disk.document.boot_order > 0) text += line_of(disk);
    }
    return hash_of(text + seed_lines(*this));
}

}  // namespace axle
