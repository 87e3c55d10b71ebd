// Which ports of the host programs of its own listen on: a forward of such a port would take it away from them (a
// forward of port 22 would lock the administrator out). Parsing is pure; gathering blocks shortly.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/channel/documents.hpp"

namespace axle {

struct Listener {
    Protocol protocol = Protocol::tcp;
    bool everywhere = false;    // on all addresses
    std::uint32_t address = 0;  // IPv4, host byte order, where not everywhere
    int port = 0;
};

// Text of /proc/net/tcp or udp; v6: of tcp6 or udp6, where only "all addresses" is taken (it answers IPv4 too).
std::vector<Listener> read_listeners(std::string_view text, Protocol protocol, bool v6);
std::vector<Listener> find_listeners();

// Why this forward can't have its port; empty: it can. Listeners on 127.0.0.0/8 don't matter: forwards don't touch it.
std::optional<std::string> why_port_taken(const Forward& forward, const std::vector<Listener>& listeners);
// Takes out the forwards that can't have their port, because of a listener or of an earlier network's forward, and says
// of which network and why. What listens on a gateway is our own DNS, which no forward touches.
std::vector<std::pair<NetworkId, std::string>> take_forwards_away(std::vector<NetworkDocument>& networks,
                                                                  std::vector<Listener> listeners);

}  // namespace axle
