// Who asks: a token looked up by its hash, or the peer of the unix socket. Pure; any thread.
#pragma once
#include <cstdint>
#include <string>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/http/message.hpp"
#include "orchestrator/core/service.hpp"

namespace axle::api {

struct AccessRules {
    std::int64_t admin_gid = -1;  // members of this group are administrators on the unix socket; -1: only root is
};

struct Login {
    Principal who;
    std::string token_hash;  // empty: known by the unix socket's peer
};

// Authorization: Bearer TOKEN, also on the unix socket (to try a role); without one the socket's peer counts. Every
// token costs the same work. Error: Code::unauthenticated or forbidden, saying which.
Result<Login> authenticate(const http::Request& request, const AccessSnapshot& access, const AccessRules& rules,
                           WallTime now);
// False when the token has been deleted or is over: what it opened is closed.
bool still_holds(const Login& login, const AccessSnapshot& access, WallTime now);

}  // namespace axle::api
