// The part of Rtnetlink that joins bridges of several hosts: VXLAN devices, forwarding and neighbour entries.
#include <algorithm>
#include <arpa/inet.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <net/if.h>

#include "agent/network/rtnetlink.hpp"
#include "agent/network/rtnetlink_wire.hpp"
#include "common/model/format.hpp"

namespace axle {
namespace {

constexpr std::size_t kEntriesASend = 32;  // their answers fit the socket's buffer

ndmsg* put_entry(nlmsghdr* h, int family, int index) {
    auto* entry = static_cast<ndmsg*>(mnl_nlmsg_put_extra_header(h, sizeof(ndmsg)));
    entry->ndm_family = static_cast<std::uint8_t>(family);
    entry->ndm_ifindex = index;
    return entry;
}

void put_mac(nlmsghdr* h, const std::string& mac) {
    std::array<unsigned char, 6> bytes{};
    if (mac_bytes(mac, bytes)) mnl_attr_put(h, NDA_LLADDR, bytes.size(), bytes.data());
}

}  // namespace

std::string address_text(const nlattr* a) {
    char text[INET6_ADDRSTRLEN] = "";
    const int family = mnl_attr_get_payload_len(a) == 4 ? AF_INET : AF_INET6;
    if (family == AF_INET6 && mnl_attr_get_payload_len(a) != 16) return "";
    return ::inet_ntop(family, mnl_attr_get_payload(a), text, sizeof text) != nullptr ? text : "";
}

bool put_address(nlmsghdr* header, int type4, int type6, const std::string& text) {
    in_addr four{};
    in6_addr six{};
    if (::inet_pton(AF_INET, text.c_str(), &four) == 1)
        mnl_attr_put(header, static_cast<std::uint16_t>(type4), sizeof four, &four);
    else if (::inet_pton(AF_INET6, text.c_str(), &six) == 1)
        mnl_attr_put(header, static_cast<std::uint16_t>(type6), sizeof six, &six);
    else
        return false;
    return true;
}

Result<int> Rtnetlink::add_vxlan(const std::string& name, const Vxlan& vxlan, const std::string& alias) {
    if (why_not(Format::ipv4, vxlan.local) && vxlan.local.find(':') == std::string::npos)
        return fail(Code::invalid, "\"{}\" is no address of this host", vxlan.local);
    return add_marked(name, alias, [&](nlmsghdr* h) {
        nlattr* info = mnl_attr_nest_start(h, IFLA_LINKINFO);
        mnl_attr_put_strz(h, IFLA_INFO_KIND, "vxlan");
        nlattr* data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
        mnl_attr_put_u32(h, IFLA_VXLAN_ID, static_cast<std::uint32_t>(vxlan.vni));
        put_address(h, IFLA_VXLAN_LOCAL, IFLA_VXLAN_LOCAL6, vxlan.local);
        mnl_attr_put_u16(h, IFLA_VXLAN_PORT, htons(static_cast<std::uint16_t>(vxlan.port)));
        mnl_attr_put_u8(h, IFLA_VXLAN_LEARNING, 0);
        mnl_attr_nest_end(h, data);
        mnl_attr_nest_end(h, info);
    });
}

Result<> Rtnetlink::make_port_known_only(int index) {
    return request(fmt::format("set bridge port {}", index), RTM_SETLINK, 0, [&](nlmsghdr* h) {
        auto* info = static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(h, sizeof(ifinfomsg)));
        info->ifi_family = AF_BRIDGE;
        info->ifi_index = index;
        nlattr* port = mnl_attr_nest_start(h, IFLA_PROTINFO | NLA_F_NESTED);
        for (const int off :
             {IFLA_BRPORT_LEARNING, IFLA_BRPORT_UNICAST_FLOOD, IFLA_BRPORT_MCAST_FLOOD, IFLA_BRPORT_BCAST_FLOOD})
            mnl_attr_put_u8(h, static_cast<std::uint16_t>(off), 0);
        mnl_attr_put_u8(h, IFLA_BRPORT_NEIGH_SUPPRESS, 1);
        mnl_attr_nest_end(h, port);
    });
}

Result<std::vector<ForwardingEntry>> Rtnetlink::forwarding() {
    std::vector<ForwardingEntry> out;
    TRY_VOID(dump(
        "list forwarding entries", RTM_GETNEIGH, [](nlmsghdr* h) { put_entry(h, AF_BRIDGE, 0); },
        [&](const nlmsghdr* m) {
            const auto* info = static_cast<const ndmsg*>(mnl_nlmsg_get_payload(m));
            ForwardingEntry entry{.index = info->ndm_ifindex};
            each_attribute(m, sizeof(ndmsg), [&](const nlattr* a) {
                if (mnl_attr_get_type(a) == NDA_LLADDR) entry.mac = mac_text(a);
                if (mnl_attr_get_type(a) == NDA_DST) entry.host = address_text(a);
            });
            // On a bridge "permanent" are the MACs of its own ports, "no ARP" the entries that somebody put there.
            const bool put_there = entry.host.empty()
                                       ? (info->ndm_state & NUD_NOARP) != 0 && info->ndm_state != NUD_PERMANENT
                                       : (info->ndm_state & NUD_PERMANENT) != 0;
            if (put_there) out.push_back(std::move(entry));
        }));
    return out;
}

Result<std::vector<Neighbour>> Rtnetlink::neighbours() {
    std::vector<Neighbour> out;
    TRY_VOID(dump(
        "list neighbours", RTM_GETNEIGH, [](nlmsghdr* h) { put_entry(h, AF_INET, 0); },
        [&](const nlmsghdr* m) {
            const auto* info = static_cast<const ndmsg*>(mnl_nlmsg_get_payload(m));
            if ((info->ndm_state & NUD_PERMANENT) == 0) return;
            Neighbour entry{.index = info->ndm_ifindex};
            each_attribute(m, sizeof(ndmsg), [&](const nlattr* a) {
                if (mnl_attr_get_type(a) == NDA_LLADDR) entry.mac = mac_text(a);
                if (mnl_attr_get_type(a) == NDA_DST) entry.address = address_text(a);
            });
            out.push_back(std::move(entry));
        }));
    return out;
}

Result<> Rtnetlink::change_entries(const std::string& what, bool add, const std::vector<Body>& bodies) {
    const int type = add ? RTM_NEWNEIGH : RTM_DELNEIGH;
    const int flags = add ? NLM_F_CREATE | NLM_F_REPLACE : 0;
    Result<> outcome;
    for (std::size_t from = 0; from < bodies.size(); from += kEntriesASend) {
        std::vector<std::pair<int, Body>> some;
        for (std::size_t i = from; i < std::min(bodies.size(), from + kEntriesASend); ++i)
            some.emplace_back(flags, bodies[i]);
        auto changed = request_all((add ? "add " : "remove ") + what, type, some);
        if (!changed && !add && changed.error().code == Code::not_found) continue;
        if (!changed && outcome) outcome = std::move(changed);
    }
    return outcome;
}

Result<> Rtnetlink::change_forwarding(bool add, const std::vector<ForwardingEntry>& entries) {
    std::vector<Body> bodies;
    for (const ForwardingEntry& entry : entries) {
        bodies.emplace_back([&entry](nlmsghdr* h) {
            ndmsg* info = put_entry(h, AF_BRIDGE, entry.index);
            info->ndm_flags = entry.host.empty() ? NTF_MASTER : NTF_SELF;
            info->ndm_state = entry.host.empty() ? NUD_NOARP : NUD_NOARP | NUD_PERMANENT;
            put_mac(h, entry.mac);
            if (!entry.host.empty()) put_address(h, NDA_DST, NDA_DST, entry.host);
        });
    }
    return change_entries("forwarding entries", add, bodies);
}

Result<> Rtnetlink::change_neighbours(bool add, const std::vector<Neighbour>& entries) {
    std::vector<Body> bodies;
    for (const Neighbour& entry : entries) {
        bodies.emplace_back([&entry](nlmsghdr* h) {
            put_entry(h, AF_INET, entry.index)->ndm_state = NUD_PERMANENT;
            put_address(h, NDA_DST, NDA_DST, entry.address);
            put_mac(h, entry.mac);
        });
    }
    return change_entries("neighbours", add, bodies);
}

}  // namespace axle
