// Which names a state file may have. Pure.
#pragma once
#include <string_view>

#include "common/base/ensure.hpp"

namespace axle {

// "folder/file" or "file": letters, digits, '.', '_' and '-', no dot at the start of a part, not ending in ".new".
bool is_state_file_name(std::string_view name);

}  // namespace axle
