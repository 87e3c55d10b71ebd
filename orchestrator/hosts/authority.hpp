// The cluster's certificate authority: whose word makes a machine a host, and by which the orchestrator is recognised.
// It belongs to the cluster's identity, outside the store's directory: ca.pem and ca.key, 0600, durable.
//
// It lasts ten years. When less than two of them are left, a successor of the same name takes over and signs from then
// on. ca.pem is then
//     the successor | its key, by the word of the one before (cross) | the one before
// and until the one before ends, all but the first of these follow each certificate that is shown. So who trusts only
// the one before verifies it, who trusts only the successor does, too, and the fingerprint that people compare and join
// strings hold stays the same for those two years. After them the successor itself follows.
//
// Which of the two is shown depends on the wall clock of the call and the files, on nothing that was decided before.
// The cluster clock (orchestrator/core) does not guard it: it lags where a machine is often off, and whoever verifies
// does so by a wall clock. A clock that is ahead by years makes a successor too early; when it is set back, all that
// was trusted is trusted as before. Only if it is set ahead twice, the second time to where that successor ends as
// well, the first authority is forgotten, and who knows no other has to join or log in again.
#pragma once
#include <memory>
#include <mutex>
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
    std::string tls;       // server.pem, server.key, trusted.pem; the authority's, too, in clusters of release 0.1.0
};

// All calls block; any thread.
class Authority {
  public:
    // Reads it, or makes it where there never was one, and renews it if it can. Code::corrupt: it was there and is not
    // any more, or its key is another's.
    static Result<Authority> open(const AuthorityFolders& folders, WallTime now);

    // Makes the successor, if it is time for it, and says so in the log. One call at a time. After an error, or a power
    // cut anywhere in it, the authority is what it was, and the next call does it.
    Result<> renew(WallTime now);

    std::string trusted(WallTime now) const;  // PEM: each that has not ended; the one of the fingerprint first
    // Of the last certificate in what is shown: what a person compares, and a join string holds.
    std::string fingerprint(WallTime now) const;

    struct ServerFiles {
        std::string certificate_path, key_path, authority_path;
        bool renewed = false;  // one of them, by this call
    };
    // For the port of the API and of the channel: names and addresses of this machine, and `more` (either). Renewed
    // when it ends within 60 days, lacks one of them, or what has to follow it is another.
    Result<ServerFiles> server_certificate(const std::vector<std::string>& more, WallTime now) const;

    // For a host: both as a client of ours and towards other hosts. Followed by what leads to the authority.
    Result<std::string> sign_host(const std::string& request, const HostId& host, WallTime now) const;

  private:
    struct Generation {      // of one moment; never changed
        http::KeyPair pair;  // who signs
        std::string before;  // PEM: the cross certificate and the one before; empty: there is none
        std::string old;     // PEM: the one before
        WallTime old_end{};  // of both
        std::string fingerprint, old_fingerprint;
        bool shows_old(WallTime now) const { return !old.empty() && now < old_end; }
        const std::string& chain(WallTime now) const { return shows_old(now) ? before : pair.certificate; }
        std::string trusted(WallTime now) const { return (shows_old(now) ? old : "") + pair.certificate; }
    };
    struct Current {
        std::mutex mutex;
        std::shared_ptr<const Generation> generation;  // guarded
    };
    static Result<Generation> generation_of(const http::KeyPair& files);
    Result<> take_files();
    Result<> hand_over(WallTime now);  // by what was read last
    std::shared_ptr<const Generation> now_signing() const;

    AuthorityFolders folders_;
    std::unique_ptr<Current> current_ = std::make_unique<Current>();
};

}  // namespace axle
