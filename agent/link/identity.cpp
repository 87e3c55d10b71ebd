#include "agent/link/identity.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "common/base/file.hpp"
#include "common/base/log.hpp"
#include "common/base/now.hpp"
#include "common/base/units.hpp"
#include "common/http/tls.hpp"
#include "common/link/refusal.hpp"
#include "common/model/codec.hpp"

namespace axle {
namespace {

Error refusal_of(const http::Response& response) {
    Error e = error_of_refusal(response);
    e.code = Code::forbidden;
    e.message = "the orchestrator refuses: " + e.message;
    return e;
}

// The signing request that was sent before and got no answer, or a new one.
Result<http::SigningRequest> pending_request(const std::string& path, const HostId& host) {
    const auto text = read_file(path, 1 << 16);
    if (text) {
        const auto parsed = parse_json(*text);
        if (parsed && parsed->is_object() && parsed->value("host", "") == host.str())
            return http::SigningRequest{parsed->value("request", ""), parsed->value("key", "")};
    }
    TRY(made, http::make_signing_request(host.str()));
    const nlohmann::json out = {{"host", host.str()}, {"request", made.request}, {"key", made.key}};
    TRY_VOID(write_file_durably(path, out.dump(), 0600));
    return made;
}

bool holds(const std::string& authorities, const std::string& fingerprint) {
    const auto each = http::certificates_in(authorities);
    return each && std::ranges::any_of(*each, [&](const std::string& pem) {
               return http::fingerprint_of(pem).value_or("") == fingerprint;
           });
}

// Unavailable: nobody answered there; every other error is the orchestrator's word.
Result<HostIdentity> ask(const JoinString& join, const std::string& endpoint_text, const HostId& host,
                         const std::string& hostname, const http::SigningRequest& request) {
    TRY(endpoint, http::Endpoint::parse(endpoint_text));
    http::Client client({.endpoint = endpoint,
                         .fingerprint = join.authority,
                         .expected_uri = kOrchestratorUri,
                         .tls13_only = true,
                         .timeout = milliseconds{30'000}});
    const nlohmann::json body = {
        {"secret", join.secret}, {"host", host.str()}, {"hostname", hostname}, {"request", request.request}};
    TRY(answer, client.request("POST", kEnrolPath, {{"Content-Type", "application/json"}}, body.dump()));
    if (answer.status != 200) return fail(refusal_of(answer));
    const auto given = parse_json(answer.body);
    if (!given || !given->is_object())
        return fail(Code::malformed, "{} answers with something that is no certificate", endpoint_text);
    HostIdentity identity{.host = host,
                          .cluster = given->value("cluster", ""),
                          .endpoints = join.endpoints,
                          .authority = given->value("authority", ""),
                          .certificate = given->value("certificate", ""),
                          .key = request.key};
    // The connection was recognised by its fingerprint; so is what it says of itself.
    if (!holds(identity.authority, join.authority))
        return fail(Code::unauthenticated, "{} sends another authority than the join string names", endpoint_text);
    return identity;
}

Result<> check_clock(const HostIdentity& identity) {
    TRY(info, http::read_certificate(identity.certificate));
    const WallTime now = wall_now();
    if (info.not_before <= now && now < info.not_after) return {};
    return fail(error(Code::conflict, "the clock of this machine says {}, and the certificate is valid from {} to {}",
                      format_time(now), format_time(info.not_before), format_time(info.not_after))
                    .with_hint("set the clock of this machine or of the orchestrator, and join with a new token"));
}

}  // namespace

template <class V>
void describe(HostIdentity& v, V&& field) {
    field("host", v.host, {});
    field("cluster", v.cluster, {});
    field("endpoints", v.endpoints, {});
    field("pinned", v.pinned, {});
    field("authority", v.authority, {.format = Format::multiline});
    field("certificate", v.certificate, {.format = Format::multiline});
    field("key", v.key, {.format = Format::multiline});
}

Result<std::optional<HostIdentity>> read_host_identity(const std::string& path) {
    const auto text = read_file(path, 1 << 20);
    if (!text && text.error().code == Code::not_found) return std::optional<HostIdentity>{};
    if (!text) return fail(text.error());
    auto identity = from_json_text<HostIdentity>(*text);
    if (!identity || identity->key.empty())
        return fail(error(Code::corrupt, "{} holds no identity of a host", path)
                        .with_hint("axle host token create --host NAME, then `axle-agent join STRING`: no guest is "
                                   "touched"));
    return std::optional(std::move(*identity));
}

Result<> write_host_identity(const std::string& path, const HostIdentity& identity) {
    return write_file_durably(path, to_json_text(identity) + "\n", 0600);
}

bool may_replace(const std::string& offered, const std::string& present, WallTime now) {
    const auto made = http::read_certificate(offered), there = http::read_certificate(present);
    if (!made || !there) return made.has_value();
    const std::int64_t half = (made->not_after.ms - made->not_before.ms) / 2;  // a clock here may lag by less
    const bool is_of_now = made->not_before.ms - now.ms < half && now < made->not_after;
    return is_of_now || now < there->not_before || there->not_after <= now;
}

bool is_past_half(const std::string& certificate, WallTime now) {
    const auto info = http::read_certificate(certificate);
    if (!info) return false;
    const std::int64_t age = now.ms - info->not_before.ms, whole = info->not_after.ms - info->not_before.ms;
    return age < 0 || age > whole / 2;
}

std::vector<std::string> order_endpoints(const HostIdentity& identity, const std::string& answered,
                                         std::vector<std::string> told) {
    constexpr std::size_t kEndpointsMax = 16;
    std::erase_if(told, [](const std::string& text) { return !http::Endpoint::parse(text); });
    if (told.empty()) return identity.endpoints;  // an older orchestrator says nothing
    std::vector<std::string> out;
    const auto add = [&](const std::string& place) {
        if (!place.empty() && std::ranges::find(out, place) == out.end()) out.push_back(place);
    };
    add(identity.pinned);
    add(answered);
    std::ranges::for_each(told, add);
    if (out.size() > kEndpointsMax) out.resize(kEndpointsMax);
    return out;
}

http::ClientOptions client_options(const HostIdentity& identity, const http::Endpoint& endpoint) {
    return {.endpoint = endpoint,
            .authority = identity.authority,
            .expected_uri = kOrchestratorUri,
            .tls13_only = true,
            .certificate = identity.certificate,
            .key = identity.key};
}

Result<HostIdentity> join_cluster(const JoinString& join, const HostId& host, const std::string& hostname,
                                  const std::optional<HostIdentity>& before, const std::string& pending_path) {
    if (before && before->cluster != join.cluster)
        return fail(error(Code::conflict, "this host belongs to cluster {}, the join string is of {}", before->cluster,
                          join.cluster)
                        .with_hint("a host changes its cluster only empty: move its guests away, purge axle-agent with "
                                   "its /var/lib/axle/agent, and join again"));
    TRY(request, pending_request(pending_path, host));
    Error nobody = error(Code::unavailable, "the join string names no orchestrator");
    for (const std::string& endpoint : join.endpoints) {
        auto identity = ask(join, endpoint, host, hostname, request);
        if (identity) {
            TRY_VOID(check_clock(*identity));
            return identity;
        }
        if (identity.error().code != Code::unavailable && identity.error().code != Code::timeout)
            return fail(std::move(identity.error()));
        nobody = std::move(identity.error());
    }
    return fail(std::move(nobody));
}

}  // namespace axle
