// The first administrator's token, a file of the first start.
#pragma once
#include <string>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"

namespace axle {

// The token in the file, made if it isn't there. Durable, mode 0600, before anybody can know it.
Result<std::string> admin_secret(const std::string& path, Random& random);

}  // namespace axle
