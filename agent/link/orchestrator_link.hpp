// The agent's connection to its orchestrator: dials, shows its certificate, hands each connection to the core, dials
// anew when it ends, and renews the certificate while it may still be used.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "agent/link/identity.hpp"
#include "common/base/clock.hpp"
#include "common/channel/messages.hpp"
#include "common/loop/loop.hpp"
#include "common/loop/workers.hpp"

namespace axle {

struct LinkTimes {
    milliseconds first_retry{1'000}, retry_max{60'000};  // doubled each time, each with jitter of half of it
    milliseconds lasted{60'000};                         // a connection that held so long begins again at first_retry
    milliseconds next_endpoint{200};              // from one that did not answer to the next one of the same round
    milliseconds ping{10'000};                    // nothing heard for three of these: gone
    milliseconds look_at_certificate{3'600'000};  // how often its age is looked at
};

// What `axle-agent status` shows.
struct LinkState {
    bool connected = false;
    std::string endpoint;       // of the connection, or the one that is tried
    std::string local_address;  // of the connection
    std::string orchestrator;   // its version
    std::string host;           // our name there
    std::string last_error;     // why the last connection ended or didn't come about
    std::string certificate_ends;
};

class OrchestratorLink {
  public:
    struct Seams {
        Loop& io;
        Workers& workers;  // JSON and disk; the dialling thread is its own
        Executor& core;
        Random& random;                                                   // of its own: used on the dialling thread
        std::function<void(std::unique_ptr<Channel> channel)> connected;  // on the core thread
        std::function<void(const std::string& address)> local_address;  // any thread: which address of ours leads there
        std::function<void(const std::vector<std::string>&)> endpoints;  // any thread: where it is looked for, durably
    };
    // identity_path: where renewed certificates are written.
    OrchestratorLink(Seams seams, HostIdentity identity, std::string identity_path, LinkTimes times = {});
    ~OrchestratorLink();  // stop()
    OrchestratorLink(const OrchestratorLink&) = delete;
    OrchestratorLink& operator=(const OrchestratorLink&) = delete;

    void start();
    // Ends the dialling; a connection ends with its channel. Blocks for a moment; idempotent.
    void stop();
    // After that: until the connection has been closed properly, or the limit has passed.
    void wait_closed(milliseconds limit);
    LinkState state() const;        // any thread
    HostIdentity identity() const;  // any thread: as it is now

  private:
    struct Parts;
    std::shared_ptr<Parts> parts_;
};

}  // namespace axle
