// The address of a unix socket.
#pragma once
#include <string>
#include <sys/un.h>

#include "common/base/result.hpp"

namespace axle {

Result<sockaddr_un> unix_address(const std::string& path);  // Code::invalid: too long

}  // namespace axle
