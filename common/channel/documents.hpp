// Host documents: what an agent is told to keep on its host (DESIGN 7). Not user resources: everything is resolved
// (ids, addresses, slots), so that the agent needs nothing else to rebuild a host after a power cut with the
// orchestrator gone. Plain values; any thread.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/model/describe.hpp"

namespace axle {

// Of a placement: never reused, compared as a pair. Higher wins.
struct Epoch {
    std::uint64_t incarnation = 0;  // of the store
    std::uint64_t revision = 0;     // of the bind
    auto operator<=>(const Epoch&) const = default;
};
template <class V>
void describe(Epoch& v, V&& field) {
    field("incarnation", v.incarnation, {.doc = "Of the store."});
    field("revision", v.revision, {.doc = "Of the placement."});
}

enum class Power { running, stopped, paused };
constexpr EnumNames<Power, 3> names(Power) {
    return {{{Power::running, "running"}, {Power::stopped, "stopped"}, {Power::paused, "paused"}}};
}
enum class OnGuestShutdown { stay_off, restart };
constexpr EnumNames<OnGuestShutdown, 2> names(OnGuestShutdown) {
    return {{{OnGuestShutdown::stay_off, "stay-off"}, {OnGuestShutdown::restart, "restart"}}};
}
enum class OnCrash { restart, stay_off };
constexpr EnumNames<OnCrash, 2> names(OnCrash) {
    return {{{OnCrash::restart, "restart"}, {OnCrash::stay_off, "stay-off"}}};
}
enum class Accelerator { kvm, qemu };
constexpr EnumNames<Accelerator, 2> names(Accelerator) {
    return {{{Accelerator::kvm, "kvm"}, {Accelerator::qemu, "qemu"}}};
}
enum class DiskFormat { qcow2, raw };
constexpr EnumNames<DiskFormat, 2> names(DiskFormat) {
    return {{{DiskFormat::qcow2, "qcow2"}, {DiskFormat::raw, "raw"}}};
}
enum class NetworkType { nat, bridged };
constexpr EnumNames<NetworkType, 2> names(NetworkType) {
    return {{{NetworkType::nat, "nat"}, {NetworkType::bridged, "bridged"}}};
}
enum class Protocol { tcp, udp };
constexpr EnumNames<Protocol, 2> names(Protocol) {
    return {{{Protocol::tcp, "tcp"}, {Protocol::udp, "udp"}}};
}
enum class DocumentKind { pool, image, network, volume, vm };  // in the order in which they are needed
constexpr EnumNames<DocumentKind, 5> names(DocumentKind) {
    return {{{DocumentKind::pool, "pool"},
             {DocumentKind::image, "image"},
             {DocumentKind::network, "network"},
             {DocumentKind::volume, "volume"},
             {DocumentKind::vm, "vm"}}};
}

struct PoolDocument {
    PoolId id;
    std::string name;
    std::string path;  // absolute directory
    bool shared = false;
    std::string cluster;  // written into and checked against the pool's id file
};
template <class V>
void describe(PoolDocument& v, V&& field) {
    field("id", v.id, {});
    field("name", v.name, {});
    field("path", v.path, {});
    field("shared", v.shared, {});
    field("cluster", v.cluster, {});
}

// An image wanted in a pool's cache: <pool>/images/<digest>.qcow2, read-only, content-addressed. id is made from (pool,
// digest).
struct ImageDocument {
    Uuid id{};
    PoolId pool;
    std::string digest;     // sha256 of the file, hex
    std::int64_t size = 0;  // bytes of the file
    std::int64_t virtual_size = 0;
    // Absolute path on this machine (all-in-one), or "orchestrator:DIGEST": to be asked for where the agent's channel
    // leads to.
    std::string source;
};
template <class V>
void describe(ImageDocument& v, V&& field) {
    field("id", v.id, {});
    field("pool", v.pool, {});
    field("digest", v.digest, {});
    field("size", v.size, {});
    field("virtualSize", v.virtual_size, {});
    field("source", v.source, {});
}

// <pool>/volumes/<id>.qcow2 (or .raw). Made once: `made` says that the orchestrator knows it made; one that is missing
// then is Lost.
struct VolumeDocument {
    VolumeId id;
    Epoch epoch;
    PoolId pool;
    std::int64_t size = 0;  // virtual, bytes
    DiskFormat format = DiskFormat::qcow2;
    std::string image_digest;  // overlay on this cached image; empty: blank
    bool made = false;
    std::string name;  // project/name, for people
};
template <class V>
void describe(VolumeDocument& v, V&& field) {
    field("id", v.id, {});
    field("epoch", v.epoch, {});
    field("pool", v.pool, {});
    field("size", v.size, {});
    field("format", v.format, {});
    field("imageDigest", v.image_digest, {});
    field("made", v.made, {});
    field("name", v.name, {});
}

struct Reservation {
    std::string mac;
    std::string address;
    std::string hostname;
};
struct Forward {
    Protocol protocol = Protocol::tcp;
    std::int64_t host_port = 0;
    std::string listen;   // address of the host; empty: all
    std::string address;  // of the guest
    std::int64_t guest_port = 0;
};
template <class V>
void describe(Forward& v, V&& field) {
    field("protocol", v.protocol, {});
    field("hostPort", v.host_port, {});
    field("listen", v.listen, {});
    field("address", v.address, {});
    field("guestPort", v.guest_port, {});
}

// A guest of the network on another host: frames to its MAC go there, and its host's bridge answers ARP for it.
struct NetworkPeer {
    std::string mac;
    std::string address;  // of the guest; empty: not ours to say
    std::string host;     // underlay address of the host that it is on
};
template <class V>
void describe(NetworkPeer& v, V&& field) {
    field("mac", v.mac, {});
    field("address", v.address, {});
    field("host", v.host, {});
}

struct NetworkDocument {
    NetworkId id;
    std::string name;  // project/name
    NetworkType type = NetworkType::nat;
    std::string bridge;            // bridged: the existing bridge; nat: ours, axb<hash>
    std::string cidr;              // nat: "10.90.0.0/24"; bridged: empty where addresses aren't ours
    std::string gateway;           // nat: our address in it
    std::string gateway_mac;       // nat: same on every host
    std::vector<std::string> dns;  // given to guests; empty: the gateway itself, which forwards
    std::string domain;            // DNS suffix of the guests
    std::int64_t mtu = 1500;
    // DHCP answers these and nobody else. Not in the message: the agent has them from the NICs of its own guests.
    std::vector<Reservation> reservations = {};
    std::vector<Forward> forwards;
    std::int64_t vni = 0;            // nat: number of its segment between hosts; 0: on this host alone
    std::string underlay;            // this host's address that the others send to
    std::vector<NetworkPeer> peers;  // its guests on other hosts, sorted by MAC
};
template <class V>
void describe(NetworkDocument& v, V&& field) {
    field("id", v.id, {});
    field("name", v.name, {});
    field("type", v.type, {});
    field("bridge", v.bridge, {});
    field("cidr", v.cidr, {});
    field("gateway", v.gateway, {});
    field("gatewayMac", v.gateway_mac, {});
    field("dns", v.dns, {});
    field("domain", v.domain, {});
    field("mtu", v.mtu, {});
    field("forwards", v.forwards, {});
    field("vni", v.vni, {});
    field("underlay", v.underlay, {});
    field("peers", v.peers, {});
}

struct VmDocumentDisk {
    std::string name;  // key in spec.disks
    VolumeId volume;
    PoolId pool;
    DiskFormat format = DiskFormat::qcow2;
    std::int64_t slot = 0;        // PCIe root port 1..30, for ever
    std::int64_t boot_order = 0;  // 0: not bootable; it comes and goes while the guest runs
    std::string serial;           // 20 characters of the volume's id
};
template <class V>
void describe(VmDocumentDisk& v, V&& field) {
    field("name", v.name, {});
    field("volume", v.volume, {});
    field("pool", v.pool, {});
    field("format", v.format, {});
    field("slot", v.slot, {});
    field("bootOrder", v.boot_order, {});
    field("serial", v.serial, {});
}
struct VmDocumentNic {
    std::string name;
    NetworkId network;
    std::string mac;
    std::string address;    // empty: not ours to say (bridged without a range)
    std::int64_t slot = 0;  // PCIe root port
};
template <class V>
void describe(VmDocumentNic& v, V&& field) {
    field("name", v.name, {});
    field("network", v.network, {});
    field("mac", v.mac, {});
    field("address", v.address, {});
    field("slot", v.slot, {});
}
// Inputs of the cloud-init NoCloud seed.
struct SeedDocument {
    std::string instance_id;  // changes only when cloud-init shall run anew
    std::string hostname;
    std::string user_data;  // empty: made from the keys
    std::vector<std::string> ssh_keys;
};
template <class V>
void describe(SeedDocument& v, V&& field) {
    field("instanceId", v.instance_id, {});
    field("hostname", v.hostname, {});
    field("userData", v.user_data, {.sensitive = true});
    field("sshKeys", v.ssh_keys, {});
}

// A part of this host in moving a guest to or from another one (RELIABILITY 5.4). The source decides alone: until its
// durable "handed over" the guest is its own, from then on the target's.
enum class MoveRole { outgoing, incoming };
constexpr EnumNames<MoveRole, 2> names(MoveRole) {
    return {{{MoveRole::outgoing, "outgoing"}, {MoveRole::incoming, "incoming"}}};
}
struct VmMove {
    MoveRole role = MoveRole::outgoing;
    TaskId task;
    Epoch epoch;  // that the guest has on the target; above that of the source's document
    HostId peer;  // the other host
    std::string peer_name;
    std::string address;           // outgoing: data port of the target, "10.0.0.2:7444"
    std::string ticket;            // one-time secret that the source shows and the target expects
    bool live = true;              // else the guest is off while its disks are copied
    std::vector<VolumeId> copies;  // disks that are copied; all others lie on pools that both hosts share
    std::int64_t bandwidth = 0;    // bytes a second at most; 0: no limit
    bool cancel = false;           // outgoing: give it up unless it is handed over already
    bool handed_over = false;      // incoming: the source's durable word, by way of the orchestrator
    bool run_over = false;         // incoming: the guest ended the run of its serial by itself, and stays off
    bool operator==(const VmMove&) const = default;
};
template <class V>
void describe(VmMove& v, V&& field) {
    field("role", v.role, {});
    field("task", v.task, {});
    field("epoch", v.epoch, {});
    field("peer", v.peer, {});
    field("peerName", v.peer_name, {});
    field("address", v.address, {});
    field("ticket", v.ticket, {});
    field("live", v.live, {});
    field("copies", v.copies, {});
    field("bandwidth", v.bandwidth, {});
    field("cancel", v.cancel, {});
    field("handedOver", v.handed_over, {});
    field("runOver", v.run_over, {});
}

struct VmDocument {
    VmId id;
    Epoch epoch;
    std::uint64_t rev = 0;        // head's revision when this content was first derived
    std::int64_t generation = 0;  // of the user's spec
    std::string name;             // project/name
    std::string cluster;
    std::int64_t cpus = 1;
    std::int64_t memory = 0;  // bytes
    std::string machine;      // canonical, "pc-q35-7.2"
    std::string cpu_model;    // "qemu64", "EPYC", ...
    Accelerator accelerator = Accelerator::qemu;
    std::vector<VmDocumentDisk> disks;
    std::vector<VmDocumentNic> nics;
    SeedDocument seed;
    std::int64_t seed_slot = 0;
    Power power = Power::running;
    std::int64_t start_serial =
        0;                    // raised by each start; a run that ended by itself is not repeated for the same serial
    bool force_stop = false;  // power=stopped: don't ask the guest first
    std::int64_t stop_timeout_ms = 90'000;
    OnGuestShutdown on_guest_shutdown = OnGuestShutdown::stay_off;
    OnCrash on_crash = OnCrash::restart;
    std::int64_t priority = 0;  // higher starts earlier after a boot
    std::optional<VmMove> move;
};
template <class V>
void describe(VmDocument& v, V&& field) {
    field("id", v.id, {});
    field("epoch", v.epoch, {});
    field("rev", v.rev, {});
    field("generation", v.generation, {});
    field("name", v.name, {});
    field("cluster", v.cluster, {});
    field("cpus", v.cpus, {});
    field("memory", v.memory, {});
    field("machine", v.machine, {});
    field("cpuModel", v.cpu_model, {});
    field("accelerator", v.accelerator, {});
    field("disks", v.disks, {});
    field("nics", v.nics, {});
    field("seed", v.seed, {});
    field("seedSlot", v.seed_slot, {});
    field("power", v.power, {});
    field("startSerial", v.start_serial, {});
    field("forceStop", v.force_stop, {});
    field("stopTimeoutMs", v.stop_timeout_ms, {});
    field("onGuestShutdown", v.on_guest_shutdown, {});
    field("onCrash", v.on_crash, {});
    field("priority", v.priority, {});
    field("move", v.move, {});
}

}  // namespace axle
