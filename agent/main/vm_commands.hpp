// axle-agent vm …: the guests of this host, for root, also with the orchestrator away.
#pragma once
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "common/config/config.hpp"

namespace axle {

extern const char* const kVmCommands;  // "COMMAND  what it does", a line each

// Returns the exit status: 0, or 2 for wrong words. Blocks; a console until the person leaves it.
Result<int> run_vm_command(const ServiceConfig& config, const std::vector<std::string>& words);

}  // namespace axle
