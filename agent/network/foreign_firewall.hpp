// Firewalls of others that cut guests off whatever our rules say: found by walking the packets that a network needs
// through their rules, named with the remedy, and opened only with the user's word, in the places that they leave for
// it. What was opened is recorded durably before, and taken back exactly.
#pragma once
#include <string>
#include <vector>

#include "agent/network/foreign_rules.hpp"
#include "agent/network/network.hpp"

namespace axle {

struct ForeignBlock {
    std::vector<std::string> programs;  // that open_foreign_firewalls() knows: "docker", "ufw", "firewalld"
    std::string message;                // cause
    std::string remedy;
};

struct HostPath {
    std::string uplink;             // interface of the default route; empty: none
    bool bridged_filtered = false;  // bridged packets go through the rules, too (br_netfilter)
};
// What of this network is cut off, and by whom; empty: nothing is in its way. Pure.
std::vector<ForeignBlock> foreign_blocks(const std::vector<ForeignChain>& chains, const NetworkDocument& network,
                                         const HostPath& path);

// The rules of iptables-legacy in the filter table, where this kernel has any. Blocks.
Result<std::vector<ForeignChain>> read_legacy_rules();
// All of others' rules in this network namespace: nft's, iptables-nft's, iptables-legacy's. Blocks.
Result<std::vector<ForeignChain>> read_foreign_rules();
// How packets leave this host, as its kernel says. Blocks.
Result<HostPath> read_host_path();

// True if others' rules translate addresses here (Docker, libvirt's networks, a router of the user's): they need the
// host to forward. Blocks.
Result<bool> others_forward();

// Programs whose firewalls would cut off the guests of any nat network here, and that can be opened. Blocks.
Result<std::vector<std::string>> blocking_programs();

// What is run to let the packets of an interface ("axb+", "br0") through, and to take that back. Pure.
struct Opening {
    std::vector<std::string> add, remove;
    std::vector<std::string> check;  // succeeds if it is there already; empty: add may be repeated
};
std::vector<Opening> openings(const std::string& program, const std::string& interface);

// Blocks. record: path of the file that remembers what was opened. Both are idempotent: opening with nothing named does
// again what was agreed to before (Docker forgets it when it starts); closing what others have taken away succeeds.
Result<> open_foreign_firewalls(const std::string& record, const std::vector<std::string>& programs,
                                const std::vector<std::string>& interfaces);
Result<> close_foreign_firewalls(const std::string& record);
inline std::string opened_record(const std::string& state_folder) {
    return state_folder + "/opened-firewalls.json";
}

}  // namespace axle
