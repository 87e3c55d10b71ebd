// JSON values as YAML text. Pure.
#pragma once
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace axle::cli {

// Block style, keys in their order, long texts as blocks. Reading it gives the same value: what would be taken for
// something else is quoted.
std::string to_yaml(const nlohmann::json& value);

}  // namespace axle::cli
