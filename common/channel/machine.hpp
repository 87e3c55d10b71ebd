// What a host is made of, and what lies on it that nobody claims. Parts of HostFacts.
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

// Something with our mark that no record of the cloud knows. It is told of and left alone.
enum class UnclaimedKind { vm, volume, file, domain };
constexpr EnumNames<UnclaimedKind, 4> names(UnclaimedKind) {
    return {{{UnclaimedKind::vm, "vm"},
             {UnclaimedKind::volume, "volume"},
             {UnclaimedKind::file, "file"},
             {UnclaimedKind::domain, "domain"}}};
}
struct Unclaimed {
    UnclaimedKind kind = UnclaimedKind::file;
    Uuid id{};
    std::string name;
    Uuid pool{};
    std::string path;
    std::int64_t size = 0;
    std::int64_t allocated = 0;
    std::string image_digest;
    std::vector<Uuid> volumes;
    bool operator==(const Unclaimed&) const = default;
};
template <class V>
void describe(Unclaimed& v, V&& field) {
    field("kind", v.kind,
          {.doc = "vm and volume: the agent holds its document; file: of a volume that none tells of; domain: in "
                  "libvirt, with our mark."});
    field("id", v.id, {.doc = "Id of the VM or the volume."});
    field("name", v.name, {.doc = "project/name, as its document or domain tells."});
    field("pool", v.pool, {.doc = "Pool that it lies in: volume and file."});
    field("path", v.path, {.doc = "Where it lies: volume and file."});
    field("size", v.size, {.doc = "Size that a guest sees: volume and file.", .unit = Unit::bytes});
    field("allocated", v.allocated, {.doc = "Bytes that it takes: volume and file.", .unit = Unit::bytes});
    field("imageDigest", v.image_digest, {.doc = "Image that it is an overlay of."});
    field("volumes", v.volumes, {.doc = "Disks of a vm or a domain."});
}

}  // namespace axle
