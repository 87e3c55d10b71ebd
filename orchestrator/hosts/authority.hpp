// The cluster's certificate authority: whose word makes a machine a host, and by which the orchestrator is recognised.
// It belongs to the cluster's identity, outside the store's directory: ca.pem and ca.key, 0600, durable, made once.
#pragma once
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/id.hpp"
#include "common/base/result.hpp"
#include "common/http/tls.hpp"

namespace axle {

constexpr std::int64_t kHostCertificateDays = 30;  // an agent renews it after half of that

struct AuthorityFolders {
    std::string identity;  // ca.pem, ca.key
    std::string tls;       // server.pem, server.key; those of the authority, too, in clusters of release 0.1.0
};

// All calls block; any thread.
class Authority {
  public:
    // Reads it, or makes it where there never was one. Code::corrupt: it was there and is not any more.
    static Result<Authority> open(const AuthorityFolders& folders, WallTime now);

    const std::string& certificate() const { return pair_.certificate; }  // PEM
    const std::string& fingerprint() const { return fingerprint_; }

    struct ServerFiles {
        std::string certificate_path, key_path, authority_path;
        bool renewed = false;  // by this call
    };
    // For the port of the API and of the channel: names and addresses of this machine, and `more` (either). Renewed
    // when it ends within 60 days or lacks one of them.
    Result<ServerFiles> server_certificate(const std::vector<std::string>& more, WallTime now) const;

    // For a host: both as a client of ours and towards other hosts. Followed by the authority's own.
    Result<std::string> sign_host(const std::string& request, const HostId& host, WallTime now) const;

  private:
    AuthorityFolders folders_;
    http::KeyPair pair_;
    std::string fingerprint_;
};

}  // namespace axle
