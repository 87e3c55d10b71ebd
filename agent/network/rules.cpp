// The rules as text. Stateful rules stand in the inet family (kernels without bridge conntrack exist), anti-spoofing in
// the bridge family, keyed by sets so that the rules are the same for any number of guests.
#include <algorithm>
#include <set>

#include "agent/network/firewall.hpp"
#include "agent/network/tunnel.hpp"
#include "common/model/format.hpp"

namespace axle {
namespace {

bool is_interface_name(const std::string& name) {
    return !name.empty() && name.size() <= 15 && std::ranges::all_of(name, [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.';
    });
}

struct NatNetwork {
    std::string bridge, cidr, gateway;
    const std::vector<Forward>* forwards;
};
std::vector<NatNetwork> nat_networks(const NetworkPlan& plan) {
    std::vector<NatNetwork> out;
    for (const NetworkDocument& n : plan.networks) {
        const auto range = parse_cidr(n.cidr);
        const auto gateway = parse_ipv4(n.gateway);
        if (n.type == NetworkType::nat && range && gateway && is_interface_name(n.bridge))
            out.push_back({n.bridge, range->str(), format_ipv4(*gateway), &n.forwards});
    }
    return out;
}

std::string forward_rule(const Forward& f) {
    const auto guest = parse_ipv4(f.address);
    if (!guest) return "";
    const auto listen = parse_ipv4(f.listen);
    const std::string where =
        listen ? fmt::format("ip daddr {}", format_ipv4(*listen)) : "fib daddr type local ip daddr != 127.0.0.0/8";
    return fmt::format("    {} {} dport {} dnat ip to {}:{}\n", where, text_of(f.protocol), f.host_port,
                       format_ipv4(*guest), f.guest_port);
}

std::string nat_chains(const std::vector<NatNetwork>& networks) {
    // DHCP and DNS of a gateway are its own, whatever port of the host is forwarded.
    std::string own, forwards, leaving;
    for (const NatNetwork& n : networks) {
        own += fmt::format("    iifname \"{}\" ip daddr {} meta l4proto {{ tcp, udp }} th dport {{ 53, 67 }} accept\n",
                           n.bridge, n.gateway);
        for (const Forward& f : *n.forwards) forwards += forward_rule(f);
        leaving += fmt::format("    ip saddr {0} ip daddr != {0} oifname != \"{1}\" masquerade\n", n.cidr, n.bridge);
        leaving += fmt::format("    ip saddr {0} ip daddr {0} ct status dnat masquerade\n",
                               n.cidr);  // a guest that asks its own host's port
    }
    return fmt::format(
        "  chain axle_dnat {{\n    type nat hook prerouting priority dstnat; policy accept;\n{2}{0}  }}\n"
        "  chain axle_dnat_local {{\n    type nat hook output priority -100; policy accept;\n{0}  }}\n"
        "  chain axle_snat {{\n    type nat hook postrouting priority srcnat; policy accept;\n{1}  }}\n",
        forwards, leaving, own);
}

std::string filter_chains(const std::vector<NatNetwork>& networks, std::string input) {
    std::string forward;
    for (const NatNetwork& n : networks) {
        input += fmt::format("    iifname \"{}\" ip daddr {} meta l4proto {{ tcp, udp }} th dport 53 accept\n",
                             n.bridge, n.gateway);
        input += fmt::format("    iifname \"{}\" ip daddr {} icmp type echo-request accept\n", n.bridge, n.gateway);
        input += fmt::format("    iifname \"{}\" ip daddr {{ 255.255.255.255, {} }} udp dport 67 accept\n", n.bridge,
                             n.gateway);
        input += fmt::format("    iifname \"{}\" jump axle_from_guest\n", n.bridge);
        forward += fmt::format(
            "    oifname \"{0}\" ct state established,related accept\n    oifname \"{0}\" ct status dnat accept\n    "
            "oifname \"{0}\" iifname \"{0}\" accept\n    oifname \"{0}\" drop\n",
            n.bridge);
    }
    return fmt::format(
        "  chain axle_from_guest {{\n    ct state established,related accept\n    drop\n  }}\n"
        "  chain axle_input {{\n    type filter hook input priority filter; policy accept;\n{}  }}\n"
        "  chain axle_forward {{\n    type filter hook forward priority filter; policy accept;\n{}  }}\n",
        input, forward);
}

std::string set_of(const char* name, const char* type, const std::vector<std::string>& elements) {
    return fmt::format("  set {} {{\n    type {}\n{}  }}\n", name, type,
                       elements.empty() ? "" : fmt::format("    elements = {{ {} }}\n", fmt::join(elements, ", ")));
}

// Frames to 01:80:c2:00:00:00 to ..0f are for bridges and switches (spanning tree, LLDP): a guest is none.
constexpr const char* kGuardChains =
    "  set axle_dhcp_askers {\n    type ifname\n    size 65535\n    flags dynamic,timeout\n    timeout 1m\n  }\n"
    "  chain axle_guard {\n"
    "    type filter hook prerouting priority -300; policy accept;\n"
    "    iifname != @axle_taps accept\n"
    "    iifname . ether saddr != @axle_macs drop\n"
    "    ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 drop\n"
    "    ether type { 0x8100, 0x88a8 } drop\n"
    "    ether type arp iifname . arp saddr ether != @axle_macs drop\n"
    "    ether type arp arp saddr ip 0.0.0.0 accept\n"
    "    ether type arp iifname . arp saddr ether . arp saddr ip @axle_ips accept\n"
    "    ether type ip udp sport 67 drop\n"
    "    ether type ip udp dport 67 update @axle_dhcp_askers { iifname limit rate over 10/second burst 30 packets } "
    "drop\n"
    "    ether type ip ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept\n"
    "    ether type ip iifname . ether saddr . ip saddr @axle_ips accept\n"
    "    ether type ip6 icmpv6 type { nd-router-advert, nd-redirect } drop\n"
    "    ether type ip6 udp sport 547 drop\n"
    "    iifname @axle_any_ip accept\n"
    "    ether type ip6 ip6 saddr { fe80::/10, :: } accept\n"
    "    drop\n"
    "  }\n"
    "  chain axle_guard_own {\n"
    "    type filter hook input priority -300; policy accept;\n"
    "    iifname @axle_taps ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 drop\n"
    "  }\n";

// Between hosts go frames of guests to guests, from where they are known to be, and nothing else: each host has the
// same gateway, and answers ARP and DHCP itself.
constexpr const char* kTunnelChains =
    "  chain axle_tunnel_in {\n"
    "    type filter hook prerouting priority -310; policy accept;\n"
    "    iifname != @axle_tunnels accept\n"
    "    ether type != ip drop\n"
    "    udp dport { 67, 68 } drop\n"
    "    iifname . ether saddr . ip saddr @axle_peers accept\n"
    "    drop\n"
    "  }\n"
    "  chain axle_tunnel_out {\n"
    "    type filter hook postrouting priority -310; policy accept;\n"
    "    oifname != @axle_tunnels accept\n"
    "    ether type != ip drop\n"
    "    udp dport { 67, 68 } drop\n"
    "    oifname . ether saddr @axle_gateways drop\n"
    "  }\n";

std::string tunnel_rules(const NetworkPlan& plan) {
    std::vector<std::string> tunnels, peers, gateways;
    for (const NetworkDocument& n : plan.networks) {
        if (!wants_tunnel(n)) continue;
        const std::string tunnel = fmt::format("\"{}\"", tunnel_name(n.id));
        tunnels.push_back(tunnel);
        if (!why_not(Format::mac, n.gateway_mac)) gateways.push_back(tunnel + " . " + n.gateway_mac);
        for (const NetworkPeer& peer : n.peers) {
            const auto address = parse_ipv4(peer.address);
            if (address && !why_not(Format::mac, peer.mac))
                peers.push_back(fmt::format("{} . {} . {}", tunnel, peer.mac, format_ipv4(*address)));
        }
    }
    return set_of("axle_tunnels", "ifname", tunnels) + set_of("axle_peers", "ifname . ether_addr . ipv4_addr", peers) +
           set_of("axle_gateways", "ifname . ether_addr", gateways) + kTunnelChains;
}

// Only hosts that are known to have guests of ours may send into a network.
std::string tunnel_input(const NetworkPlan& plan) {
    std::set<std::string> hosts;
    bool any = false;
    for (const NetworkDocument& n : plan.networks) {
        if (!wants_tunnel(n)) continue;
        any = true;
        for (const NetworkPeer& peer : n.peers) {
            if (const auto address = parse_ipv4(peer.host)) hosts.insert(format_ipv4(*address));
        }
    }
    if (!any) return "";
    std::string rules;
    if (!hosts.empty())
        rules = fmt::format("    udp dport {} ip saddr {{ {} }} accept\n", kTunnelPort, fmt::join(hosts, ", "));
    return rules + fmt::format("    udp dport {} drop\n", kTunnelPort);
}

std::string bridge_table(const NetworkPlan& plan, const std::vector<std::string>& strays) {
    std::vector<std::string> taps, macs, addresses, any_address;
    std::set<NetworkId> nat;  // there every guest has an address of ours
    for (const NetworkDocument& n : plan.networks) {
        if (n.type == NetworkType::nat) nat.insert(n.id);
    }
    for (const std::string& tap : strays) {
        if (is_interface_name(tap)) taps.push_back(fmt::format("\"{}\"", tap));
    }
    for (const NicPlan& nic : plan.nics) {
        if (!is_interface_name(nic.tap)) continue;
        taps.push_back(fmt::format("\"{}\"", nic.tap));
        if (why_not(Format::mac, nic.mac)) continue;
        macs.push_back(fmt::format("\"{}\" . {}", nic.tap, nic.mac));
        if (const auto ip = parse_ipv4(nic.address))
            addresses.push_back(fmt::format("\"{}\" . {} . {}", nic.tap, nic.mac, format_ipv4(*ip)));
        else if (nic.address.empty() && !nat.contains(nic.network))
            any_address.push_back(fmt::format("\"{}\"", nic.tap));
    }
    return "table bridge axle {\n" + set_of("axle_taps", "ifname", taps) +
           set_of("axle_macs", "ifname . ether_addr", macs) +
           set_of("axle_ips", "ifname . ether_addr . ipv4_addr", addresses) +
           set_of("axle_any_ip", "ifname", any_address) + kGuardChains + tunnel_rules(plan) + "}\n";
}

}  // namespace

std::string rules_for(const NetworkPlan& plan, const std::vector<std::string>& strays) {
    const std::vector<NatNetwork> networks = nat_networks(plan);
    return "table inet axle {\n" + nat_chains(networks) + filter_chains(networks, tunnel_input(plan)) + "}\n" +
           bridge_table(plan, strays);
}

}  // namespace axle
