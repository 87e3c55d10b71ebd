// Networks and port forwards: ranges that overlap nothing, ports that nobody has.
#include <algorithm>
#include <array>

#include "common/model/format.hpp"
#include "orchestrator/core/admit.hpp"

namespace axle {
namespace {

constexpr std::int64_t kPlainMtu = 1500, kNatMtu = kPlainMtu - 50;  // less the outer headers of VXLAN

// What a range must not overlap: other networks of ours and what hosts reach already. Empty: it is free.
std::string taken_by(const World& world, const Cidr& range) {
    if (const auto taken = world.nat_ranges().overlapping(range)) {
        const auto& other = *world.find<NetworkObject>(taken->owner);
        return fmt::format("network {}/{} has {}", other.meta.project.name, other.meta.name, other.spec.cidr);
    }
    if (const auto taken = world.host_routes().overlapping(range)) {
        const Host& host = *world.find<Host>(taken->owner);
        const auto link = host.status.facts.route_links.find(taken->range.str());
        return fmt::format("host {} reaches {} already{}", host.meta.name, taken->range.str(),
                           link == host.status.facts.route_links.end() ? "" : " by " + link->second);
    }
    return "";
}

// First free /24 of 10.90.0.0/15, then of 172.24.0.0/14.
std::optional<Cidr> free_range(const World& world) {
    for (const char* block : {"10.90.0.0/15", "172.24.0.0/14"}) {
        const Cidr all = *parse_cidr(block);
        for (std::uint32_t at = all.first(); at < all.last(); at += 256) {
            const Cidr range{at, 24};
            if (!world.nat_ranges().overlapping(range) && !world.host_routes().overlapping(range)) return range;
        }
    }
    return std::nullopt;
}

// The host gets a route to the range: of what isn't private it would cut off the host itself.
void check_kind_of_range(Admission& a, const Cidr& range) {
    if (const char* special = special_range(range))
        return a.refuse("/spec/cidr", "out-of-range",
                        fmt::format("{} lies in {}, which no network can have", range.str(), special));
    const bool is_private = std::ranges::any_of(
        std::array{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"}, [&](const char* block) {
            const Cidr all = *parse_cidr(block);
            return all.contains(range.first()) && all.contains(range.last());
        });
    if (!is_private && !a.by_administrator)
        a.refuse("/spec/cidr", "out-of-range",
                 fmt::format("{} is no private range: take one of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 and "
                             "100.64.0.0/10, or ask an administrator",
                             range.str()));
}

void admit_nat(Admission& a, NetworkObject& network, const NetworkObject* before) {
    NetworkSpec& spec = network.spec;
    if (!spec.bridge.empty())
        a.refuse("/spec/bridge", "unsupported",
                 "only a bridged network names a bridge; a nat network has one of its own");
    if (spec.cidr.empty()) {
        const auto range = free_range(a.tx.world());
        if (!range)
            return a.refuse("/spec/cidr", "exhausted",
                            "no free /24 is left in 10.90.0.0/15 and 172.24.0.0/14: name a range");
        spec.cidr = range->str();
    }
    const Cidr range = *parse_cidr(spec.cidr);
    if (range.prefix < 8 || range.prefix > 29) return a.refuse("/spec/cidr", "out-of-range", "must be /8 to /29");
    spec.cidr = range.str();
    if (before == nullptr) check_kind_of_range(a, range);
    if (before == nullptr) {
        if (const std::string who = taken_by(a.tx.world(), range); !who.empty())
            a.refuse("/spec/cidr", "conflict", fmt::format("{} overlaps: {}", spec.cidr, who));
    }
    if (spec.gateway.empty()) spec.gateway = format_ipv4(range.first() + 1);
    const std::uint32_t gateway = *parse_ipv4(spec.gateway);
    if (!range.contains(gateway) || gateway == range.first() || gateway == range.last())
        a.refuse("/spec/gateway", "out-of-range", fmt::format("must be an address of a host in {}", spec.cidr));
}

std::int64_t free_vni(Transaction& tx) {
    constexpr std::uint64_t kVnis = 1 << 24;
    for (;;) {
        const auto vni = static_cast<std::int64_t>(tx.random().next() % kVnis);
        if (vni != 0 && !tx.world().is_vni_taken(vni)) return vni;
    }
}

std::string random_mac(Transaction& tx) {
    const std::uint64_t r = tx.random().next();
    return fmt::format("52:54:00:{:02x}:{:02x}:{:02x}", r & 255, r >> 8 & 255, r >> 16 & 255);
}

}  // namespace

const char* special_range(const Cidr& range) {
    for (const char* special : {"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"}) {
        if (range.overlaps(*parse_cidr(special))) return special;
    }
    return nullptr;
}

Result<> admit_network(Admission& a, NetworkObject& network, const NetworkObject* before) {
    NetworkSpec& spec = network.spec;
    if (!spec.mtu && before != nullptr) spec.mtu = before->spec.mtu;
    if (!spec.mtu) spec.mtu = spec.type == NetworkType::nat ? kNatMtu : kPlainMtu;
    if (spec.type == NetworkType::nat) {
        admit_nat(a, network, before);
    } else {
        if (spec.bridge.empty())
            a.refuse("/spec/bridge", "required", "a bridged network names the host's bridge, e.g. br0");
        if (spec.bridge.starts_with("axb")) a.refuse("/spec/bridge", "reserved", "is a bridge of the cloud's own");
        if (!std::ranges::all_of(spec.bridge, [](char c) {
                return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.';
            }))
            a.refuse("/spec/bridge", "malformed", "must be the name of an interface");
    }
    if (before == nullptr) {
        network.status = {};
        network.status.gateway_mac = random_mac(a.tx);
    }
    if (spec.type == NetworkType::nat && network.status.vni == 0) network.status.vni = free_vni(a.tx);
    return {};
}

Result<> admit_portforward(Admission& a, PortForward& forward, const PortForward* before) {
    const World& world = a.tx.world();
    const Vm* vm = world.find<Vm>(forward.spec.vm.id);
    if (forward.spec.nic.empty()) {
        for (const auto& [name, nic] : vm->spec.nics) {
            const auto* network = world.find<NetworkObject>(nic.network.id);
            if (network != nullptr && network->spec.type == NetworkType::nat) {
                forward.spec.nic = name;
                break;
            }
        }
    }
    if (!vm->spec.nics.contains(forward.spec.nic)) {
        a.refuse("/spec/nic", "no-such-object",
                 forward.spec.nic.empty() ? fmt::format("VM {} has no NIC on a nat network", vm->meta.name)
                                          : fmt::format("VM {} has no NIC {}", vm->meta.name, forward.spec.nic));
        return {};
    }
    if (forward.spec.host_port == 7443 || forward.spec.host_port == 7444 || forward.spec.host_port == 22)
        a.refuse("/spec/hostPort", "reserved", fmt::format("port {} is the host's own", forward.spec.host_port));
    for (const auto& [id, object] : world.all(Kind::portforward)) {
        const auto& other = static_cast<const PortForward&>(*object);
        const bool self = before != nullptr && id == before->meta.id;
        const bool same_listen =
            other.spec.listen.empty() || forward.spec.listen.empty() || other.spec.listen == forward.spec.listen;
        if (!self && other.spec.host_port == forward.spec.host_port && other.spec.protocol == forward.spec.protocol &&
            same_listen)
            a.refuse("/spec/hostPort", "conflict",
                     fmt::format("port {} leads to {} already (portforward {}/{})", forward.spec.host_port,
                                 other.spec.vm.name, other.meta.project.name, other.meta.name));
    }
    return {};
}

}  // namespace axle
