// Interfaces, addresses and routes by rtnetlink (libmnl), with the kernel's own words in errors. Blocks shortly:
// workers only. One thread at a time.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/result.hpp"

struct nlmsghdr;

namespace axle {

struct Vxlan {
    std::int64_t vni = 0;
    std::string local;  // address that it sends from
    int port = 0;       // UDP, both ends
    bool operator==(const Vxlan&) const = default;
};
struct Link {
    int index = 0;
    std::string name;
    std::string kind;   // "bridge", "tun", "veth", ...; empty: hardware
    std::string alias;  // ifalias
    std::string mac;
    int master = 0;
    std::int64_t mtu = 0;
    bool up = false;
    bool carrier = false;  // of a tap: a process has it open
    std::optional<Vxlan> vxlan;
};
// Where frames to a MAC go from a VXLAN device: to another host, and on its bridge to the device itself.
struct ForwardingEntry {
    int index = 0;
    std::string mac;
    std::string host;  // empty: the entry of the bridge
    auto operator<=>(const ForwardingEntry&) const = default;
};
struct Neighbour {
    int index = 0;
    std::string address, mac;
    auto operator<=>(const Neighbour&) const = default;
};
struct LinkAddress {
    int index = 0;
    std::string cidr;  // "10.0.0.1/24", host bits kept
};
struct Route {
    std::string destination;  // CIDR; "0.0.0.0/0" the default
    int out_index = 0;
};
struct LinkWish {
    int master = -1;  // 0: none; -1: as it is
    std::int64_t mtu = 0;
    std::string mac, alias;
    bool up = false;
};

class Rtnetlink {
  public:
    static Result<std::unique_ptr<Rtnetlink>> open();
    ~Rtnetlink();

    Result<std::vector<Link>> links();
    Result<std::vector<LinkAddress>> addresses();  // IPv4
    Result<std::vector<Route>> routes();           // IPv4, main table
    // Both give the index, and bear `alias` from their first instant: a crash leaves none without our mark. There
    // already: conflict, and left as it is.
    Result<int> add_bridge(const std::string& name, const std::string& mac, const std::string& alias);
    Result<int> add_tap(const std::string& name, const std::string& alias);  // persistent
    Result<int> add_vxlan(const std::string& name, const Vxlan& vxlan, const std::string& alias);
    // A port of a bridge that frames leave by to known MACs only, that learns none, and for whose neighbours the bridge
    // answers ARP itself.
    Result<> make_port_known_only(int index);
    Result<std::vector<ForwardingEntry>> forwarding();  // the static ones, of all interfaces
    Result<std::vector<Neighbour>> neighbours();        // the permanent ones, IPv4
    // There already, or gone already: success.
    Result<> change_forwarding(bool add, const std::vector<ForwardingEntry>& entries);
    Result<> change_neighbours(bool add, const std::vector<Neighbour>& entries);
    Result<> set_link(int index, const LinkWish& wish);
    // The host itself gets no IPv6 address on it and says nothing there. A kernel without IPv6: nothing to do.
    void keep_silent(int index);
    Result<> add_address(int index, const std::string& cidr);  // there already: success
    Result<> remove_address(int index, const std::string& cidr);
    Result<> remove_link(int index);  // gone already: success

  private:
    struct Socket;
    explicit Rtnetlink(std::unique_ptr<Socket> socket);
    using Body = std::function<void(nlmsghdr*)>;
    using Each = std::function<void(const nlmsghdr*)>;
    Result<> request(const std::string& what, int type, int flags, const Body& body);
    // Several requests in one send: the kernel takes them all, also if we are killed meanwhile. The first error counts.
    Result<> request_all(const std::string& what, int type, const std::vector<std::pair<int, Body>>& flags_and_bodies);
    Result<int> add_marked(const std::string& name, const std::string& alias, const Body& make);
    Result<> change_entries(const std::string& what, bool add, const std::vector<Body>& bodies);
    Result<> dump(const std::string& what, int type, const Body& body, const Each& each);
    Result<bool> take_answers(const std::string& what, unsigned sequence, std::vector<char>& buffer, const Each& each);
    Result<> change_address(const std::string& what, int type, int flags, int index, const std::string& cidr);
    std::unique_ptr<Socket> socket_;
};

}  // namespace axle
