// How rtnetlink's messages are read and written. Private to rtnetlink*.cpp.
#pragma once
#include <array>
#include <cstdio>
#include <linux/rtnetlink.h>
#include <string>

#include <libmnl/libmnl.h>

#include "common/base/result.hpp"

namespace axle {

inline std::string mac_text(const nlattr* a) {
    const auto* m = static_cast<const unsigned char*>(mnl_attr_get_payload(a));
    if (mnl_attr_get_payload_len(a) != 6) return "";
    return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", m[0], m[1], m[2], m[3], m[4], m[5]);
}
inline bool mac_bytes(const std::string& text, std::array<unsigned char, 6>& out) {
    unsigned v[6];
    if (std::sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5]) != 6)
        return false;
    for (std::size_t i = 0; i < 6; ++i) out[i] = static_cast<unsigned char>(v[i]);
    return true;
}

template <typename F>
void each_attribute(const nlattr* first, const char* tail, F&& call) {
    for (const nlattr* a = first; mnl_attr_ok(a, static_cast<int>(tail - reinterpret_cast<const char*>(a)));
         a = mnl_attr_next(a))
        call(a);
}
template <typename F>
void each_attribute(const nlmsghdr* header, std::size_t offset, F&& call) {
    each_attribute(static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(header, offset)),
                   static_cast<const char*>(mnl_nlmsg_get_payload_tail(header)), call);
}
template <typename F>
void each_nested(const nlattr* nest, F&& call) {
    const auto* begin = static_cast<const nlattr*>(mnl_attr_get_payload(nest));
    each_attribute(begin, reinterpret_cast<const char*>(begin) + mnl_attr_get_payload_len(nest), call);
}

inline void put_link(nlmsghdr* header, int index) {
    static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(header, sizeof(ifinfomsg)))->ifi_index = index;
}

// IPv4 or IPv6, in network order; text empty: it is none.
std::string address_text(const nlattr* a);
bool put_address(nlmsghdr* header, int type4, int type6, const std::string& text);  // false: it is no address

}  // namespace axle
