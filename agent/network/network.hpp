// The seam to the host's network. Production: linux_network.hpp (rtnetlink, libnftables, dnsmasq). Tests:
// fake_network.hpp. The suite in tests/contract/network holds both to this page.
//
// Level-triggered: the core hands over all that should be, the edge makes it so and removes what bears our mark and
// isn't in it. One apply at a time; called and answered on the core thread. Idempotent; a failure leaves what was
// already right.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/channel/reports.hpp"

namespace axle {

struct NicPlan {
    VmId vm;
    std::string nic;  // name in the VM
    NetworkId network;
    std::string tap;  // axt<hash of vm id and nic>
    std::string mac;
    std::string address;        // empty: any (bridged), MAC enforced only
    std::string hostname = {};  // that DHCP tells
};
struct NetworkPlan {
    std::vector<NetworkDocument> networks;
    std::vector<NicPlan>
        nics;  // taps that must exist, with their anti-spoofing rules; a tap that is in use is never removed
};

struct NetworkReport {
    // Per network: ready, and conditions (Blocked by a foreign firewall with cause and remedy, BridgeMissing,
    // PortTaken, RangeOverlaps, ...).
    std::map<NetworkId, SimpleReport> networks;
    std::map<std::string, std::string> tap_errors;  // tap -> why it could not be made
};
enum class DhcpStage { none, asked, answered };
struct Lease {
    std::string mac;
    std::string address;
    DhcpStage stage = DhcpStage::none;
    WallTime
        at{};  // of the last of this stage, to the second; 0: not known. An earlier run of the guest may have been it
};

// What was changed by somebody, perhaps by ourselves: what bears our mark (apply again), or the host's own addresses
// and routes (its facts are old).
enum class NetworkHint { ours, host };

// Name of a tap or bridge of ours: prefix and 12 base32 characters of a hash, 15 characters in all (IFNAMSIZ).
std::string bridge_name(NetworkId network);
std::string tunnel_name(NetworkId network);
std::string tap_name(VmId vm, const std::string& nic);
bool is_our_name(std::string_view interface);  // has the form of these

class Network {
  public:
    virtual ~Network() = default;
    virtual void apply(NetworkPlan plan, std::function<void(Result<NetworkReport>)> answer) = 0;
    // Set once. Hints may be lost, late and repeated.
    virtual void on_hint(std::function<void(NetworkHint)> told) = 0;
    // DHCP as dnsmasq has seen it, per MAC, with its time.
    virtual void leases(NetworkId network, std::function<void(Result<std::vector<Lease>>)> answer) = 0;
    // Takes away all that bears our mark and restores the recorded host settings (removal of the product).
    virtual void remove_all(std::function<void(Result<>)> done) = 0;
};

}  // namespace axle
