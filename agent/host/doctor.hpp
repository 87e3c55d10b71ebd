// What a person should know of this machine before and while guests run on it: each check with its cause and what to
// do. Gathering (machine_facts.hpp) blocks and only looks: it changes nothing, and asks no name server and no other
// machine.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "common/channel/documents.hpp"

namespace axle {

struct Finding {
    enum class Level { ok, warning, failed };
    std::string name;  // "accelerator", "libvirt", ...: stable
    Level level = Level::ok;
    std::string cause;  // what was found, with the numbers
    std::string fix;    // empty where nothing is to be done
};

struct DoctorOptions {
    std::string state_folder = "/var/lib/axle/agent";  // its documents own what bears our mark on the host
    std::string host_folder = "/var/lib/axle/host";    // DHCP's files
    std::string libvirt_socket = "/run/libvirt/libvirt-sock";
    std::vector<std::string> folders = {"/var/lib/axle"};  // pools, too: space and durability
    std::vector<int> ports = {7443, 7444};
    std::optional<Accelerator> accelerator = {};  // what the configuration states
};

std::vector<Finding> examine(const DoctorOptions& options);

// {"checks": [{"name", "level": "ok"|"warning"|"error", "message", "fix"}]}
std::string as_json(const std::vector<Finding>& findings);
// For a terminal: a line a finding, and one with its fix.
std::string as_table(const std::vector<Finding>& findings);
int exit_status(const std::vector<Finding>& findings);  // 1 if a check failed, else 0

}  // namespace axle
