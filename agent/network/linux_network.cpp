#include "agent/network/linux_network.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "agent/network/dnsmasq.hpp"
#include "agent/network/firewall.hpp"
#include "agent/network/foreign_firewall.hpp"
#include "agent/network/host_settings.hpp"
#include "agent/network/netlink_watch.hpp"
#include "agent/network/ports.hpp"
#include "agent/network/rtnetlink.hpp"
#include "agent/network/tunnel.hpp"
#include "common/base/file.hpp"
#include "common/base/log.hpp"
#include "common/model/format.hpp"

namespace axle {
namespace {

// A default route, or one of the halves that VPNs lay over it: in nobody's way.
bool is_everywhere(const Cidr& destination) {
    return destination.prefix <= 1;
}

constexpr const char* kForward = "/proc/sys/net/ipv4/ip_forward";
constexpr std::string_view kNetworkMark = "axle network ", kNicMark = "axle nic ";

Condition trouble(const char* reason, std::string message) {
    return {.type = reason, .status = true, .reason = reason, .message = std::move(message)};
}

bool is_ours(const Link& link) {
    const bool of_network = link.name.starts_with("axb") || link.name.starts_with("axv");
    return (of_network && link.alias.starts_with(kNetworkMark)) ||
           (link.name.starts_with("axt") && link.alias.starts_with(kNicMark));
}

std::string mark_of(const NetworkDocument& n) {
    return std::string(kNetworkMark) + n.id.str();
}

std::string with_prefix(const NetworkDocument& n) {
    const auto range = parse_cidr(n.cidr);
    return fmt::format("{}/{}", n.gateway, range ? range->prefix : 24);
}

}  // namespace

// What one apply works with. Worker thread only.
class LinuxNetwork::Work {
  public:
    explicit Work(LinuxNetworkOptions options)
        : options_(std::move(options)),
          dnsmasq_(options_.state_folder + "/dnsmasq"),
          settings_(options_.state_folder + "/host-settings.json") {}

    Result<NetworkReport> apply(const NetworkPlan& plan);
    Result<std::vector<Lease>> leases(NetworkId network) { return dnsmasq_.leases(network); }
    Result<> remove_all();

  private:
    Result<> look();
    const Link* link(const std::string& name) const;
    std::string name_of(int index) const;
    std::optional<std::string> overlap(const NetworkDocument& network) const;
    SimpleReport make_network(const NetworkDocument& network);
    Result<> make_bridge(const NetworkDocument& network);
    Result<> make_tap(const NicPlan& nic, const NetworkDocument& network);
    std::vector<std::string> strays(const NetworkPlan& plan) const;
    void sweep(const NetworkPlan& plan);
    void join_hosts(const std::vector<NetworkDocument>& networks, NetworkReport& report);
    void report_foreign(NetworkReport& report, const NetworkPlan& plan);

    LinuxNetworkOptions options_;
    Dnsmasq dnsmasq_;
    HostSettings settings_;
    Firewall firewall_;
    std::unique_ptr<Rtnetlink> rtnl_;
    std::vector<Link> links_;
    std::vector<LinkAddress> addresses_;
    std::vector<Route> routes_;
};

Result<> LinuxNetwork::Work::look() {
    if (!rtnl_) {
        TRY(opened, Rtnetlink::open());
        rtnl_ = std::move(opened);
    }
    TRY(links, rtnl_->links());
    TRY(addresses, rtnl_->addresses());
    TRY(routes, rtnl_->routes());
    links_ = std::move(links);
    addresses_ = std::move(addresses);
    routes_ = std::move(routes);
    return {};
}

const Link* LinuxNetwork::Work::link(const std::string& name) const {
    const auto found = std::ranges::find(links_, name, &Link::name);
    return found == links_.end() ? nullptr : &*found;
}

std::string LinuxNetwork::Work::name_of(int index) const {
    const auto found = std::ranges::find(links_, index, &Link::index);
    return found == links_.end() ? fmt::format("interface {}", index) : found->name;
}

// A range that the host reaches already, or is itself in, by an interface that isn't this network's.
std::optional<std::string> LinuxNetwork::Work::overlap(const NetworkDocument& network) const {
    const auto range = parse_cidr(network.cidr);
    if (!range) return fmt::format("\"{}\" is no range", network.cidr);
    const Link* own = link(network.bridge);
    const auto is_own = [&](int index) { return own != nullptr && index == own->index; };
    for (const Route& route : routes_) {
        const auto theirs = parse_cidr(route.destination);
        if (!is_own(route.out_index) && theirs && !is_everywhere(*theirs) && theirs->overlaps(*range))
            return fmt::format("the host reaches {} by {}", route.destination, name_of(route.out_index));
    }
    for (const LinkAddress& address : addresses_) {
        const auto theirs = parse_cidr(address.cidr);
        if (!is_own(address.index) && theirs && theirs->overlaps(*range))
            return fmt::format("the host has {} on {}", address.cidr, name_of(address.index));
    }
    return std::nullopt;
}

Result<> LinuxNetwork::Work::make_bridge(const NetworkDocument& network) {
    const std::string alias = mark_of(network);
    const Link* there = link(network.bridge);
    if (there != nullptr && !is_ours(*there))
        return fail(Code::conflict, "an interface {} is there that Axle did not make; remove or rename it",
                    network.bridge);
    int index = there != nullptr ? there->index : 0;
    if (there == nullptr) {
        TRY(made, rtnl_->add_bridge(network.bridge, network.gateway_mac, alias));
        index = made;
        rtnl_->keep_silent(index);
    }
    LinkWish wish{.up = true};
    if (there != nullptr && there->alias != alias) wish.alias = alias;
    if (there == nullptr || there->mtu != network.mtu) wish.mtu = network.mtu;
    if (there != nullptr && there->mac != network.gateway_mac) wish.mac = network.gateway_mac;
    if (there == nullptr || !there->up || !wish.alias.empty() || wish.mtu > 0 || !wish.mac.empty())
        TRY_VOID(rtnl_->set_link(index, wish));
    const std::string wanted = with_prefix(network);
    for (const LinkAddress& address : addresses_) {
        if (address.index == index && address.cidr != wanted) TRY_VOID(rtnl_->remove_address(index, address.cidr));
    }
    return rtnl_->add_address(index, wanted);
}

SimpleReport LinuxNetwork::Work::make_network(const NetworkDocument& network) {
    const auto refuse = [&](const char* reason, std::string message) {
        return SimpleReport{.ready = false, .conditions = {trouble(reason, std::move(message))}};
    };
    if (network.type == NetworkType::bridged) {
        const Link* bridge = link(network.bridge);
        if (bridge == nullptr)
            return refuse("BridgeMissing",
                          fmt::format("the host has no bridge {}: make it, or choose another one", network.bridge));
        if (bridge->kind != "bridge")
            return refuse("BridgeMissing", fmt::format("{} is a {}, not a bridge", network.bridge,
                                                       bridge->kind.empty() ? "network card" : bridge->kind));
        return {.ready = true};
    }
    SimpleReport report{.ready = true};
    if (const auto why = overlap(network)) {
        std::string message =
            fmt::format("range {} overlaps: {}; make the network anew with another range", network.cidr, *why);
        const Link* bridge = link(network.bridge);
        if (bridge == nullptr || !is_ours(*bridge)) return refuse("RangeOverlaps", std::move(message));
        report.conditions.push_back(trouble("RangeOverlaps", std::move(message)));  // it came later: guests live here
    }
    if (auto made = make_bridge(network); !made) return refuse("BridgeFailed", made.error().message);
    if (auto set = settings_.set(kForward, "1"); !set) return refuse("ForwardingFailed", set.error().message);
    if (auto served = dnsmasq_.apply(network); !served)
        return refuse(served.error().reason == "port-taken" ? "PortTaken" : "DhcpFailed",
                      served.error().message + (served.error().hint.empty() ? "" : "; " + served.error().hint));
    return report;
}

Result<> LinuxNetwork::Work::make_tap(const NicPlan& nic, const NetworkDocument& network) {
    const Link* there = link(nic.tap);
    if (there != nullptr && !is_ours(*there))
        return fail(Code::conflict, "an interface {} is there that Axle did not make; remove or rename it", nic.tap);
    const Link* bridge = link(network.bridge);
    if (bridge == nullptr) return fail(Code::not_found, "bridge {} is not there", network.bridge);
    const std::string alias = fmt::format("{}{} {}", kNicMark, nic.vm.str(), nic.nic);
    if (there != nullptr && there->alias == alias && there->master == bridge->index && there->up &&
        there->mtu == network.mtu)
        return {};
    int index = there != nullptr ? there->index : 0;
    if (there == nullptr) {
        TRY(made, rtnl_->add_tap(nic.tap, alias));
        index = made;
    }
    return rtnl_->set_link(index, {.master = bridge->index, .mtu = network.mtu, .alias = alias, .up = true});
}

// Taps of ours that the plan doesn't name.
std::vector<std::string> LinuxNetwork::Work::strays(const NetworkPlan& plan) const {
    std::vector<std::string> out;
    for (const Link& l : links_) {
        if (is_ours(l) && l.name.starts_with("axt") &&
            std::ranges::find(plan.nics, l.name, &NicPlan::tap) == plan.nics.end())
            out.push_back(l.name);
    }
    return out;
}

// What bears our mark and isn't wanted. A tap that a process has open is a guest's that runs: it stays until it is off.
void LinuxNetwork::Work::sweep(const NetworkPlan& plan) {
    std::set<std::string> wanted;
    for (const NicPlan& nic : plan.nics) wanted.insert(nic.tap);
    for (const NetworkDocument& network : plan.networks) {
        wanted.insert(network.bridge);
        if (wants_tunnel(network)) wanted.insert(tunnel_name(network.id));
    }
    std::set<int> in_use;
    for (const Link& l : links_) {
        if (is_ours(l) && l.name.starts_with("axt") && l.carrier && !wanted.contains(l.name)) in_use.insert(l.master);
    }
    for (const Link& l : links_) {
        if (!is_ours(l) || wanted.contains(l.name)) continue;
        const bool busy = l.name.starts_with("axt") ? l.carrier : in_use.contains(l.index);
        if (busy) continue;
        if (auto removed = rtnl_->remove_link(l.index); !removed) log::warning(removed.error().message);
    }
    const auto known = dnsmasq_.known();
    for (const NetworkId& id : known ? *known : std::vector<NetworkId>{}) {
        const bool kept = std::ranges::any_of(
            plan.networks, [&](const NetworkDocument& n) { return n.id == id && n.type == NetworkType::nat; });
        if (kept) continue;
        if (auto removed = dnsmasq_.remove(id); !removed) log::warning(removed.error().message);
    }
}

void LinuxNetwork::Work::report_foreign(NetworkReport& report, const NetworkPlan& plan) {
    const auto chains = read_foreign_rules();
    const auto path = chains ? read_host_path() : fail(chains.error());
    if (!path) return log::warning("others' firewalls are not known: " + path.error().message);
    for (const NetworkDocument& network : plan.networks) {
        for (const ForeignBlock& block : foreign_blocks(*chains, network, *path))
            report.networks[network.id].conditions.push_back(trouble("Blocked", block.message + "; " + block.remedy));
    }
}

Result<NetworkReport> LinuxNetwork::Work::apply(const NetworkPlan& plan) {
    TRY_VOID(look());
    NetworkReport report;
    for (const NetworkDocument& network : plan.networks) report.networks[network.id] = make_network(network);
    TRY_VOID(look());
    // A network that is in trouble but has its bridge keeps its rules: guests may live on it. One without a bridge has
    // none: its range may be somebody else's.
    NetworkPlan ruled = plan;
    std::erase_if(ruled.networks, [&](const NetworkDocument& n) {
        const Link* bridge = link(n.bridge);
        return n.type == NetworkType::nat && (bridge == nullptr || !is_ours(*bridge));
    });
    for (auto& [id, why] : take_forwards_away(ruled.networks, find_listeners()))
        report.networks[id].conditions.push_back(trouble("PortTaken", std::move(why)));
    // The rules stand before a tap can carry a frame.
    TRY_VOID(firewall_.apply(rules_for(ruled, strays(plan))));
    join_hosts(ruled.networks, report);
    for (const NicPlan& nic : plan.nics) {
        const auto network = std::ranges::find(plan.networks, nic.network, &NetworkDocument::id);
        if (network == plan.networks.end() || !report.networks[nic.network].ready) {
            report.tap_errors[nic.tap] = "its network is not ready here";
            continue;
        }
        if (auto made = make_tap(nic, *network); !made) report.tap_errors[nic.tap] = made.error().message;
    }
    sweep(plan);
    report_foreign(report, plan);
    return report;
}

// A network that can't reach its guests elsewhere serves those here all the same.
void LinuxNetwork::Work::join_hosts(const std::vector<NetworkDocument>& networks, NetworkReport& report) {
    const auto is_tunnel = [](const Link& l) { return l.name.starts_with("axv"); };
    if (std::ranges::none_of(networks, wants_tunnel) && std::ranges::none_of(links_, is_tunnel)) return;
    auto forwarding = rtnl_->forwarding();
    auto neighbours = rtnl_->neighbours();
    for (const NetworkDocument& network : networks) {
        if (network.type != NetworkType::nat) continue;
        Result<> joined;
        if (!forwarding || !neighbours)
            joined = fail(!forwarding ? forwarding.error() : neighbours.error());
        else
            joined = apply_tunnel(*rtnl_, links_, {*forwarding, *neighbours}, network, mark_of(network));
        if (joined) continue;
        report.networks[network.id].conditions.push_back(
            trouble("TunnelFailed", "guests on other hosts are not reached: " + joined.error().message));
    }
}

// All of it is tried, the first error is told.
Result<> LinuxNetwork::Work::remove_all() {
    TRY_VOID(look());
    Result<> outcome;
    const auto note = [&](Result<> done) {
        if (!done && outcome) outcome = std::move(done);
    };
    const auto known = dnsmasq_.known();
    if (!known) note(fail(known.error()));
    for (const NetworkId& id : known ? *known : std::vector<NetworkId>{}) note(dnsmasq_.remove(id));
    for (const Link& l : links_) {
        if (is_ours(l)) note(rtnl_->remove_link(l.index));
    }
    note(firewall_.remove());
    note(close_foreign_firewalls(opened_record(options_.state_folder)));
    // Docker and libvirt switch forwarding on where they find it off, and would be cut off without a word if we took
    // away what they found.
    const auto needed = others_forward();
    if (!needed) note(fail(needed.error()));
    note(settings_.restore_all(needed.value_or(true) ? std::set<std::string>{kForward} : std::set<std::string>{}));
    return outcome;
}

LinuxNetwork::LinuxNetwork(LinuxNetworkOptions options, Loop& events, Workers& workers, Executor& core)
    : events_(events), workers_(workers), core_(core), work_(std::make_shared<Work>(std::move(options))) {}
LinuxNetwork::~LinuxNetwork() = default;

void LinuxNetwork::on_hint(std::function<void(NetworkHint)> told) {
    watch_ = std::make_unique<NetlinkWatch>(events_, [&core = core_, told = std::move(told)](NetworkHint hint) {
        core.post([told, hint] { told(hint); });
    });
}

template <typename T>
void LinuxNetwork::run(std::function<Result<T>(Work&)> job, std::function<void(Result<T>)> answer) {
    auto shared = std::make_shared<std::function<void(Result<T>)>>(std::move(answer));
    const bool taken = workers_.submit("network", [&core = core_, work = work_, job = std::move(job), shared] {
        auto result = std::make_shared<Result<T>>(job(*work));
        core.post([shared, result] { (*shared)(std::move(*result)); });
    });
    if (!taken)
        core_.post([shared] { (*shared)(fail(Code::exhausted, "too many changes of the network are waiting")); });
}

void LinuxNetwork::apply(NetworkPlan plan, std::function<void(Result<NetworkReport>)> answer) {
    run<NetworkReport>([plan = std::move(plan)](Work& work) { return work.apply(plan); }, std::move(answer));
}
void LinuxNetwork::leases(NetworkId network, std::function<void(Result<std::vector<Lease>>)> answer) {
    run<std::vector<Lease>>([network](Work& work) { return work.leases(network); }, std::move(answer));
}
void LinuxNetwork::remove_all(std::function<void(Result<>)> done) {
    run<void>([](Work& work) { return work.remove_all(); }, std::move(done));
}

}  // namespace axle
