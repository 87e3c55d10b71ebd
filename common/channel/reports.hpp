// What an agent tells of its host: facts, load, and the status of each document that it holds (DESIGN 7).
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/channel/documents.hpp"
#include "common/channel/machine.hpp"

namespace axle {

// One thing that a user should know about an object. status "true" means that the type holds.
struct Condition {
    std::string type;  // Scheduled, Ready, Blocked, NotDurable, NoAddress, ...
    bool status = true;
    std::string reason;   // stable, CamelCase or kebab
    std::string message;  // cause, numbers, remedy
    std::string since;    // RFC 3339, set by whoever first sees it change
    bool operator==(const Condition&) const = default;
};
template <class V>
void describe(Condition& v, V&& field) {
    field("type", v.type, {.doc = "What the condition is about."});
    field("status", v.status, {.doc = "Whether it holds."});
    field("reason", v.reason, {.doc = "Stable word for programs."});
    field("message", v.message, {.doc = "Cause, numbers and remedy, for people."});
    field("since", v.since, {.doc = "When it last changed.", .unit = Unit::time});
}

enum class DomainState { absent, shut_off, running, paused, stopping, crashed };
constexpr EnumNames<DomainState, 6> names(DomainState) {
    return {{{DomainState::absent, "absent"},
             {DomainState::shut_off, "shut-off"},
             {DomainState::running, "running"},
             {DomainState::paused, "paused"},
             {DomainState::stopping, "stopping"},
             {DomainState::crashed, "crashed"}}};
}
// How a run of a guest ended (DESIGN 4, Power).
enum class RunEnd { none, guest_shutdown, stopped_by_us, destroyed, crashed, failed, host_down, unknown };
constexpr EnumNames<RunEnd, 8> names(RunEnd) {
    return {{{RunEnd::none, "none"},
             {RunEnd::guest_shutdown, "guest-shutdown"},
             {RunEnd::stopped_by_us, "stopped"},
             {RunEnd::destroyed, "destroyed"},
             {RunEnd::crashed, "crashed"},
             {RunEnd::failed, "failed"},
             {RunEnd::host_down, "host-down"},
             {RunEnd::unknown, "unknown"}}};
}

// What a person asked of the agent itself, with no orchestrator there. It holds until the spec has another generation,
// and is taken over into it where it has not.
struct LocalWish {
    Power power = Power::running;
    std::int64_t generation = 0;    // of the spec that it changes
    std::int64_t start_serial = 0;  // that it counts as
    std::string at;                 // RFC 3339
    bool operator==(const LocalWish&) const = default;
};
template <class V>
void describe(LocalWish& v, V&& field) {
    field("power", v.power, {.doc = "What was asked for."});
    field("generation", v.generation, {.doc = "Generation of the spec that it changes."});
    field("startSerial", v.start_serial, {.doc = "Serial of that start."});
    field("at", v.at, {.doc = "When.", .unit = Unit::time});
}

// How a move of a guest stands, as one of its two hosts sees it. The words after `moving` are durable there before they
// are told.
enum class MovePhase {
    preparing,    // target: images, volumes, networks, definition
    ready,        // target: it listens
    moving,       // source
    aborted,      // source: the guest stays here, whatever the target has
    handed_over,  // source: its guest is gone and never starts here at this epoch
    accepted,     // target: it is the guest's place from now on
};
constexpr EnumNames<MovePhase, 6> names(MovePhase) {
    return {{{MovePhase::preparing, "preparing"},
             {MovePhase::ready, "ready"},
             {MovePhase::moving, "moving"},
             {MovePhase::aborted, "aborted"},
             {MovePhase::handed_over, "handed-over"},
             {MovePhase::accepted, "accepted"}}};
}
struct MoveReport {
    Epoch epoch;  // of the move that this is about
    MovePhase phase = MovePhase::preparing;
    std::string message;           // what it waits for, or why it was aborted: cause, numbers, remedy
    std::int64_t done = 0;         // bytes of memory and disks
    std::int64_t total = 0;        // 0: not known
    std::int64_t downtime_ms = 0;  // handed over: how long the guest stood still, as far as libvirt tells
    bool operator==(const MoveReport&) const = default;
};
template <class V>
void describe(MoveReport& v, V&& field) {
    field("epoch", v.epoch, {.doc = "Of the placement that the move leads to."});
    field("phase", v.phase, {.doc = "How far it is."});
    field("message", v.message, {.doc = "What it waits for, or why it ended."});
    field("done", v.done, {.doc = "Bytes moved.", .unit = Unit::bytes});
    field("total", v.total, {.doc = "Bytes in all, as far as is known.", .unit = Unit::bytes});
    field("downtimeMs", v.downtime_ms, {.doc = "Milliseconds for which the guest stood still."});
}

struct VmReport {
    DomainState state = DomainState::absent;
    std::int64_t generation = 0;                // of the document that this answers
    std::int64_t start_serial = 0;              // serial that was last started (or refused to start again)
    RunEnd last_end = RunEnd::none;             // of that serial, if it is over
    bool settled = false;                       // nothing left to do for this document
    bool needs_reboot = false;                  // the running guest differs from the document
    std::int64_t restarts = 0;                  // crashes since the last start by a person
    std::map<std::string, std::string> stages;  // nic -> "firmware", "kernel", "dhcp-asked", "dhcp-answered"
    std::optional<LocalWish> local;
    std::optional<MoveReport> move;  // while the document has a move
    std::vector<Condition> conditions;
    bool operator==(const VmReport&) const = default;
};
template <class V>
void describe(VmReport& v, V&& field) {
    field("state", v.state, {});
    field("generation", v.generation, {});
    field("startSerial", v.start_serial, {});
    field("lastEnd", v.last_end, {});
    field("settled", v.settled, {});
    field("needsReboot", v.needs_reboot, {});
    field("restarts", v.restarts, {});
    field("stages", v.stages, {});
    field("local", v.local, {});
    field("move", v.move, {});
    field("conditions", v.conditions, {});
}

enum class VolumeState { pending, ready, lost, failed };
constexpr EnumNames<VolumeState, 4> names(VolumeState) {
    return {{{VolumeState::pending, "pending"},
             {VolumeState::ready, "ready"},
             {VolumeState::lost, "lost"},
             {VolumeState::failed, "failed"}}};
}
struct VolumeReport {
    VolumeState state = VolumeState::pending;
    std::int64_t size = 0;       // virtual
    std::int64_t allocated = 0;  // on disk
    std::vector<Condition> conditions;
};
template <class V>
void describe(VolumeReport& v, V&& field) {
    field("state", v.state, {});
    field("size", v.size, {});
    field("allocated", v.allocated, {});
    field("conditions", v.conditions, {});
}
// Networks, images and pools: ready or not, and why.
struct SimpleReport {
    bool ready = false;
    std::int64_t size = 0;  // pool: bytes of its file system
    std::int64_t free = 0;  // pool: bytes left
    std::int64_t done = 0;  // image: bytes fetched of `size`
    std::vector<Condition> conditions;
    bool operator==(const SimpleReport&) const = default;
};
template <class V>
void describe(SimpleReport& v, V&& field) {
    field("ready", v.ready, {});
    field("size", v.size, {});
    field("free", v.free, {});
    field("done", v.done, {});
    field("conditions", v.conditions, {});
}

// What a host is. Changes seldom.
struct HostFacts {
    std::string hostname;
    std::string machine_id;
    std::string os;  // "Debian GNU/Linux 12 (bookworm)"
    std::string kernel;
    std::string libvirt;
    std::string qemu;
    std::string agent;        // version of ours
    std::string cpu_model;    // as the kernel says it
    std::int64_t cpus = 0;    // logical
    std::int64_t memory = 0;  // bytes
    Accelerator accelerator = Accelerator::qemu;
    std::string accelerator_why;
    std::string guest_machine;                       // canonical machine type that guests get, "pc-q35-7.2"
    std::string guest_cpu_model;                     // model that guests get
    std::vector<std::string> bridges;                // existing ones that aren't ours
    std::vector<std::string> addresses;              // of the host, with prefix
    std::vector<std::string> routes;                 // destinations that nat ranges must avoid, CIDR
    std::map<std::string, std::string> route_links;  // the interface that a route goes by, where it is known
    std::int64_t foreign_memory = 0;                 // of running domains that aren't ours
    std::int64_t foreign_cpus = 0;
    std::vector<std::string> features;
    std::vector<Condition> conditions;      // NotDurable, NoAccelerator, Blocked, ...
    std::string underlay;                   // address that other hosts send guests' packets to
    std::int64_t data_port = 0;             // other hosts reach it at the underlay address; 0: it doesn't listen
    std::vector<std::string> orchestrator;  // where it looks for the orchestrator; empty: it is in the same process
    std::string cpu_flags;                  // as in /proc/cpuinfo
    std::vector<NumaNode> numa;
    std::vector<HugePages> hugepages;
    std::vector<BlockDevice> disks;
    std::vector<HostInterface> interfaces;  // not ours
};
template <class V>
void describe(HostFacts& v, V&& field) {
    field("hostname", v.hostname, {.doc = "Name that the machine gives itself."});
    field("machineId", v.machine_id, {.doc = "/etc/machine-id"});
    field("os", v.os, {.doc = "Operating system."});
    field("kernel", v.kernel, {.doc = "Kernel release."});
    field("libvirt", v.libvirt, {.doc = "Version of libvirt."});
    field("qemu", v.qemu, {.doc = "Version of QEMU."});
    field("agent", v.agent, {.doc = "Version of the agent."});
    field("cpuModel", v.cpu_model, {.doc = "Processor."});
    field("cpus", v.cpus, {.doc = "Logical processors."});
    field("memory", v.memory, {.doc = "Memory in bytes.", .unit = Unit::bytes});
    field("accelerator", v.accelerator, {.doc = "kvm, or qemu where guests are emulated (slow)."});
    field("acceleratorWhy", v.accelerator_why, {.doc = "Why this accelerator."});
    field("guestMachine", v.guest_machine, {.doc = "Machine type that new guests get."});
    field("guestCpuModel", v.guest_cpu_model, {.doc = "CPU model that new guests get."});
    field("bridges", v.bridges, {.doc = "Existing bridges that a bridged network may use."});
    field("addresses", v.addresses, {.doc = "Addresses of the host."});
    field("routes", v.routes, {.doc = "Destinations that ranges of nat networks must not overlap."});
    field("routeLinks", v.route_links, {.doc = "Interface of each of these routes."});
    field("foreignMemory", v.foreign_memory,
          {.doc = "Memory of running domains that are not ours.", .unit = Unit::bytes});
    field("foreignCpus", v.foreign_cpus, {.doc = "CPUs of running domains that are not ours."});
    field("features", v.features, {.doc = "What this agent can do."});
    field("conditions", v.conditions, {.doc = "What a person should know about the host."});
    field("underlay", v.underlay, {.doc = "Address that other hosts send guests' packets to."});
    field("dataPort", v.data_port, {.doc = "Port at which other hosts send guests that move here."});
    field("orchestrator", v.orchestrator,
          {.doc = "Where it looks for the orchestrator, durably: the first that answers."});
    field("cpuFlags", v.cpu_flags, {.doc = "What the processor can do, in the kernel's words."});
    field("numa", v.numa, {.doc = "Nodes of memory and processors."});
    field("hugepages", v.hugepages, {.doc = "Huge pages by size."});
    field("disks", v.disks, {.doc = "Its disks."});
    field("interfaces", v.interfaces, {.doc = "Its network interfaces, without those of guests."});
}
struct HostLoad {    // soft: in memory only
    double cpu = 0;  // 0..1 of all processors, last interval
    std::int64_t memory_free = 0;
    bool operator==(const HostLoad&) const = default;
};
template <class V>
void describe(HostLoad& v, V&& field) {
    field("cpu", v.cpu, {.doc = "Part of all processors that is busy, 0 to 1, in the last ten seconds."});
    field("memoryFree", v.memory_free, {.doc = "Memory that could still be had, in bytes.", .unit = Unit::bytes});
}

}  // namespace axle
