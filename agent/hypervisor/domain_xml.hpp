// Domain XML from a plan, and what our own XML says when libvirt gives it back. Pure; the same plan gives the same
// text.
//
// The guest's hardware is fixed for ever by slots: slot N is PCIe root port N (1..30), so a disk or NIC keeps its PCI
// address whatever comes and goes beside it.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "agent/hypervisor/hypervisor.hpp"

namespace axle {

constexpr int kRootPorts = 30;
constexpr const char* kDomainMark = "urn:axle:domain:1";      // namespace of our element in a domain's metadata
constexpr const char* kIncomingMark = "urn:axle:incoming:1";  // of the one that a guest has until it is resumed

std::string domain_name(VmId id);  // "axle-<id>"
std::string domain_xml(const DomainPlan& plan);
// The same, with the mark of a guest that a migration brings. resume() takes that away from the live guest.
std::string incoming_domain_xml(const DomainPlan& plan);
// One <disk> or <interface>, as for virDomainAttachDevice.
std::string disk_xml(const DomainPlan::Disk& disk);
std::string nic_xml(const DomainPlan::Nic& nic);

struct DomainReading {
    bool ours = false;
    bool incoming = false;
    std::string title, cluster, hardware_hash, fixed_hash;
    Epoch epoch;
    std::uint64_t rev = 0;
    std::vector<DomainObservation::LiveDisk> disks;
    std::vector<DomainObservation::LiveNic> nics;
    std::vector<VolumeId> volumes;  // whatever the disk is called, and of a foreign domain, too
};
// Foreign or unreadable XML: ours = false.
DomainReading read_domain_xml(const std::string& xml);

// The full XML of the disk or NIC of this name in a live domain's XML; nullopt: it has none.
std::optional<std::string> disk_element(const std::string& xml, const std::string& disk_name);
std::optional<std::string> nic_element(const std::string& xml, const std::string& nic_name);
// What libvirt calls that disk ("vdb").
std::optional<std::string> disk_target(const std::string& xml, const std::string& disk_name);

}  // namespace axle
