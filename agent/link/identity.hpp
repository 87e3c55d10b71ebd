// Who this host is to its orchestrator: key, certificate, and by what the orchestrator is recognised. One file of mode
// 0600, so that key and certificate change together. Every call blocks.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/base/id.hpp"
#include "common/base/result.hpp"
#include "common/http/client.hpp"
#include "common/link/join_string.hpp"

namespace axle {

struct HostIdentity {
    HostId host;
    std::string cluster;
    std::vector<std::string> endpoints;
    std::string pinned;       // one of them that a person named on this machine: always the first; empty: none
    std::string authority;    // PEM, one or several: any of them may have signed for the orchestrator and for hosts
    std::string certificate;  // PEM
    std::string key;          // PEM; never leaves this machine
};

// nullopt: this host has not joined.
Result<std::optional<HostIdentity>> read_host_identity(const std::string& path);
Result<> write_host_identity(const std::string& path, const HostIdentity& identity);

// Whether a certificate is taken instead of the one that is there. Not where it is of quite another time and the one
// that is there is of ours: then the orchestrator's clock has jumped, and would shut this host out.
bool may_replace(const std::string& offered, const std::string& present, WallTime now);
// Whether it is time for a new certificate: after the middle of its time, or before its beginning (a clock was ahead).
bool is_past_half(const std::string& certificate, WallTime now);

// What is told of places, as this host will look at them: a pinned one, the one that answered, then the others.
std::vector<std::string> order_endpoints(const HostIdentity& identity, const std::string& answered,
                                         std::vector<std::string> told);

// How to reach the orchestrator with this identity.
http::ClientOptions client_options(const HostIdentity& identity, const http::Endpoint& endpoint);

// Makes a key, shows the secret, gets a certificate: at the first of the endpoints that answers. before: who this host
// was until now; it can't change the cluster. `pending_path` keeps the key and its request until the caller has written
// the identity and removes it: asking again after a lost answer counts once.
Result<HostIdentity> join_cluster(const JoinString& join, const HostId& host, const std::string& hostname,
                                  const std::optional<HostIdentity>& before, const std::string& pending_path);

}  // namespace axle
