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
    Result<> dump(const std::string& what, int type, const Body& body, const Each& each);
    Result<bool> take_answers(const std::string& what, unsigned sequence, std::vector<char>& buffer, const Each& each);
    Result<> change_address(const std::string& what, int type, int flags, int index, const std::string& cidr);
    std::unique_ptr<Socket> socket_;
};

}  // namespace axle
