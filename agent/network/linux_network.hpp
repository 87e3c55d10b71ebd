// The host's network for real: bridges and taps by rtnetlink, rules by nftables, DHCP and DNS by dnsmasq. Each apply
// makes everything as the plan says and removes what bears our mark and isn't in it; what is right already is left
// alone.
#pragma once
#include <memory>
#include <string>

#include "agent/network/network.hpp"
#include "common/base/clock.hpp"
#include "common/loop/loop.hpp"
#include "common/loop/workers.hpp"

namespace axle {

struct LinuxNetworkOptions {
    std::string state_folder = "/var/lib/axle/agent";  // host-settings.json, dnsmasq/
};

class LinuxNetwork final : public Network {
  public:
    // events: the loop that hears what the kernel tells of others' changes.
    LinuxNetwork(LinuxNetworkOptions options, Loop& events, Workers& workers, Executor& core);
    ~LinuxNetwork() override;
    void apply(NetworkPlan plan, std::function<void(Result<NetworkReport>)> answer) override;
    void on_hint(std::function<void(NetworkHint)> told) override;
    void leases(NetworkId network, std::function<void(Result<std::vector<Lease>>)> answer) override;
    void remove_all(std::function<void(Result<>)> done) override;

  private:
    class Work;
    template <typename T>
    void run(std::function<Result<T>(Work&)> job, std::function<void(Result<T>)> answer);

    Loop& events_;
    Workers& workers_;
    Executor& core_;
    std::shared_ptr<Work> work_;  // used by one worker at a time (its lane)
    std::unique_ptr<class NetlinkWatch> watch_;
};

}  // namespace axle
