// vm, flavor, sshkey, placementgroup and what a placement decision looks like.
#pragma once
#include "common/base/units.hpp"
#include "common/channel/reports.hpp"
#include "common/model/object.hpp"
#include "common/model/placing.hpp"

namespace axle {

struct FlavorSpec {
    std::int64_t cpus = 1;
    std::int64_t memory = kGiB;
    std::optional<std::int64_t> disk;
    std::string description;
};
template <class V>
void describe(FlavorSpec& v, V&& field) {
    field("cpus", v.cpus, {.doc = "Virtual CPUs.", .required = true, .min = 1, .max = 256});
    field("memory", v.memory,
          {.doc = "Memory.", .required = true, .min = 16 * kMiB, .max = 16 * kTiB, .unit = Unit::bytes});
    field(
        "disk", v.disk,
        {.doc = "Size of the root disk where the VM doesn't say.", .min = kMiB, .max = 64 * kTiB, .unit = Unit::bytes});
    field("description", v.description, {.doc = "For people.", .max = 1024});
}
struct SshKeySpec {
    std::string public_key;
};
template <class V>
void describe(SshKeySpec& v, V&& field) {
    field("publicKey", v.public_key,
          {.doc = "One line as in ~/.ssh/id_ed25519.pub.", .required = true, .max = 16384, .format = Format::ssh_key});
}

struct VmDisk {
    Ref volume;
    Ref image;
    std::optional<std::int64_t> size;
    Ref pool;
    std::optional<bool> delete_with_vm;
    DiskFormat format = DiskFormat::qcow2;
};
template <class V>
void describe(VmDisk& v, V&& field) {
    field("volume", v.volume,
          {.doc = "An existing volume. Without it one named <vm>-<disk> is made from image, size and pool.",
           .ref = "volume"});
    field("image", v.image, {.doc = "Image that the new volume starts from.", .ref = "image"});
    field("size", v.size,
          {.doc =
               "Size of the volume; at least the image's. Raising it makes the disk larger, also while the guest runs.",
           .min = kMiB,
           .max = 64 * kTiB,
           .unit = Unit::bytes});
    field("pool", v.pool, {.doc = "Pool of the new volume; without it the only or the default one.", .ref = "pool"});
    field("deleteWithVm", v.delete_with_vm,
          {.doc = "Whether deleting the VM deletes the volume. Default: true for root, else false."});
    field("format", v.format, {.doc = "Format of the new volume."});
}
struct VmNic {
    Ref network;
    std::string mac;
    std::string address;
};
template <class V>
void describe(VmNic& v, V&& field) {
    field(
        "network", v.network,
        {.doc =
             "Network that the NIC is on. On another one it is another card, with a new MAC address if none is stated.",
         .required = true,
         .ref = "network"});
    field("mac", v.mac,
          {.doc = "MAC address; one is allocated if left out.", .format = Format::mac, .change = Change::never});
    field("address", v.address,
          {.doc = "IPv4 address in the network's range; one is allocated if left out.",
           .format = Format::ipv4,
           .change = Change::never});
}
enum class WantedAccelerator { automatic, kvm, qemu };
constexpr EnumNames<WantedAccelerator, 3> names(WantedAccelerator) {
    return {
        {{WantedAccelerator::automatic, "auto"}, {WantedAccelerator::kvm, "kvm"}, {WantedAccelerator::qemu, "qemu"}}};
}
struct VmSpec {
    Ref flavor;
    std::optional<std::int64_t> cpus;
    std::optional<std::int64_t> memory;
    std::map<std::string, VmDisk> disks;
    std::map<std::string, VmNic> nics;
    Power power = Power::running;
    std::int64_t start_serial = 1;
    bool force_stop = false;
    std::int64_t stop_timeout = 90'000;
    OnGuestShutdown on_guest_shutdown = OnGuestShutdown::stay_off;
    OnCrash on_crash = OnCrash::restart;
    std::vector<Ref> ssh_keys;
    Secret user_data;
    std::string hostname;
    std::map<std::string, std::string> host_selector;
    Ref placement_group;
    std::map<std::string, AffinityTerm> affinity;
    std::optional<Strategy> strategy;
    WantedAccelerator accelerator = WantedAccelerator::automatic;
    std::int64_t priority = 0;
    bool deletion_protection = false;
    std::int64_t retention = 24 * 3'600'000;
};
template <class V>
void describe(VmSpec& v, V&& field) {
    field("flavor", v.flavor,
          {.doc = "Gives cpus, memory and root size where they aren't stated.",
           .ref = "flavor",
           .change = Change::reboot});
    field("cpus", v.cpus, {.doc = "Virtual CPUs. Default 1.", .min = 1, .max = 256, .change = Change::reboot});
    field("memory", v.memory,
          {.doc = "Memory, e.g. 2GiB. Default 1GiB.",
           .min = 16 * kMiB,
           .max = 16 * kTiB,
           .unit = Unit::bytes,
           .change = Change::reboot});
    field("disks", v.disks, {.doc = "Disks by name; the guest boots from root.", .max = 16});
    field("nics", v.nics, {.doc = "Network interfaces by name; they come and go while the guest runs.", .max = 8});
    field("power", v.power, {.doc = "What the VM should be doing."});
    field("startSerial", v.start_serial,
          {.doc = "Raised by each start; a run that the guest ended is repeated only with a higher one.", .min = 0});
    field("forceStop", v.force_stop,
          {.doc = "With power: stopped, switch off without asking the guest.", .internal = true});
    field("stopTimeout", v.stop_timeout,
          {.doc = "How long a guest may take to shut down.", .min = 1000, .max = 3'600'000, .unit = Unit::duration});
    field("onGuestShutdown", v.on_guest_shutdown, {.doc = "When the guest powers itself off."});
    field("onCrash", v.on_crash, {.doc = "When the guest or its process dies."});
    field("sshKeys", v.ssh_keys,
          {.doc = "Keys that may log in; given to cloud-init at first boot.",
           .max = 64,
           .ref = "sshkey",
           .change = Change::never});
    field("userData", v.user_data,
          {.doc = "cloud-init user data; never shown again.",
           .max = 64 << 10,
           .format = Format::multiline,
           .sensitive = true,
           .change = Change::never});
    field("hostname", v.hostname,
          {.doc = "Host name in the guest; default is the VM's name.",
           .format = Format::dotted_name,
           .change = Change::never});
    field("hostSelector", v.host_selector, {.doc = "Labels that the host must have.", .max = 16});
    field("placementGroup", v.placement_group,
          {.doc = "Group that it belongs to; asked when the VM is placed or moved.", .ref = "placementgroup"});
    field("affinity", v.affinity,
          {.doc = "VMs of the project to be near or far from, by a name of yours; asked when it is placed or moved.",
           .max = 8});
    field("strategy", v.strategy,
          {.doc = "spread: on the host with the most room; pack: on the fullest that fits. Default: the project's."});
    field("accelerator", v.accelerator, {.doc = "auto takes what the host has.", .change = Change::never});
    field("priority", v.priority, {.doc = "Higher starts earlier after a host's boot.", .min = -1000, .max = 1000});
    field("deletionProtection", v.deletion_protection, {.doc = "Refuse to delete it."});
    field("retention", v.retention,
          {.doc = "How long a deleted VM can be restored.",
           .min = 0,
           .max = INT64_C(366) * 24 * 3'600'000,
           .unit = Unit::duration});
}

// Why a host was taken, for each host that was looked at.
struct Candidate {
    std::string host;
    std::string filter;  // that said no; empty: it would do
    std::string reason;  // with numbers
    std::map<std::string, double> scores;
    double total = 0;
};
template <class V>
void describe(Candidate& v, V&& field) {
    field("host", v.host, {.doc = "Host, or a group of hosts with the same answer."});
    field("filter", v.filter, {.doc = "Filter that refused the host."});
    field("reason", v.reason, {.doc = "Its reason, with numbers."});
    field("scores", v.scores, {.doc = "Scores of a host that would do, 0 to 1 each, weighted."});
    field("total", v.total, {.doc = "Sum of the scores; the highest wins."});
}
struct Decision {
    std::string host;     // chosen; empty: none would do
    std::string summary;  // one sentence
    std::string at;
    std::vector<Candidate> candidates;
};
template <class V>
void describe(Decision& v, V&& field) {
    field("host", v.host, {.doc = "Host that was chosen."});
    field("summary", v.summary, {.doc = "The decision in a sentence."});
    field("at", v.at, {.doc = "When it was taken.", .unit = Unit::time});
    field("candidates", v.candidates, {.doc = "Every host and what was said of it."});
}

enum class VmPhase {
    pending,
    waiting,
    creating,
    starting,
    running,
    paused,
    stopping,
    stopped,
    crashed,
    unknown,
    deleted,
    expunging
};
constexpr EnumNames<VmPhase, 12> names(VmPhase) {
    return {{{VmPhase::pending, "pending"},
             {VmPhase::waiting, "waiting"},
             {VmPhase::creating, "creating"},
             {VmPhase::starting, "starting"},
             {VmPhase::running, "running"},
             {VmPhase::paused, "paused"},
             {VmPhase::stopping, "stopping"},
             {VmPhase::stopped, "stopped"},
             {VmPhase::crashed, "crashed"},
             {VmPhase::unknown, "unknown"},
             {VmPhase::deleted, "deleted"},
             {VmPhase::expunging, "expunging"}}};
}
struct VmPlacement {
    Ref host;
    Epoch epoch;
};
template <class V>
void describe(VmPlacement& v, V&& field) {
    field("host", v.host, {.doc = "Host that the VM is on.", .ref = "host"});
    field("epoch", v.epoch, {.doc = "Of this placement; never used again."});
}
struct VmNicStatus {
    std::string mac;
    std::string address;
    std::int64_t slot = 0;
};
template <class V>
void describe(VmNicStatus& v, V&& field) {
    field("mac", v.mac, {.doc = "MAC address."});
    field("address", v.address, {.doc = "IPv4 address that DHCP gives it."});
    field("slot", v.slot, {.doc = "PCI slot, for ever.", .internal = true});
}
enum class MigrationPhase {
    preparing,    // the target gets ready; the source knows nothing of it
    moving,       // the source decides how it ends
    handed_over,  // it did: the target is about to accept
};
constexpr EnumNames<MigrationPhase, 3> names(MigrationPhase) {
    return {{{MigrationPhase::preparing, "preparing"},
             {MigrationPhase::moving, "moving"},
             {MigrationPhase::handed_over, "handed-over"}}};
}
struct MigrationDisk {
    Uuid volume{};
    Uuid pool{};
    std::int64_t size = 0;  // while it moves
    bool copied = true;     // else on a pool that both hosts share
};
template <class V>
void describe(MigrationDisk& v, V&& field) {
    field("volume", v.volume, {});
    field("pool", v.pool, {});
    field("size", v.size, {.unit = Unit::bytes});
    field("copied", v.copied, {});
}
// A move to another host, until it is over (RELIABILITY 5.4).
struct VmMigration {
    Ref host;
    MigrationPhase phase = MigrationPhase::preparing;
    bool live = true;
    std::int64_t bandwidth = 0;
    std::int64_t since = 0;
    bool cancel = false;
    Uuid task{};
    Epoch epoch;          // on the target
    std::int64_t at = 0;  // cluster time
    Secret ticket;
    Secret document;  // host document of the VM when it began: what changes meanwhile holds afterwards
    std::vector<MigrationDisk> disks;
    bool run_over = false;
    std::int64_t downtime_ms = 0;
};
template <class V>
void describe(VmMigration& v, V&& field) {
    field("host", v.host, {.doc = "Host that it moves to.", .ref = "host"});
    field("phase", v.phase, {.doc = "How far it is."});
    field("live", v.live, {.doc = "The guest goes on meanwhile; else it is off while its disks are copied."});
    field("bandwidth", v.bandwidth, {.doc = "Bytes a second at most; 0: no limit.", .unit = Unit::bytes});
    field("since", v.since, {.doc = "When it was asked for.", .unit = Unit::time});
    field("cancel", v.cancel, {.doc = "It is being given up."});
    field("task", v.task, {.doc = "Task that tells how it goes."});
    field("epoch", v.epoch, {.internal = true});
    field("at", v.at, {.internal = true});
    field("ticket", v.ticket, {.sensitive = true, .internal = true});
    field("document", v.document, {.sensitive = true, .internal = true});
    field("disks", v.disks, {.internal = true});
    field("runOver", v.run_over, {.internal = true});
    field("downtimeMs", v.downtime_ms, {.internal = true});
}
struct VmStatus {
    VmPhase phase = VmPhase::pending;
    std::int64_t observed_generation = 0;
    std::vector<Condition> conditions;
    std::optional<VmPlacement> placement;
    std::optional<VmMigration> migration;
    std::vector<VmPlacement>
        leftovers;  // hosts that a move left, or did not reach, and that may hold its document still
    std::map<std::string, VmNicStatus> nics;
    std::map<std::string, std::int64_t> disk_slots;
    std::vector<std::string> addresses;
    std::string machine;
    std::string cpu_model;
    Accelerator accelerator = Accelerator::qemu;
    bool needs_reboot = false;
    VmReport report;
    bool gone = false;  // the host has said that nothing of it is left
};
template <class V>
void describe(VmStatus& v, V&& field) {
    field("phase", v.phase, {.doc = "What the VM is doing."});
    field("observedGeneration", v.observed_generation, {.doc = "Generation of the spec that the host has acted on."});
    field("conditions", v.conditions, {.doc = "What you should know about it."});
    field("placement", v.placement, {.doc = "Where it is."});
    field("migration", v.migration, {.doc = "Its move to another host, while it lasts."});
    field("leftovers", v.leftovers, {.internal = true});
    field("nics", v.nics, {.doc = "Addresses of its NICs."});
    field("diskSlots", v.disk_slots, {.internal = true});
    field("addresses", v.addresses, {.doc = "Its addresses, first NIC first."});
    field("machine", v.machine, {.doc = "Virtual hardware, kept for ever."});
    field("cpuModel", v.cpu_model, {.doc = "CPU model that the guest sees, kept for ever."});
    field("accelerator", v.accelerator, {.doc = "kvm, or qemu where it is emulated."});
    field("needsReboot", v.needs_reboot, {.doc = "A change of spec waits for the next start."});
    field("report", v.report, {.internal = true});
    field("gone", v.gone, {.internal = true});
}

using Flavor = ObjectOf<Kind::flavor, FlavorSpec, NoStatus>;
using SshKey = ObjectOf<Kind::sshkey, SshKeySpec, NoStatus>;
using PlacementGroup = ObjectOf<Kind::placementgroup, PlacementGroupSpec, NoStatus>;
using Vm = ObjectOf<Kind::vm, VmSpec, VmStatus>;

}  // namespace axle
