// Machines that become hosts, and hosts that show their certificate (DESIGN 7): who is let in, as values. The
// cryptography is done by orchestrator/hosts; here is what the world knows.
#pragma once
#include <string>

#include "orchestrator/core/pipeline.hpp"

namespace axle {

// A machine that joins: its secret was looked at by nobody yet.
struct Enrolment {
    std::string secret_hash;   // sha256 hex of the token's secret
    std::string request_hash;  // of its signing request: the same one may come again, when its answer was lost
    Uuid host{};               // the id that the machine has given itself
    std::string hostname;
};
struct Enrolled {
    std::string host_name;  // here
    std::string cluster;
};

// What a host showed when it connected; verified by TLS.
struct HostCertificate {
    Uuid host{};
    std::int64_t issued_ms = 0;  // wall clock
};

Error unknown_host(const Uuid& host);

// Takes one use of the token and makes the host, or takes a known one in again, in the caller's transaction. Errors:
// unauthenticated (unknown secret), forbidden (expired, used up, for another host), conflict (the host is known and the
// token is for new ones), each with the remedy.
Result<Enrolled> take_in(Transaction& tx, const Enrolment& request, const std::string& cluster);
// Whether the holder of this certificate is a host of ours still.
Result<const Host*> holder_of(const World& world, const HostCertificate& shown);

}  // namespace axle
