// The orchestrator with its real edges, as a part of a program: store, core, images, API, and the door for agents.
// Composition root of axle-orchestrator and of the orchestrator's half of axle-allinone.
#pragma once
#include <memory>
#include <string>

#include "common/config/config.hpp"
#include "common/loop/loop.hpp"
#include "orchestrator/core/orchestrator.hpp"

namespace axle {

class OrchestratorService {
  public:
    // core: the core's own; io: carries all connections. Both outlive this.
    OrchestratorService(const ServiceConfig& config, Loop& core, Loop& io);
    ~OrchestratorService();
    OrchestratorService(const OrchestratorService&) = delete;
    OrchestratorService& operator=(const OrchestratorService&) = delete;

    // Before the loops run: reads the store, or founds the cluster, unless an agent's state is there already.
    Result<> open(bool agent_state_is_there, const std::string& first_pool);
    // While they run: certificates, port and socket.
    Result<> listen();
    Orchestrator& orchestrator();
    std::string cluster() const;
    // For the host that this program itself is, so that it deals with other hosts as they do with each other. After
    // open(); any thread; blocks shortly.
    struct HostCertificate {
        std::string authority, certificate, key;  // PEM
    };
    Result<HostCertificate> certify_host(const HostId& host) const;

    // In this order, with what else the program has in between: no more requests; no more work (the core still runs);
    // and when the core's thread has ended, the destructor.
    void stop_serving();
    void stop_work();

  private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

// axle-orchestrator: runs until SIGTERM or SIGINT. An error: it could not start, and why.
Result<> run_orchestrator(const ServiceConfig& config);

}  // namespace axle
