// A picture of a guest's screen as PNG. Pure.
#pragma once
#include <string>

#include "common/base/result.hpp"

namespace axle {

// From a binary PPM (P6, 8 bits), as QEMU gives it. The bytes come from outside: sizes are checked against each other.
Result<std::string> png_from_ppm(std::string_view ppm);

}  // namespace axle
