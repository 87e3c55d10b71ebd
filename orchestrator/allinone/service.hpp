// All in one: an orchestrator and an agent in one process, joined by the in-process link. The same cores, edges and
// messages as apart.
#pragma once
#include "common/config/config.hpp"

namespace axle {

// Runs until SIGTERM or SIGINT. An error: it could not start, and why.
Result<> run_service(const ServiceConfig& config);

}  // namespace axle
