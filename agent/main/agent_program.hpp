// axle-agent: what its commands do.
#pragma once
#include <string>

#include "common/base/result.hpp"
#include "common/config/config.hpp"

namespace axle {

// Runs until SIGTERM or SIGINT. true: this host has joined anew, and the program must begin again. An error: it could
// not start, and why.
Result<bool> run_agent(const ServiceConfig& config);

// Makes this machine a host of the cluster that the string names, or renews its certificate; tells a running agent.
// endpoint: where the orchestrator is looked for first, before those that the string names; empty: at those alone.
// Returns what to tell the person.
Result<std::string> join_host(const ServiceConfig& config, const std::string& join_string, const std::string& endpoint);

// Of the running agent: JSON, or lines for people.
Result<std::string> agent_status(const ServiceConfig& config, bool json);

}  // namespace axle
