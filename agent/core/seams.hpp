// Everything that the core of the agent sees of the world. All seams are asynchronous: called on the core thread,
// answered on the core thread, later, never inside the call.
#pragma once
#include <functional>
#include <string>

#include "agent/hypervisor/hypervisor.hpp"
#include "agent/migration/migration.hpp"
#include "agent/network/network.hpp"
#include "agent/state/state_files.hpp"
#include "agent/storage/storage.hpp"
#include "common/base/clock.hpp"
#include "common/base/log.hpp"

namespace axle {

// How far a guest has got, for people who wait for its address. Production: agent/guest, from the serial log.
class GuestProbe {
  public:
    virtual ~GuestProbe() = default;
    // "none", "firmware", "kernel" or "userspace": the last stage that the guest's own output shows.
    virtual void last_stage(VmId vm, Answer<std::string> answer) = 0;
};

// What the machine is and how loaded it is. Production: agent/host. Of the facts the core fills in what libvirt knows
// (versions, accelerator, what guests get, foreign domains) and its own conditions.
class HostProbe {
  public:
    virtual ~HostProbe() = default;
    virtual void facts(Answer<HostFacts> answer) = 0;
    virtual void load(Answer<HostLoad> answer) = 0;
};

struct Seams {
    Clock& clock;
    Random& random;
    StateFiles& files;
    Hypervisor& hypervisor;
    Storage& storage;
    Network& network;
    Migration& migration;
    GuestProbe& guests;
    HostProbe& host;
    std::function<void(log::Level, const std::string&)> log;
};

// Who this agent is. Constant while it runs.
struct AgentIdentity {
    std::string cluster;
    HostId host;
    std::string boot_id;  // /proc/sys/kernel/random/boot_id
    std::string version;
    std::string instance = {};  // of this run of the agent; see Hello
    std::string log_folder;     // serial logs
    std::string run_folder;     // console and VNC sockets
};

inline std::string serial_log_path(const AgentIdentity& agent, VmId vm) {
    return agent.log_folder + "/" + vm.str() + ".log";
}
inline std::string console_socket_path(const AgentIdentity& agent, VmId vm) {
    return agent.run_folder + "/" + vm.str() + ".console";
}
inline std::string vnc_socket_path(const AgentIdentity& agent, VmId vm) {
    return agent.run_folder + "/" + vm.str() + ".vnc";
}

}  // namespace axle
