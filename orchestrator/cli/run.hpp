// The command line as a function: for main() and for tests.
#pragma once
#include <string>
#include <vector>

#include "orchestrator/cli/terminal.hpp"

namespace axle::cli {

// args without the program's name. Returns the exit code (DESIGN 13).
int run(const std::vector<std::string>& args, const Terminal& terminal);

}  // namespace axle::cli
