#include "agent/network/ports.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>

#include "common/base/file.hpp"
#include "common/model/format.hpp"

namespace axle {
namespace {

constexpr std::string_view kTcpListen = "0A", kUdpUnconnected = "07";
constexpr std::uint32_t kLoopback = 127;

std::string_view next_word(std::string_view& text) {
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(word.size());
    return word;
}

bool from_hex(std::string_view text, std::uint32_t& value) {
    const auto end = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    return !text.empty() && end.ec == std::errc{} && end.ptr == text.data() + text.size();
}

// "  0: 0100007F:0035 00000000:0000 0A ...": the address is one word in the machine's byte order.
std::optional<Listener> listener_of(std::string_view line, Protocol protocol, bool v6) {
    next_word(line);
    const std::string_view local = next_word(line);
    next_word(line);
    const std::string_view state = next_word(line);
    const auto colon = local.find(':');
    std::uint32_t port = 0;
    if (state != (protocol == Protocol::tcp ? kTcpListen : kUdpUnconnected) || colon == std::string_view::npos ||
        !from_hex(local.substr(colon + 1), port))
        return std::nullopt;
    const std::string_view address = local.substr(0, colon);
    Listener out{.protocol = protocol, .port = static_cast<int>(port)};
    out.everywhere = address.find_first_not_of('0') == std::string_view::npos;
    if (v6) return out.everywhere ? std::optional(out) : std::nullopt;
    if (!from_hex(address, out.address)) return std::nullopt;
    out.address = ntohl(out.address);
    return out;
}

// Two forwards that would answer the same packet.
bool same_port(const Forward& a, const Forward& b) {
    return a.protocol == b.protocol && a.host_port == b.host_port &&
           (a.listen.empty() || b.listen.empty() || a.listen == b.listen);
}

}  // namespace

std::vector<Listener> read_listeners(std::string_view text, Protocol protocol, bool v6) {
    std::vector<Listener> out;
    while (!text.empty()) {
        const auto end = text.find('\n');
        if (const auto found = listener_of(text.substr(0, end), protocol, v6)) out.push_back(*found);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return out;
}

std::vector<Listener> find_listeners() {
    std::vector<Listener> out;
    for (const Protocol protocol : {Protocol::tcp, Protocol::udp}) {
        for (const bool v6 : {false, true}) {
            const auto text =
                read_file(fmt::format("/proc/self/net/{}{}", text_of(protocol), v6 ? "6" : ""), 256 << 20);
            if (!text) continue;
            std::ranges::copy(read_listeners(*text, protocol, v6), std::back_inserter(out));
        }
    }
    return out;
}

std::optional<std::string> why_port_taken(const Forward& forward, const std::vector<Listener>& listeners) {
    const auto wanted = parse_ipv4(forward.listen);
    for (const Listener& l : listeners) {
        if (l.protocol != forward.protocol || l.port != forward.host_port) continue;
        if (!l.everywhere && l.address >> 24 == kLoopback) continue;
        if (!l.everywhere && wanted && l.address != *wanted) continue;
        return fmt::format("a program of the host listens on {} port {} of {}", text_of(l.protocol), l.port,
                           l.everywhere ? "all addresses" : format_ipv4(l.address));
    }
    return std::nullopt;
}

std::vector<std::pair<NetworkId, std::string>> take_forwards_away(std::vector<NetworkDocument>& networks,
                                                                  std::vector<Listener> listeners) {
    std::vector<std::pair<NetworkId, std::string>> out;
    std::vector<std::pair<Forward, std::string>> given;
    std::erase_if(listeners, [&](const Listener& l) {
        return !l.everywhere && std::ranges::any_of(networks, [&](const NetworkDocument& n) {
            return parse_ipv4(n.gateway) == l.address;
        });
    });
    for (NetworkDocument& network : networks) {
        std::erase_if(network.forwards, [&](const Forward& forward) {
            auto why = why_port_taken(forward, listeners);
            for (const auto& [other, owner] : given) {
                if (!why && same_port(forward, other)) why = "network " + owner + " forwards it already";
            }
            if (why)
                out.emplace_back(network.id,
                                 fmt::format("{} port {} can't be forwarded to {}: {}; take another port",
                                             text_of(forward.protocol), forward.host_port, forward.address, *why));
            else
                given.emplace_back(forward, network.name);
            return why.has_value();
        });
    }
    return out;
}

}  // namespace axle
