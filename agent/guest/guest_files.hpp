// The end of what QEMU and virtlogd made for a guest: its serial log, its sockets.
#pragma once
#include <string>

#include "common/base/result.hpp"

namespace axle {

// A file or socket, with all that virtlogd rotated away from it (PATH.0, PATH.1 ...). Not there: success; durable.
// Blocks. No QEMU has it any more.
Result<> remove_with_rotated(const std::string& path);

}  // namespace axle
