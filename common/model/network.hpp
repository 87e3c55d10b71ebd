// network, portforward.
#pragma once
#include "common/channel/reports.hpp"
#include "common/model/object.hpp"

namespace axle {

struct NetworkSpec {
    NetworkType type = NetworkType::nat;
    std::string cidr;
    std::string gateway;
    std::string bridge;
    std::vector<std::string> dns;
    std::string domain;
    std::optional<std::int64_t> mtu;
    bool shared = false;
};
template <class V>
void describe(NetworkSpec& v, V&& field) {
    field("type", v.type,
          {.doc = "nat: a private range with DHCP, DNS and outbound NAT. bridged: onto an existing bridge of the host.",
           .change = Change::never});
    field("cidr", v.cidr,
          {.doc = "Range of the guests' addresses; nat without it gets a free one.",
           .format = Format::cidr,
           .change = Change::never});
    field("gateway", v.gateway,
          {.doc = "nat: our address in the range; default is its first.",
           .format = Format::ipv4,
           .change = Change::never});
    field("bridge", v.bridge, {.doc = "bridged: the host's bridge, e.g. br0.", .max = 15, .change = Change::never});
    field("dns", v.dns,
          {.doc = "Name servers for the guests; without them the gateway answers.", .max = 8, .format = Format::ipv4});
    field("domain", v.domain, {.doc = "DNS suffix of the guests.", .format = Format::dotted_name});
    field(
        "mtu", v.mtu,
        {.doc = "Largest packet. Default: 1450 for nat, which leaves room for the way between hosts; 1500 for bridged.",
         .min = 576,
         .max = 9000,
         .change = Change::reboot});
    field("shared", v.shared, {.doc = "Other projects may use it."});
}
struct NetworkStatus {
    bool ready = false;
    std::string gateway_mac;
    std::int64_t vni = 0;
    std::vector<Condition> conditions;
};
template <class V>
void describe(NetworkStatus& v, V&& field) {
    field("ready", v.ready, {.doc = "It works on every host that has guests in it."});
    field("gatewayMac", v.gateway_mac, {.doc = "MAC address of the gateway, the same on every host."});
    field("vni", v.vni, {.doc = "Number of its segment between hosts (VXLAN)."});
    field("conditions", v.conditions, {.doc = "What you should know about it."});
}

struct PortForwardSpec {
    Ref vm;
    std::string nic;
    Protocol protocol = Protocol::tcp;
    std::int64_t host_port = 0;
    std::int64_t guest_port = 0;
    std::string listen;
};
template <class V>
void describe(PortForwardSpec& v, V&& field) {
    field("vm", v.vm, {.doc = "VM that answers.", .required = true, .ref = "vm", .change = Change::never});
    field("nic", v.nic, {.doc = "Its NIC; default is the first on a nat network.", .max = 63, .change = Change::never});
    field("protocol", v.protocol, {.doc = "tcp or udp."});
    field("hostPort", v.host_port, {.doc = "Port of the host.", .required = true, .min = 1, .max = 65535});
    field("guestPort", v.guest_port, {.doc = "Port of the guest.", .required = true, .min = 1, .max = 65535});
    field("listen", v.listen, {.doc = "Address of the host; default is all.", .format = Format::ipv4});
}
struct PortForwardStatus {
    std::string host;
    std::string address;
    std::vector<Condition> conditions;
};
template <class V>
void describe(PortForwardStatus& v, V&& field) {
    field("host", v.host, {.doc = "Host that forwards."});
    field("address", v.address, {.doc = "Guest's address that it goes to."});
    field("conditions", v.conditions, {.doc = "What you should know about it."});
}

using NetworkObject = ObjectOf<Kind::network, NetworkSpec, NetworkStatus>;
using PortForward = ObjectOf<Kind::portforward, PortForwardSpec, PortForwardStatus>;

}  // namespace axle
