// Files that are made at the first start: the first administrator's token, the authority and the server's certificate.
#pragma once
#include <string>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"

namespace axle {

// The token in the file, made if it isn't there. Durable, mode 0600, before anybody can know it.
Result<std::string> admin_secret(const std::string& path, Random& random);

struct ServerTls {
    std::string authority;  // PEM
    std::string certificate_path, key_path;
};
// Made if it isn't there; renewed when it ends within 60 days or the machine has new names or addresses.
Result<ServerTls> server_certificate(const std::string& folder, WallTime now);

}  // namespace axle
