#include "common/base/unix_address.hpp"

#include <sys/socket.h>

namespace axle {

Result<sockaddr_un> unix_address(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return fail(Code::invalid, "the path {} is too long for a socket: {} bytes, at most {}", path, path.size(),
                    sizeof address.sun_path - 1);
    path.copy(address.sun_path, path.size());
    return address;
}

}  // namespace axle
