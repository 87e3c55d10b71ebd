// A disk's file that comes from another host: whole and durable, or not there.
#pragma once
#include <string>

#include "agent/storage/pool_directory.hpp"
#include "common/http/reply.hpp"

namespace axle {

// Blocks; workers only. Written beside `path` under a temporary name of settings.tag (swept with the pool's), of QEMU's
// user, compared with length and sha256, synced, given its name; a file that has it already is replaced. Holes stay
// holes. After an error nothing of it is left, and what was at `path` is as it was: no_space, corrupt (other bytes than
// were announced), malformed or timeout (the sender went away).
Result<> receive_volume(const std::string& path, http::BodyStream& body, const std::string& sha256,
                        const PoolSettings& settings);

}  // namespace axle
