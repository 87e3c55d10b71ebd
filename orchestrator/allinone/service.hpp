// All in one: an orchestrator and an agent in one process, joined by the in-process link. The same cores, edges and
// messages as apart.
#pragma once
#include <memory>

#include "orchestrator/allinone/config.hpp"

namespace axle {

// Runs until SIGTERM or SIGINT. An error: it could not start, and why.
Result<> run_service(const ServiceConfig& config);

// What else the program does. Each asks the running service, or does it itself where none runs.
Result<> host_going_down(const ServiceConfig& config);
Result<> remove_furniture(const ServiceConfig& config);  // the service must not run

}  // namespace axle
