// Unix sockets of this host, not blocking.
#pragma once
#include <string>

#include "common/base/file.hpp"

namespace axle {

struct UnixConnection {
    Fd fd;
    int error_number = 0;  // why there is none
};
// Error: the path can't be one. Any thread.
Result<UnixConnection> connect_unix(const std::string& path);
// Mode 0600; what was there is replaced.
Result<Fd> listen_unix(const std::string& path);

}  // namespace axle
