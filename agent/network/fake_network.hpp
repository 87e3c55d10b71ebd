// The network of a host that exists in memory only, for tests and simulations: keeps what was applied as the real one
// keeps it (a tap in use stays, what is right outlives a failure), and can fail, lie late or never answer. Core thread.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/network/network.hpp"
#include "common/base/clock.hpp"

namespace axle {

class FakeNetwork final : public Network {
  public:
    explicit FakeNetwork(Executor& core) : core_(core) {}

    void apply(NetworkPlan plan, std::function<void(Result<NetworkReport>)> answer) override;
    void on_hint(std::function<void(NetworkHint)> told) override { told_ = std::move(told); }
    void leases(NetworkId network, std::function<void(Result<std::vector<Lease>>)> answer) override;
    void remove_all(std::function<void(Result<>)> done) override;

    // What the host is like.
    std::set<std::string> host_bridges;    // that bridged networks may use
    std::vector<std::string> host_routes;  // CIDR; ranges that overlap are refused
    // What happens to a call ("apply", "leases", "remove_all") before it acts: an error is its answer.
    std::function<std::optional<Error>(const std::string& call)> fault;
    // How an answer comes: default posts it. A simulation delays or drops it.
    std::function<void(std::function<void()>)> deliver;

    // What others do.
    void tell(NetworkHint hint) {
        if (told_) answer_by([told = told_, hint] { told(hint); });
    }

    // What guests do.
    void open_tap(const std::string& tap) { open_.insert(tap); }  // a guest starts: false use is found by broken()
    void close_tap(const std::string& tap) { open_.erase(tap); }
    // A guest asks for an address; what DHCP gives it, or nothing.
    std::optional<std::string> ask_dhcp(const std::string& tap);

    // What is there.
    const std::map<NetworkId, NetworkDocument>& networks() const { return networks_; }
    const std::map<std::string, NicPlan>& taps() const { return taps_; }
    // What must never be: a MAC or an address twice in a network, a tap without its network, an open tap that is gone.
    // Empty: all is well.
    std::string broken() const;

  private:
    std::optional<Error> fails(const std::string& call) { return fault ? fault(call) : std::nullopt; }
    void answer_by(std::function<void()> job);
    SimpleReport make(const NetworkDocument& network);

    Executor& core_;
    std::function<void(NetworkHint)> told_;
    std::map<NetworkId, NetworkDocument> networks_;
    std::map<std::string, NicPlan> taps_;
    std::set<std::string> open_;
    std::map<NetworkId, std::map<std::string, Lease>> leases_;  // by MAC
};

}  // namespace axle
