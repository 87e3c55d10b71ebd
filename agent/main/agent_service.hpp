// The agent as a part of a program: the agent itself and its control socket, by which root on this host speaks to it.
// Of axle-agent and of the agent's half of axle-allinone.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "agent/agent.hpp"
#include "common/config/config.hpp"

namespace axle {

AgentOptions agent_options(const ServiceConfig& config, const std::string& cluster = "");
std::string control_socket(const ServiceConfig& config);

class AgentService {
  public:
    struct Hooks {
        std::function<void(Result<>)> ready;  // whether the state was read; on the agent's core thread
        std::function<std::string()> status;  // JSON, from a worker; empty: none
        std::function<void()> joined;         // a new identity was written; from a worker
    };
    // io runs before open() and outlives this.
    AgentService(const ServiceConfig& config, Loop& io);
    ~AgentService();  // stop()
    AgentService(const AgentService&) = delete;
    AgentService& operator=(const AgentService&) = delete;

    Result<> open(AgentOptions options, Hooks hooks);
    Result<> listen();
    Agent& agent();
    // Guests, bridges and DHCP go on. Idempotent.
    void stop();

  private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

// What the programs do besides running. Each asks the running service, or does it itself where none runs.
Result<> host_going_down(const ServiceConfig& config);
Result<> host_stays_up(const ServiceConfig& config);     // takes that back: guests are started again
Result<> remove_furniture(const ServiceConfig& config);  // the service must not run

}  // namespace axle
