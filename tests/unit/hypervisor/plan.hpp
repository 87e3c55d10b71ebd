// A plan with one of everything.
#pragma once
#include "agent/hypervisor/hypervisor.hpp"
#include "common/base/units.hpp"

namespace axle::test {

inline DomainPlan sample_plan() {
    DomainPlan plan;
    plan.document = {.id = VmId{*Uuid::parse("018f0000-0000-7000-8000-000000000001")},
                     .epoch = {3, 4711},
                     .rev = 4712,
                     .name = "default/web1",
                     .cluster = "c1",
                     .cpus = 2,
                     .memory = 512 * kMiB,
                     .machine = "pc-q35-7.2",
                     .cpu_model = "qemu64",
                     .accelerator = Accelerator::qemu,
                     .seed_slot = 30};
    const VolumeId root{*Uuid::parse("018f0000-0000-7000-8000-000000000002")};
    plan.disks.push_back({.document = {.name = "root",
                                       .volume = root,
                                       .format = DiskFormat::qcow2,
                                       .slot = 1,
                                       .boot_order = 1,
                                       .serial = "018f0000000070008000"},
                          .path = "/pool/volumes/018f0000-0000-7000-8000-000000000002.qcow2"});
    VmDocumentNic nic{.name = "eth0", .mac = "52:54:00:00:00:01"};
    nic.slot = 2;
    plan.nics.push_back({.document = nic, .tap = "axt0123456789ab", .mtu = 1450});
    plan.seed_path = "/seeds/018f0000-0000-7000-8000-000000000001.iso";
    plan.serial_log = "/log/serial.log";
    plan.console_socket = "/run/axle/guests/1.console";
    plan.vnc_socket = "/run/axle/guests/1.vnc";
    return plan;
}

}  // namespace axle::test
