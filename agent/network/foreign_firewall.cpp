#include "agent/network/foreign_firewall.hpp"

#include <map>
#include <set>

#include "agent/network/tunnel.hpp"

namespace axle {
namespace {

struct Need {
    std::string what;  // in a sentence: "... are dropped by"
    Packet packet;
    bool between_hosts = false;
};

std::vector<Need> needs_of(const NetworkDocument& network, const HostPath& path) {
    std::vector<Need> out;
    const std::string& bridge = network.bridge;
    if (path.bridged_filtered)
        out.push_back({"packets between guests of one bridge", {.hook = "forward", .in = bridge, .out = bridge}});
    if (network.type != NetworkType::nat) return out;
    const std::string out_of = path.uplink.empty() ? "uplink" : path.uplink;
    out.push_back({"packets of guests to the world outside", {.hook = "forward", .in = bridge, .out = out_of}});
    out.push_back({"the answers to them", {.hook = "forward", .in = out_of, .out = bridge, .state = "established"}});
    if (!network.forwards.empty())
        out.push_back(
            {"connections to forwarded ports", {.hook = "forward", .in = out_of, .out = bridge, .status = "dnat"}});
    if (wants_tunnel(network))
        out.push_back({"packets of guests on other hosts",
                       {.hook = "input",
                        .in = out_of,
                        .protocol = "udp",
                        .port = std::to_string(kTunnelPort),
                        .source = network.peers.front().host,
                        .destination = network.underlay,
                        .destination_type = "local"},
                       true});
    out.push_back({"guests' requests for an address (DHCP)",
                   {.hook = "input",
                    .in = bridge,
                    .protocol = "udp",
                    .port = "67",
                    .source = "0.0.0.0",
                    .destination_type = "broadcast"}});
    out.push_back({"guests' look-ups of names (DNS)",
                   {.hook = "input",
                    .in = bridge,
                    .protocol = "udp",
                    .port = "53",
                    .destination = network.gateway,
                    .destination_type = "local"}});
    return out;
}

// Whose chains stand in that table, and who of them can be told to let something through at this hook.
std::vector<std::string> programs_in(const std::vector<ForeignChain>& chains, const ForeignChain& base) {
    bool docker = false, ufw = false;
    for (const ForeignChain& chain : chains) {
        if (chain.table != base.table || chain.family != base.family) continue;
        docker = docker || (chain.name == "DOCKER-USER" && base.hook == "forward");
        ufw = ufw || chain.name.starts_with("ufw-");
    }
    std::vector<std::string> out;
    if (docker) out.emplace_back("docker");
    if (ufw) out.emplace_back("ufw");
    if (base.table == "firewalld") out.emplace_back("firewalld");
    return out;
}

std::string by_hand(const std::vector<std::string>& programs, const std::string& interface) {
    std::vector<std::string> commands;
    for (const std::string& program : programs) {
        for (const Opening& opening : openings(program, interface))
            commands.push_back(fmt::format("{}", fmt::join(opening.add, " ")));
    }
    return fmt::format("{}", fmt::join(commands, "; "));
}

std::string interfaces_of(const NetworkDocument& network) {
    return network.type == NetworkType::nat ? "axb+" : network.bridge;
}

}  // namespace

std::vector<ForeignBlock> foreign_blocks(const std::vector<ForeignChain>& chains, const NetworkDocument& network,
                                         const HostPath& path) {
    std::map<const ForeignChain*, std::vector<std::string>> cut;  // by base chain
    std::map<const ForeignChain*, std::string> where;
    std::set<const ForeignChain*> between_hosts;
    for (const Need& need : needs_of(network, path)) {
        const auto drop = find_drop(chains, need.packet);
        if (!drop) continue;
        cut[drop->chain].push_back(need.what);
        where[drop->chain] = drop->where;
        if (need.between_hosts) between_hosts.insert(drop->chain);
    }
    std::vector<ForeignBlock> out;
    for (const auto& [chain, what] : cut) {
        ForeignBlock block{.programs = programs_in(chains, *chain)};
        const std::string who = block.programs.empty() ? "a firewall that is not Axle's"
                                                       : fmt::format("{}", fmt::join(block.programs, " and "));
        block.message = fmt::format("{} {} guests off: {} are dropped by {}", who,
                                    block.programs.size() > 1 ? "cut" : "cuts", fmt::join(what, ", "), where[chain]);
        block.remedy = block.programs.empty()
                           ? fmt::format("let packets from and to interfaces {} pass there", interfaces_of(network))
                           : "packaging/quickstart --open-firewall lets them through, or by hand: " +
                                 by_hand(block.programs, interfaces_of(network));
        if (between_hosts.contains(chain))
            block.remedy +=
                fmt::format("; and let UDP port {0} in from the other hosts, with ufw: ufw allow {0}/udp", kTunnelPort);
        out.push_back(std::move(block));
    }
    return out;
}

std::vector<Opening> openings(const std::string& program, const std::string& interface) {
    std::vector<Opening> out;
    if (program == "docker") {
        for (const char* side : {"-i", "-o"}) {
            const auto rule = [&](const char* verb) {
                return std::vector<std::string>{"iptables", "-w",      "5",     verb,      "DOCKER-USER",
                                                side,       interface, "-m",    "comment", "--comment",
                                                "axle",     "-j",      "ACCEPT"};
            };
            out.push_back({rule("-I"), rule("-D"), rule("-C")});
        }
    }
    if (program == "ufw") {
        const std::vector<std::vector<std::string>> rules = {
            {"allow", "in", "on", interface, "to", "any", "port", "67", "proto", "udp"},
            {"allow", "in", "on", interface, "to", "any", "port", "53"}};
        for (const char* side : {"in", "out"})
            out.push_back({{"ufw", "route", "allow", side, "on", interface, "comment", "axle"},
                           {"ufw", "route", "delete", "allow", side, "on", interface},
                           {}});
        for (const auto& rule : rules) {
            Opening opening{{"ufw"}, {"ufw", "delete"}, {}};
            opening.add.insert(opening.add.end(), rule.begin(), rule.end());
            opening.add.insert(opening.add.end(), {"comment", "axle"});
            opening.remove.insert(opening.remove.end(), rule.begin(), rule.end());
            out.push_back(std::move(opening));
        }
    }
    if (program == "firewalld") {
        for (const bool kept : {false, true}) {
            const auto command = [&](const std::string& verb) {
                std::vector<std::string> words = {"firewall-cmd", "-q", "--zone=trusted",
                                                  verb + "-interface=" + interface};
                if (kept) words.insert(words.begin() + 2, "--permanent");
                return words;
            };
            out.push_back({command("--add"), command("--remove"), command("--query")});
        }
    }
    return out;
}

}  // namespace axle
