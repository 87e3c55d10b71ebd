#include "orchestrator/api/access.hpp"

#include <algorithm>

#include "common/base/digest.hpp"
#include "common/base/units.hpp"

namespace axle::api {
namespace {

constexpr std::size_t kTokenMax = 512;
constexpr const char* kHowToLogIn =
    "send 'Authorization: Bearer TOKEN'; 'axle token create NAME --role ROLE' on the orchestrator's machine makes one";

Result<Login> by_token(std::string_view token, const AccessSnapshot& access, WallTime now) {
    if (token.empty() || token.size() > kTokenMax)
        return fail(error(Code::unauthenticated, "the token is not one of ours").with_hint(kHowToLogIn));
    const std::string hash = sha256_hex(token);  // looked up by hash: time tells nothing about the secret
    const auto found = access.by_token_hash.find(hash);
    if (found == access.by_token_hash.end())
        return fail(error(Code::unauthenticated, "the token is unknown or has been deleted")
                        .with_hint(kHowToLogIn)
                        .with_reason("unknown-token"));
    const auto& entry = found->second;
    if (entry.expires != 0 && entry.expires <= now.ms)
        return fail(error(Code::unauthenticated, "the token ended at {}", format_time({entry.expires}))
                        .with_hint(kHowToLogIn)
                        .with_reason("expired-token"));
    return Login{entry.principal, hash};
}

Result<Login> by_peer(const http::Peer& peer, const AccessRules& rules) {
    const auto in_group = [&](std::int64_t gid) {
        return gid >= 0 && (peer.gid == gid ||
                            std::ranges::find(peer.groups, static_cast<std::uint32_t>(gid)) != peer.groups.end());
    };
    if (peer.uid != 0 && !in_group(rules.admin_gid))
        return fail(error(Code::forbidden, "user {} is neither root nor in the group axle", peer.uid)
                        .with_hint("run it as root, or 'adduser USER axle' and log in again, or use a token"));
    Principal who{.name = peer.uid == 0 ? "unix:root" : fmt::format("unix:{}", peer.uid),
                  .role = Role::admin,
                  .all_projects = true,
                  .projects = {}};
    return Login{std::move(who), {}};
}

}  // namespace

Result<Login> authenticate(const http::Request& request, const AccessSnapshot& access, const AccessRules& rules,
                           WallTime now) {
    if (const auto header = request.headers.get("Authorization")) {
        const std::size_t space = header->find(' ');
        if (space == std::string_view::npos || !http::equal_ignoring_case(header->substr(0, space), "Bearer"))
            return fail(
                error(Code::unauthenticated, "only 'Authorization: Bearer TOKEN' is taken").with_hint(kHowToLogIn));
        const std::size_t begin = std::min(header->find_first_not_of(' ', space), header->size());
        return by_token(header->substr(begin), access, now);
    }
    if (request.peer != nullptr && request.peer->kind == http::Peer::Kind::unix_socket)
        return by_peer(*request.peer, rules);
    return fail(error(Code::unauthenticated, "no token was sent").with_hint(kHowToLogIn));
}

bool still_holds(const Login& login, const AccessSnapshot& access, WallTime now) {
    if (login.token_hash.empty()) return true;
    const auto found = access.by_token_hash.find(login.token_hash);
    if (found == access.by_token_hash.end()) return false;
    return found->second.expires == 0 || found->second.expires > now.ms;
}

}  // namespace axle::api
