// What a host is made of. Parts of HostFacts.
#pragma once
#include <string>
#include <vector>

#include "common/model/describe.hpp"

namespace axle {

struct NumaNode {
    std::int64_t id = 0;
    std::string cpus;  // as the kernel writes it, "0-3,8-11"
    std::int64_t memory = 0;
};
template <class V>
void describe(NumaNode& v, V&& field) {
    field("id", v.id, {.doc = "Number of the node."});
    field("cpus", v.cpus, {.doc = "Its logical processors, e.g. 0-3,8-11."});
    field("memory", v.memory, {.doc = "Its memory.", .unit = Unit::bytes});
}
struct HugePages {
    std::int64_t size = 0;
    std::int64_t total = 0;
};
template <class V>
void describe(HugePages& v, V&& field) {
    field("size", v.size, {.doc = "Size of a page.", .unit = Unit::bytes});
    field("total", v.total, {.doc = "How many are set aside."});
}
struct BlockDevice {
    std::string name;  // "sda"
    std::string model;
    std::int64_t size = 0;
    bool rotational = false;
};
template <class V>
void describe(BlockDevice& v, V&& field) {
    field("name", v.name, {.doc = "Name under /dev."});
    field("model", v.model, {.doc = "Model, as the disk tells."});
    field("size", v.size, {.doc = "Size.", .unit = Unit::bytes});
    field("rotational", v.rotational, {.doc = "It has turning platters."});
}
struct HostInterface {
    std::string name;
    std::string mac;
    std::string state;  // "up", "down", "unknown" (virtual ones)
    std::int64_t mtu = 0;
    std::int64_t speed = 0;  // Mbit/s; 0: not told
};
template <class V>
void describe(HostInterface& v, V&& field) {
    field("name", v.name, {.doc = "Name of the interface."});
    field("mac", v.mac, {.doc = "MAC address."});
    field("state", v.state, {.doc = "up, down or unknown."});
    field("mtu", v.mtu, {.doc = "Largest packet."});
    field("speed", v.speed, {.doc = "Mbit/s; 0: it doesn't tell."});
}

}  // namespace axle
