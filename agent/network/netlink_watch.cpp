#include "agent/network/netlink_watch.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <optional>
#include <string_view>

#include <libmnl/libmnl.h>

#include "common/base/log.hpp"

namespace axle {
namespace {

struct CloseSocket {
    void operator()(mnl_socket* s) const { mnl_socket_close(s); }
};
using Socket = std::unique_ptr<mnl_socket, CloseSocket>;

Socket listen_to(int family, std::initializer_list<int> groups) {
    Socket socket(mnl_socket_open2(family, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) != 0) return nullptr;
    for (int group : groups) {
        if (mnl_socket_setsockopt(socket.get(), NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) return nullptr;
    }
    return socket;
}

bool is_our_index(unsigned index) {
    char name[IF_NAMESIZE] = "";
    return ::if_indextoname(index, name) != nullptr && is_our_name(name);
}

std::string_view text_attribute(const nlmsghdr* header, std::size_t offset, int type) {
    const auto* tail = static_cast<const char*>(mnl_nlmsg_get_payload_tail(header));
    for (const auto* a = static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(header, offset));
         mnl_attr_ok(a, static_cast<int>(tail - reinterpret_cast<const char*>(a))); a = mnl_attr_next(a)) {
        if (mnl_attr_get_type(a) == type && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0) return mnl_attr_get_str(a);
    }
    return "";
}

// Every message but the end of a transaction names its table, in the same attribute.
std::optional<NetworkHint> hint_of_rules(const nlmsghdr* header) {
    static_assert(int{NFTA_TABLE_NAME} == 1 && int{NFTA_CHAIN_TABLE} == 1 && int{NFTA_RULE_TABLE} == 1 &&
                  int{NFTA_SET_TABLE} == 1 && int{NFTA_SET_ELEM_LIST_TABLE} == 1);
    if ((header->nlmsg_type & 0xff) == NFT_MSG_NEWGEN) return std::nullopt;
    if (text_attribute(header, sizeof(nfgenmsg), NFTA_TABLE_NAME) == "axle") return NetworkHint::ours;
    return std::nullopt;
}

std::optional<NetworkHint> hint_of_link(const nlmsghdr* header) {
    const auto* info = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(header));
    if (!is_our_name(text_attribute(header, sizeof(ifinfomsg), IFLA_IFNAME))) return std::nullopt;
    // Deleted, or taken off its bridge (the same message of family bridge); or switched off.
    if (header->nlmsg_type == RTM_DELLINK) return NetworkHint::ours;
    const bool made = info->ifi_change == ~0u;
    const bool went_down = (info->ifi_change & IFF_UP) != 0 && (info->ifi_flags & IFF_UP) == 0;
    return went_down && !made ? std::optional(NetworkHint::ours) : std::nullopt;
}

std::optional<NetworkHint> hint_of_network(const nlmsghdr* header) {
    switch (header->nlmsg_type) {
        case RTM_NEWLINK:
        case RTM_DELLINK:
            return hint_of_link(header);
        case RTM_NEWADDR:
        case RTM_DELADDR: {
            const auto* address = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(header));
            if (!is_our_index(address->ifa_index)) return NetworkHint::host;
            return header->nlmsg_type == RTM_DELADDR ? std::optional(NetworkHint::ours) : std::nullopt;
        }
        case RTM_NEWROUTE:
        case RTM_DELROUTE: {
            const auto* route = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(header));
            return route->rtm_table == RT_TABLE_MAIN ? std::optional(NetworkHint::host) : std::nullopt;
        }
        default:
            return std::nullopt;
    }
}

// One kind of hint, not more often than that.
class Sparing {
  public:
    Sparing(Loop& loop, milliseconds every, std::function<void()> tell)
        : every_(every), tell_(std::move(tell)), timer_(loop, "netlink hint", [this] { on_time(); }) {}
    void ask() {
        if (timer_.active()) {
            again_ = true;
            return;
        }
        timer_.start(every_);
        tell_();
    }

  private:
    void on_time() {
        if (!std::exchange(again_, false)) return;
        timer_.start(every_);
        tell_();
    }
    milliseconds every_;
    std::function<void()> tell_;
    bool again_ = false;
    Timer timer_;
};

}  // namespace

// Loop thread only.
struct NetlinkWatch::Ears {
    using HintOf = std::optional<NetworkHint> (*)(const nlmsghdr*);
    struct Ear {
        Socket socket;
        std::unique_ptr<IoWatch> watch;
    };
    Sparing ours, host;
    std::array<Ear, 2> ears;

    Ears(Loop& loop, const std::function<void(NetworkHint)>& told)
        : ours(loop, kOursEvery, [told] { told(NetworkHint::ours); }),
          host(loop, kHostEvery, [told] { told(NetworkHint::host); }) {
        open(loop, ears[0], NETLINK_NETFILTER, {NFNLGRP_NFTABLES}, &hint_of_rules);
        open(loop, ears[1], NETLINK_ROUTE, {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE}, &hint_of_network);
    }

    void open(Loop& loop, Ear& ear, int family, std::initializer_list<int> groups, HintOf hint_of) {
        ear.socket = listen_to(family, groups);
        if (!ear.socket)
            return log::warning(
                fmt::format("the kernel tells no changes of netlink family {} ({}); they are noticed "
                            "within a minute",
                            family, std::strerror(errno)));
        ear.watch = std::make_unique<IoWatch>(loop, "netlink", mnl_socket_get_fd(ear.socket.get()), true, false,
                                              [this, &ear, hint_of](bool, bool) { hear(ear, hint_of); });
    }

    void hear(Ear& ear, HintOf hint_of) {
        alignas(nlmsghdr) std::array<char, 65536> buffer;
        for (int i = 0; i < 64; ++i) {  // the loop has others to serve
            const ssize_t n = mnl_socket_recvfrom(ear.socket.get(), buffer.data(), buffer.size());
            if (n < 0 && errno == EINTR) continue;
            if (n < 0 && errno == EAGAIN) return;
            if (n <= 0) {  // more than the kernel could hold: nobody knows what it was
                ours.ask();
                host.ask();
                return;
            }
            int left = static_cast<int>(n);
            for (const auto* header = reinterpret_cast<const nlmsghdr*>(buffer.data()); mnl_nlmsg_ok(header, left);
                 header = mnl_nlmsg_next(header, &left)) {
                const auto hint = hint_of(header);
                if (hint) (*hint == NetworkHint::ours ? ours : host).ask();
            }
        }
    }
};

struct NetlinkWatch::Place {
    std::unique_ptr<Ears> ears;
    bool closed = false;
};

// The loop may not run yet: it begins to listen when it does.
NetlinkWatch::NetlinkWatch(Loop& loop, std::function<void(NetworkHint)> told)
    : loop_(loop), place_(std::make_shared<Place>()) {
    loop_.post([&loop, place = place_, told = std::move(told)] {
        if (!place->closed) place->ears = std::make_unique<Ears>(loop, told);
    });
}
NetlinkWatch::~NetlinkWatch() {
    loop_.call([this] {
        place_->closed = true;
        place_->ears.reset();
    });
}

}  // namespace axle
