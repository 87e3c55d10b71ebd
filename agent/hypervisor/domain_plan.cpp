#include "agent/hypervisor/hypervisor.hpp"
#include "common/base/digest.hpp"

namespace axle {

// Field by field, not the document's JSON: a field that a later release adds changes no hash of a guest without it.
std::string DomainPlan::hardware_hash() const {
    std::string text = fmt::format("{} {} {} {} {} {}\n", document.id.str(), document.cpus, document.memory,
                                   document.machine, document.cpu_model, text_of(document.accelerator));
    for (const auto& disk : disks) {
        const VmDocumentDisk& d = disk.document;
        text += fmt::format("disk {} {} {} {} {} {} {}\n", d.name, d.volume.str(), text_of(d.format), d.slot,
                            d.boot_order, d.serial, disk.path);
    }
    for (const auto& nic : nics) {
        const VmDocumentNic& n = nic.document;
        text += fmt::format("nic {} {} {} {} {}\n", n.name, n.mac, n.slot, nic.tap, nic.mtu);
    }
    text += fmt::format("seed {} {}\nserial {} {} {}\n", document.seed_slot, seed_path, serial_log, console_socket,
                        vnc_socket);
    return sha256_hex(text).substr(0, 32);
}

}  // namespace axle
