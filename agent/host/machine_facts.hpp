// What the checks of the doctor look at, as plain values, and the checks themselves, which are pure.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/host/doctor.hpp"

namespace axle {

struct FolderFacts {
    std::string path;
    std::string trouble;  // it can't be looked at; the rest is unknown then
    std::int64_t free = 0, size = 0;
    std::string not_durable;  // why a synced file may be lost here
    std::string remark;       // works, but a person should know
};
struct PortFacts {
    int port = 0;
    std::string taken_by;  // program and process; empty: free, or ours
};
struct ForeignFacts {
    std::string message, remedy;
};
struct MachineFacts {
    bool kvm = false;
    std::string accelerator_why;
    std::string kvm_shut;                         // owner and mode of a KVM that the guests' user may not open
    std::string libvirt_socket, libvirt_trouble;  // empty: it answers
    bool apparmor = false;
    std::vector<std::string> bridges;  // not ours
    std::vector<ForeignFacts> firewalls;
    std::string firewalls_trouble;  // they could not be read
    std::vector<FolderFacts> folders;
    std::int64_t clock_year = 0;
    bool clock_synchronised = false;
    std::vector<PortFacts> ports;
    std::vector<std::string> resolvers;
    std::string nameless;                // this host's own name, where only a name server could know it
    std::vector<std::string> leftovers;  // "bridge axb... of network ..."
};

MachineFacts gather_machine_facts(const DoctorOptions& options);  // blocks; looks only
std::vector<Finding> judge(const MachineFacts& facts);            // pure

}  // namespace axle
