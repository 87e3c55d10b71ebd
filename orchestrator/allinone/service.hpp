// All in one: an orchestrator and an agent in one process, joined by the in-process link. The same cores, edges and
// messages as apart.
#pragma once
#include <memory>

#include "agent/agent.hpp"
#include "orchestrator/allinone/config.hpp"

namespace axle {

// Runs until SIGTERM or SIGINT. An error: it could not start, and why.
Result<> run_service(const ServiceConfig& config);

AgentOptions agent_options(const ServiceConfig& config, const std::string& cluster = "");

// What else the program does. Each asks the running service, or does it itself where none runs.
Result<> host_going_down(const ServiceConfig& config);
Result<> host_stays_up(const ServiceConfig& config);     // takes that back: guests are started again
Result<> remove_furniture(const ServiceConfig& config);  // the service must not run

}  // namespace axle
