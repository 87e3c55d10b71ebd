#include "agent/network/rtnetlink.hpp"

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include "agent/network/rtnetlink_wire.hpp"
#include "common/base/file.hpp"
#include "common/base/log.hpp"
#include "common/model/format.hpp"

namespace axle {
namespace {

constexpr std::size_t kRequestMax = 4096, kAnswerMax = 65536;

Error kernel_error(const std::string& what, const nlmsghdr* header) {
    const auto* e = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(header));
    std::string words;
    if ((header->nlmsg_flags & NLM_F_ACK_TLVS) != 0) {
        std::size_t offset = sizeof(*e);
        if ((header->nlmsg_flags & NLM_F_CAPPED) == 0) offset += e->msg.nlmsg_len - sizeof(nlmsghdr);
        const auto* tail = static_cast<const char*>(mnl_nlmsg_get_payload_tail(header));
        for (const auto* a = static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(header, offset));
             mnl_attr_ok(a, static_cast<int>(tail - reinterpret_cast<const char*>(a))); a = mnl_attr_next(a)) {
            if (mnl_attr_get_type(a) == NLMSGERR_ATTR_MSG) words = mnl_attr_get_str(a);
        }
    }
    Code code = Code::internal;
    if (e->error == -EEXIST) code = Code::conflict;
    if (e->error == -ENODEV || e->error == -EADDRNOTAVAIL) code = Code::not_found;
    return error(code, "{}: {}{}", what, std::strerror(-e->error), words.empty() ? "" : " (" + words + ")");
}

Vxlan vxlan_of(const nlattr* data) {
    Vxlan out;
    each_nested(data, [&](const nlattr* a) {
        switch (mnl_attr_get_type(a)) {
            case IFLA_VXLAN_ID:
                out.vni = mnl_attr_get_u32(a);
                break;
            case IFLA_VXLAN_LOCAL:
            case IFLA_VXLAN_LOCAL6:
                out.local = address_text(a);
                break;
            case IFLA_VXLAN_PORT:
                out.port = ntohs(mnl_attr_get_u16(a));
                break;
            default:
                break;
        }
    });
    return out;
}

void read_kind(const nlattr* info, Link& link) {
    const nlattr* data = nullptr;
    each_nested(info, [&](const nlattr* a) {
        if (mnl_attr_get_type(a) == IFLA_INFO_KIND) link.kind = mnl_attr_get_str(a);
        if (mnl_attr_get_type(a) == IFLA_INFO_DATA) data = a;
    });
    if (link.kind == "vxlan" && data != nullptr) link.vxlan = vxlan_of(data);
}

Link link_of(const nlmsghdr* header) {
    const auto* info = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(header));
    Link link{.index = info->ifi_index, .up = (info->ifi_flags & IFF_UP) != 0};
    each_attribute(header, sizeof(ifinfomsg), [&](const nlattr* a) {
        switch (mnl_attr_get_type(a)) {
            case IFLA_IFNAME:
                link.name = mnl_attr_get_str(a);
                break;
            case IFLA_IFALIAS:
                link.alias = mnl_attr_get_str(a);
                break;
            case IFLA_ADDRESS:
                link.mac = mac_text(a);
                break;
            case IFLA_MASTER:
                link.master = static_cast<int>(mnl_attr_get_u32(a));
                break;
            case IFLA_MTU:
                link.mtu = mnl_attr_get_u32(a);
                break;
            case IFLA_CARRIER:
                link.carrier = mnl_attr_get_u8(a) != 0;
                break;
            case IFLA_LINKINFO:
                read_kind(a, link);
                break;
            default:
                break;
        }
    });
    return link;
}

}  // namespace

struct Rtnetlink::Socket {
    mnl_socket* s = nullptr;
    unsigned sequence = 0;
    ~Socket() {
        if (s != nullptr) mnl_socket_close(s);
    }
};

Rtnetlink::Rtnetlink(std::unique_ptr<Socket> socket) : socket_(std::move(socket)) {}
Rtnetlink::~Rtnetlink() = default;

Result<std::unique_ptr<Rtnetlink>> Rtnetlink::open() {
    auto socket = std::make_unique<Socket>();
    socket->s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    if (socket->s == nullptr || mnl_socket_bind(socket->s, 0, MNL_SOCKET_AUTOPID) < 0)
        return fail(system_error("open rtnetlink", errno));
    int one = 1;
    mnl_socket_setsockopt(socket->s, NETLINK_EXT_ACK, &one, sizeof one);
    mnl_socket_setsockopt(socket->s, NETLINK_CAP_ACK, &one, sizeof one);
    return std::unique_ptr<Rtnetlink>(new Rtnetlink(std::move(socket)));
}

// What the kernel says to the request of this number in one datagram; true: that was all of it.
Result<bool> Rtnetlink::take_answers(const std::string& what, unsigned sequence, std::vector<char>& buffer,
                                     const Each& each) {
    const ssize_t received = mnl_socket_recvfrom(socket_->s, buffer.data(), buffer.size());
    if (received < 0 && errno == EINTR) return false;
    if (received < 0) return fail(system_error(what, errno));
    int left = static_cast<int>(received);
    for (auto* m = reinterpret_cast<nlmsghdr*>(buffer.data()); mnl_nlmsg_ok(m, left); m = mnl_nlmsg_next(m, &left)) {
        if (m->nlmsg_seq != sequence) continue;
        if (m->nlmsg_type == NLMSG_DONE) return true;
        if (m->nlmsg_type != NLMSG_ERROR) {
            if (each) each(m);
            continue;
        }
        if (static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(m))->error == 0) return true;
        return fail(kernel_error(what, m));
    }
    return false;
}

Result<> Rtnetlink::dump(const std::string& what, int type, const Body& body, const Each& each) {
    std::vector<char> buffer(kAnswerMax);
    nlmsghdr* header = mnl_nlmsg_put_header(buffer.data());
    header->nlmsg_type = static_cast<std::uint16_t>(type);
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    const unsigned sequence = header->nlmsg_seq = ++socket_->sequence;
    body(header);
    if (mnl_socket_sendto(socket_->s, header, header->nlmsg_len) < 0) return fail(system_error(what, errno));
    for (;;) {
        TRY(all, take_answers(what, sequence, buffer, each));
        if (all) return {};
    }
}

Result<> Rtnetlink::request(const std::string& what, int type, int flags, const Body& body) {
    return request_all(what, type, {{flags, body}});
}

Result<> Rtnetlink::request_all(const std::string& what, int type,
                                const std::vector<std::pair<int, Body>>& flags_and_bodies) {
    std::vector<char> message(kRequestMax * flags_and_bodies.size()), answer(kAnswerMax);
    const unsigned first = socket_->sequence + 1;
    std::size_t used = 0;
    for (const auto& [flags, body] : flags_and_bodies) {
        nlmsghdr* header = mnl_nlmsg_put_header(message.data() + used);
        header->nlmsg_type = static_cast<std::uint16_t>(type);
        header->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
        header->nlmsg_seq = ++socket_->sequence;
        body(header);
        used += MNL_ALIGN(header->nlmsg_len);
    }
    if (mnl_socket_sendto(socket_->s, message.data(), used) < 0) return fail(system_error(what, errno));
    Result<> outcome;
    for (unsigned sequence = first; sequence <= socket_->sequence;) {
        const auto answered = take_answers(what, sequence, answer, nullptr);
        if (answered && !*answered) continue;
        if (!answered && outcome) outcome = fail(answered.error());
        ++sequence;
    }
    return outcome;
}

Result<std::vector<Link>> Rtnetlink::links() {
    std::vector<Link> out;
    TRY_VOID(dump(
        "list interfaces", RTM_GETLINK, [](nlmsghdr* h) { put_link(h, 0); },
        [&](const nlmsghdr* m) { out.push_back(link_of(m)); }));
    return out;
}

Result<std::vector<LinkAddress>> Rtnetlink::addresses() {
    std::vector<LinkAddress> out;
    TRY_VOID(dump(
        "list addresses", RTM_GETADDR,
        [](nlmsghdr* h) {
            static_cast<ifaddrmsg*>(mnl_nlmsg_put_extra_header(h, sizeof(ifaddrmsg)))->ifa_family = AF_INET;
        },
        [&](const nlmsghdr* m) {
            const auto* info = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(m));
            each_attribute(m, sizeof(ifaddrmsg), [&](const nlattr* a) {
                if (mnl_attr_get_type(a) == IFA_LOCAL)
                    out.push_back({static_cast<int>(info->ifa_index),
                                   fmt::format("{}/{}", format_ipv4(ntohl(mnl_attr_get_u32(a))), info->ifa_prefixlen)});
            });
        }));
    return out;
}

Result<std::vector<Route>> Rtnetlink::routes() {
    std::vector<Route> out;
    TRY_VOID(dump(
        "list routes", RTM_GETROUTE,
        [](nlmsghdr* h) { static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(h, sizeof(rtmsg)))->rtm_family = AF_INET; },
        [&](const nlmsghdr* m) {
            const auto* info = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(m));
            if (info->rtm_table != RT_TABLE_MAIN || info->rtm_type != RTN_UNICAST) return;
            Route route;
            std::uint32_t destination = 0;
            each_attribute(m, sizeof(rtmsg), [&](const nlattr* a) {
                if (mnl_attr_get_type(a) == RTA_DST) destination = ntohl(mnl_attr_get_u32(a));
                if (mnl_attr_get_type(a) == RTA_OIF) route.out_index = static_cast<int>(mnl_attr_get_u32(a));
            });
            route.destination = fmt::format("{}/{}", format_ipv4(destination), info->rtm_dst_len);
            out.push_back(std::move(route));
        }));
    return out;
}

// The kernel takes no alias when it makes an interface: a second request in the same send gives it.
Result<int> Rtnetlink::add_marked(const std::string& name, const std::string& alias, const Body& make) {
    const auto named = [&](nlmsghdr* h) {
        put_link(h, 0);
        mnl_attr_put_strz(h, IFLA_IFNAME, name.c_str());
        make(h);
    };
    const auto mark = [&](nlmsghdr* h) {
        put_link(h, 0);
        mnl_attr_put_strz(h, IFLA_IFNAME, name.c_str());
        mnl_attr_put_str(h, IFLA_IFALIAS, alias.c_str());
    };
    if (if_nametoindex(name.c_str()) != 0) return fail(Code::conflict, "an interface {} is there already", name);
    TRY_VOID(request_all("make interface " + name, RTM_NEWLINK, {{NLM_F_CREATE | NLM_F_EXCL, named}, {0, mark}}));
    return static_cast<int>(if_nametoindex(name.c_str()));
}

Result<int> Rtnetlink::add_bridge(const std::string& name, const std::string& mac, const std::string& alias) {
    std::array<unsigned char, 6> bytes{};
    const bool has_mac = mac_bytes(mac, bytes);
    return add_marked(name, alias, [&](nlmsghdr* h) {
        if (has_mac) mnl_attr_put(h, IFLA_ADDRESS, bytes.size(), bytes.data());
        nlattr* info = mnl_attr_nest_start(h, IFLA_LINKINFO);
        mnl_attr_put_strz(h, IFLA_INFO_KIND, "bridge");
        nlattr* data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
        mnl_attr_put_u32(h, IFLA_BR_STP_STATE, 0);
        mnl_attr_put_u32(h, IFLA_BR_FORWARD_DELAY, 0);
        mnl_attr_put_u8(h, IFLA_BR_MCAST_SNOOPING, 0);
        mnl_attr_nest_end(h, data);
        mnl_attr_nest_end(h, info);
    });
}

Result<int> Rtnetlink::add_tap(const std::string& name, const std::string& alias) {
    const Fd fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
    if (!fd)
        return fail(system_error("open /dev/net/tun", errno).with_hint("the kernel module tun makes it: modprobe tun"));
    if (if_nametoindex(name.c_str()) != 0) return fail(Code::conflict, "an interface {} is there already", name);
    ifreq wanted{};
    wanted.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL);
    name.copy(wanted.ifr_name, IFNAMSIZ - 1);
    if (::ioctl(fd.get(), TUNSETIFF, &wanted) != 0) return fail(system_error("make tap " + name, errno));
    // It lives as long as this descriptor until it is persistent, and that it becomes with its mark.
    const int index = static_cast<int>(if_nametoindex(name.c_str()));
    TRY_VOID(set_link(index, {.alias = alias}));
    keep_silent(index);
    if (::ioctl(fd.get(), TUNSETPERSIST, 1) != 0) return fail(system_error("keep tap " + name, errno));
    return index;
}

void Rtnetlink::keep_silent(int index) {
    const auto set = request(fmt::format("set IPv6 of interface {}", index), RTM_NEWLINK, 0, [&](nlmsghdr* h) {
        put_link(h, index);
        nlattr* families = mnl_attr_nest_start(h, IFLA_AF_SPEC);
        nlattr* six = mnl_attr_nest_start(h, AF_INET6);
        mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
        mnl_attr_nest_end(h, six);
        mnl_attr_nest_end(h, families);
    });
    if (!set) log::debug(set.error().message);
}

Result<> Rtnetlink::set_link(int index, const LinkWish& wish) {
    std::array<unsigned char, 6> mac{};
    return request(fmt::format("set interface {}", index), RTM_NEWLINK, 0, [&](nlmsghdr* h) {
        auto* info = static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(h, sizeof(ifinfomsg)));
        info->ifi_index = index;
        if (wish.up) info->ifi_flags = info->ifi_change = IFF_UP;
        if (wish.master >= 0) mnl_attr_put_u32(h, IFLA_MASTER, static_cast<std::uint32_t>(wish.master));
        if (wish.mtu > 0) mnl_attr_put_u32(h, IFLA_MTU, static_cast<std::uint32_t>(wish.mtu));
        if (!wish.alias.empty()) mnl_attr_put_str(h, IFLA_IFALIAS, wish.alias.c_str());
        if (mac_bytes(wish.mac, mac)) mnl_attr_put(h, IFLA_ADDRESS, mac.size(), mac.data());
    });
}

Result<> Rtnetlink::change_address(const std::string& what, int type, int flags, int index, const std::string& cidr) {
    const auto slash = cidr.find('/');
    const auto address = parse_ipv4(std::string_view(cidr).substr(0, slash));
    const auto range = parse_cidr(cidr);
    if (!address || !range) return fail(Code::invalid, "\"{}\" is no address with prefix", cidr);
    return request(fmt::format("{} {}", what, cidr), type, flags, [&](nlmsghdr* h) {
        auto* info = static_cast<ifaddrmsg*>(mnl_nlmsg_put_extra_header(h, sizeof(ifaddrmsg)));
        info->ifa_family = AF_INET;
        info->ifa_prefixlen = static_cast<unsigned char>(range->prefix);
        info->ifa_index = static_cast<unsigned>(index);
        mnl_attr_put_u32(h, IFA_LOCAL, htonl(*address));
        mnl_attr_put_u32(h, IFA_ADDRESS, htonl(*address));
        mnl_attr_put_u32(h, IFA_BROADCAST, htonl(range->last()));
    });
}

Result<> Rtnetlink::add_address(int index, const std::string& cidr) {
    auto added = change_address("add address", RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, cidr);
    if (!added && added.error().code == Code::conflict) return {};
    return added;
}
Result<> Rtnetlink::remove_address(int index, const std::string& cidr) {
    auto removed = change_address("remove address", RTM_DELADDR, 0, index, cidr);
    if (!removed && removed.error().code == Code::not_found) return {};
    return removed;
}

Result<> Rtnetlink::remove_link(int index) {
    auto removed =
        request(fmt::format("remove interface {}", index), RTM_DELLINK, 0, [&](nlmsghdr* h) { put_link(h, index); });
    if (!removed && removed.error().code == Code::not_found) return {};
    return removed;
}

}  // namespace axle
