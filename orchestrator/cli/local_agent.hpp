// What the programs on this machine say of it.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.hpp"

namespace axle::cli {

// Output of a program of ours; nullopt: it isn't installed or said nothing.
std::optional<std::string> output_of(const std::string& program, std::vector<std::string> words);

// Of a command that found no orchestrator at this machine's socket: what this machine is, and where to run it.
Error nobody_here(Error unreachable);

}  // namespace axle::cli
