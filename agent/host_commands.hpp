// What axle-agent and axle-allinone do on their host besides running: look at it, let guests through the firewalls of
// others. For root at a terminal, for quickstart and for units; no service need run.
#pragma once
#include <string>
#include <vector>

#include "agent/agent.hpp"

namespace axle {

// "COMMAND  what it does", a line each.
extern const char* const kHostCommands;
bool is_host_command(const std::string& command);

// Says what it found on stdout and what went wrong on stderr; returns the exit status: 0, 1 failed, 2 usage. Blocks.
int run_host_command(const std::string& program, const std::string& command, const std::vector<std::string>& words,
                     const AgentOptions& options);

}  // namespace axle
