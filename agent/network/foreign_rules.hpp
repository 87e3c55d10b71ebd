// What the firewalls of others would do with a packet of ours. Their rules are read from nft's JSON (which shows those
// of iptables-nft, too) and from the text of iptables-legacy-save, and one packet is walked through them. Pure.
//
// What a rule asks that isn't known of the packet counts as not so; but a rule that accepts and names our interface is
// believed whatever else it asks. So what is found dropped is dropped by a rule or a policy that a person can look at.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"

namespace axle {

struct ForeignRule {
    enum class Action { none, accept, drop, jump, go, back };
    struct Match {
        enum class Key {
            in,
            out,
            protocol,
            port,
            state,
            status,
            family,
            source,
            destination,
            destination_type,
            unknown
        };
        Key key = Key::unknown;
        bool negated = false;
        std::vector<std::string> values;  // "axb*", "tcp", "53", "new", "dnat", "ipv4", "10.0.0.0/8", "local"
    };
    std::vector<Match> matches;
    Action action = Action::none;
    std::string target;  // of jump and go
};
struct ForeignChain {
    std::string family, table, name;
    std::string hook;    // empty: only jumped to
    bool drops = false;  // its policy
    std::vector<ForeignRule> rules;
};

// All but our own tables. Code::malformed if it is no listing of nft's.
Result<std::vector<ForeignChain>> read_nft_ruleset(const std::string& json);
// The table filter of iptables-legacy-save.
std::vector<ForeignChain> read_iptables_save(std::string_view text);

struct Packet {
    std::string hook;     // "forward", "input"
    std::string in, out;  // interfaces
    std::string protocol = "tcp";
    std::string port;                 // destination's; empty: any
    std::string state = "new";        // "established"
    std::string status;               // "dnat": by a port forward
    std::string source, destination;  // addresses; empty: any
    std::string destination_type;     // "local", "broadcast"
};
struct Drop {
    const ForeignChain* chain = nullptr;  // the base chain that it was in
    std::string where;                    // "the policy of chain FORWARD of table ip filter"
};
// Who drops it; nullopt: it passes all of them.
std::optional<Drop> find_drop(const std::vector<ForeignChain>& chains, const Packet& packet);

}  // namespace axle
