// What the orchestrator's port serves for machines, beside the API for people: joining, the agents' channel, images for
// hosts, and the installer. Who a machine is, its certificate says; what it may have, the core says.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "common/http/server.hpp"
#include "common/loop/loop.hpp"
#include "common/loop/workers.hpp"
#include "orchestrator/core/orchestrator.hpp"
#include "orchestrator/hosts/authority.hpp"

namespace axle {

struct DoorOptions {
    std::vector<std::string> endpoints;  // under which other machines reach this one
    std::string packages;                // folder with the packages of this release
    milliseconds hello_time{30'000};
    milliseconds ping{15'000};  // nothing heard for three of these: gone
};

// What `axle host token create` needs to know beside the secret.
struct JoinInfo {
    std::vector<std::string> endpoints;
    std::string authority;  // fingerprint
    std::string cluster;
    std::string script_hash;  // empty: nothing can be installed from here
    std::string why_not;
};

// Stop the server, then the core's thread and the workers, then destroy this.
class AgentDoor {
  public:
    struct Seams {
        Orchestrator& orchestrator;
        Executor& core;
        Loop& io;
        Workers& workers;  // JSON and cryptography
        const Authority& authority;
        std::string cluster;
    };
    AgentDoor(Seams seams, DoorOptions options);
    ~AgentDoor();
    AgentDoor(const AgentDoor&) = delete;
    AgentDoor& operator=(const AgentDoor&) = delete;

    static bool is_ours(std::string_view path);
    // On a worker; answers at once or later.
    void handle(http::Request request, http::Reply reply);
    JoinInfo join_info() const;  // blocks shortly; any thread
    void stop();                 // ends what is being sent

  private:
    struct Parts;
    std::shared_ptr<Parts> parts_;
};

// The host that a peer's certificate stands for. Errors tell a person what is wrong with it.
Result<HostCertificate> certificate_of(const http::Peer& peer);

}  // namespace axle
