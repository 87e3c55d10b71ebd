// The cluster's authority ends one day, and a successor takes over two years before (orchestrator/hosts/authority). Who
// trusts it, an agent or a person's command line, comes to know the successor in that time: it asks the orchestrator,
// while the authority that it knows can still vouch for the answer.
#pragma once
#include <optional>
#include <string>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/http/client.hpp"

namespace axle {

constexpr std::int64_t kSuccessionMs = INT64_C(730) * 24 * 3'600'000;
constexpr const char* kAuthoritiesPath = "/v1/ca.pem";  // all that are valid

// When the last of these authorities (PEM) ends.
Result<WallTime> end_of_trust(const std::string& authorities);

// Whether none of them lasts for two years more: then there is a successor, or will soon be.
bool wants_successor(const std::string& authorities, WallTime now);

// What is to be trusted instead of `known` when this is answered; nullopt: nothing in it lasts longer.
Result<std::optional<std::string>> successor_in(const std::string& answer, const std::string& known);
// Asks for it. The client must recognise the server by `known`. Blocks.
Result<std::optional<std::string>> ask_for_successor(http::Client& client, const std::string& known);

}  // namespace axle
