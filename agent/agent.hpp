// An agent with its real edges: composition root of axle-agent and of the agent's half of axle-allinone.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/migration/data_port.hpp"
#include "agent/storage/image_source.hpp"
#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/channel/messages.hpp"
#include "common/loop/loop.hpp"

namespace axle {

struct AgentOptions {
    std::string cluster;
    std::string state_folder = "/var/lib/axle/agent";
    std::string host_folder = "/var/lib/axle/host";  // DHCP, and the host's settings from before us
    std::string seeds_folder = "/var/lib/axle/seeds";
    std::string log_folder = "/var/log/axle/guests";  // serial logs
    std::string run_folder = "/run/axle/guests";      // console and VNC sockets
    std::string libvirt_uri = "qemu:///system";
    std::string libvirt_definitions = "/etc/libvirt/qemu";
    std::optional<Accelerator> accelerator = {};  // the configuration's word; nullopt: what the machine has
    std::int64_t reserve_bytes = 16 << 20;
    ImageFetcher fetch_image = {};  // of images that lie elsewhere
    // Who this host is to other hosts, by its certificate of just now; any thread. Empty: no guests move.
    std::function<Result<DataIdentity>()> data_identity = {};
    int data_port = kDataPort;                     // 0: none
    std::string moves_folder = "/run/axle/moves";  // sockets of guests that move
};

// Made once, at the first start, and durable: it stays whatever the host's name or address becomes.
Result<HostId> host_id_of(const AgentOptions& options);

// True if an agent's durable state lies there: then no new cluster is founded beside it.
bool agent_state_is_there(const AgentOptions& options);

class Agent {
  public:
    // io: carries libvirt's and the guests' sockets; must run before start() and outlive this.
    static Result<std::unique_ptr<Agent>> make(AgentOptions options, Loop& io);
    ~Agent();  // stops its threads; guests, bridges and DHCP go on

    // Reads the durable state and begins to keep it. ready: told on the agent's core thread.
    void start(std::function<void(Result<>)> ready);
    Loop& core();
    // On the core thread.
    void connected(std::unique_ptr<Channel> channel);
    // Any thread; blocks until the guests are off or the limit has passed.
    Result<> host_going_down(milliseconds limit);
    Result<> host_stays_up();
    // Any thread: under which address the other hosts reach this one, as the connection to the orchestrator shows it.
    void set_underlay(std::string address);
    // Any thread: where this host looks for its orchestrator, once that is durable.
    void set_orchestrator(std::vector<std::string> endpoints);
    // For root on this host, any thread; each blocks shortly. See AgentCore.
    struct LocalVm {
        std::string id, name, state, power, waits;
        std::int64_t cpus = 0, memory = 0;
        std::string console;  // unix socket of its serial line
    };
    std::vector<LocalVm> local_vms();
    Result<> set_power(const std::string& name, Power power, bool force);
    Result<std::string> console_of(const std::string& name);
    // Any thread; blocks. Takes away all that bears our mark on this host's network, and restores its settings.
    Result<> remove_furniture();

  private:
    struct Parts;
    explicit Agent(std::unique_ptr<Parts> parts);
    std::unique_ptr<Parts> parts_;
};

}  // namespace axle
