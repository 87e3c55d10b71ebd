#include "common/base/addresses.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <ifaddrs.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include "common/base/file.hpp"
#include "common/base/result.hpp"

namespace axle {

// A connected datagram socket has its source address chosen, with no packet sent.
std::string outward_address() {
    const Fd probe(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(9);
    inet_pton(AF_INET, "192.0.2.1", &to.sin_addr);
    sockaddr_in from{};
    socklen_t size = sizeof from;
    if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 ||
        getsockname(probe.get(), reinterpret_cast<sockaddr*>(&from), &size) != 0)
        return {};
    char text[INET_ADDRSTRLEN] = "";
    inet_ntop(AF_INET, &from.sin_addr, text, sizeof text);
    return text;
}

std::string machine_name() {
    utsname names{};
    ::uname(&names);
    return names.nodename;
}

namespace {

struct InterfaceAddress {
    std::string interface, address;
    bool is_four = false;
};

Result<std::vector<InterfaceAddress>> interface_addresses() {
    ifaddrs* first = nullptr;
    if (::getifaddrs(&first) != 0) return fail(system_error("list the addresses of this machine", errno));
    std::vector<InterfaceAddress> out;
    for (const ifaddrs* a = first; a != nullptr; a = a->ifa_next) {
        if (a->ifa_addr == nullptr || (a->ifa_addr->sa_family != AF_INET && a->ifa_addr->sa_family != AF_INET6))
            continue;
        char text[NI_MAXHOST];
        const bool is_four = a->ifa_addr->sa_family == AF_INET;
        const socklen_t size = is_four ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
        if (::getnameinfo(a->ifa_addr, size, text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0) continue;
        out.push_back({a->ifa_name, text, is_four});
    }
    ::freeifaddrs(first);
    return out;
}

}  // namespace

bool is_machine_address(const std::string& numeric) {
    const auto all = interface_addresses();
    return !all || std::ranges::find(*all, numeric, &InterfaceAddress::address) != all->end();
}

std::vector<std::string> machine_addresses() {
    std::vector<std::string> four, six;
    const auto all = interface_addresses();
    if (!all) return {};
    for (const auto& [interface, address, is_four] : *all) {
        if (interface.starts_with("axb")) continue;
        if (address.find('%') != std::string::npos) continue;  // link-local
        if (address.starts_with("127.") || address == "::1") continue;
        auto& to = is_four ? four : six;
        if (std::ranges::find(to, address) == to.end()) to.push_back(address);
    }
    std::ranges::sort(four);
    std::ranges::sort(six);
    const auto outward = std::ranges::find(four, outward_address());
    if (outward != four.end()) std::rotate(four.begin(), outward, outward + 1);
    four.insert(four.end(), six.begin(), six.end());
    return four;
}

}  // namespace axle
