// image, pool, volume.
#pragma once
#include "common/base/units.hpp"
#include "common/channel/reports.hpp"
#include "common/model/compute.hpp"
#include "common/model/object.hpp"
#include "common/model/on_host.hpp"

namespace axle {

struct ImageSpec {
    std::string url;
    std::string checksum;
    bool shared = false;
    std::string description;
    bool deletion_protection = false;
    std::int64_t retention = 24 * 3'600'000;
};
template <class V>
void describe(ImageSpec& v, V&& field) {
    field("url", v.url,
          {.doc = "Where it is downloaded from; a name of the built-in catalogue such as debian-12 does as well. "
                  "Without it the content is uploaded.",
           .max = 2048,
           .change = Change::never});
    field("checksum", v.checksum,
          {.doc = "sha256:HEX or sha512:HEX of what is downloaded or uploaded.", .max = 140, .change = Change::never});
    field("shared", v.shared, {.doc = "Other projects may use it."});
    field("description", v.description, {.doc = "For people.", .max = 1024});
    field("deletionProtection", v.deletion_protection, {.doc = "Refuse to delete it."});
    field("retention", v.retention,
          {.doc = "How long a deleted image can be restored.",
           .min = 0,
           .max = INT64_C(366) * 24 * 3'600'000,
           .unit = Unit::duration});
}
enum class ImagePhase { pending, uploading, importing, ready, failed };
constexpr EnumNames<ImagePhase, 5> names(ImagePhase) {
    return {{{ImagePhase::pending, "pending"},
             {ImagePhase::uploading, "uploading"},
             {ImagePhase::importing, "importing"},
             {ImagePhase::ready, "ready"},
             {ImagePhase::failed, "failed"}}};
}
struct ImageStatus {
    ImagePhase phase = ImagePhase::pending;
    std::string digest;
    std::int64_t size = 0;
    std::int64_t virtual_size = 0;
    std::string source_format;
    bool by_administrator = false;  // who made it may let the server fetch from itself
    std::vector<Condition> conditions;
};
template <class V>
void describe(ImageStatus& v, V&& field) {
    field("phase", v.phase, {.doc = "ready: VMs can be made from it."});
    field("digest", v.digest, {.doc = "sha256 of the normalised qcow2; VMs keep it."});
    field("size", v.size, {.doc = "Bytes that it takes.", .unit = Unit::bytes});
    field("virtualSize", v.virtual_size, {.doc = "Size of the disk in it.", .unit = Unit::bytes});
    field("sourceFormat", v.source_format, {.doc = "Format that it came in."});
    field("byAdministrator", v.by_administrator, {.internal = true});
    field("conditions", v.conditions, {.doc = "What you should know about it."});
}

struct PoolSpec {
    std::string path;
    bool shared = false;
    std::map<std::string, std::string> host_selector;
    bool is_default = false;
};
template <class V>
void describe(PoolSpec& v, V&& field) {
    field("path", v.path,
          {.doc = "Directory on the hosts.",
           .required = true,
           .max = 512,
           .format = Format::path,
           .change = Change::never});
    field("shared", v.shared,
          {.doc = "The directory is the same one on all hosts (network file system).", .change = Change::never});
    field("hostSelector", v.host_selector, {.doc = "Hosts that have it; empty: all.", .max = 16});
    field("default", v.is_default, {.doc = "Taken where a disk names no pool."});
}
// Made of what hosts tell, whenever it is shown; never stored.
struct PoolStatus {
    std::int64_t host_count = 0;
    std::int64_t ready_count = 0;
    std::int64_t size = 0;
    std::int64_t free = 0;
    std::map<std::string, PoolOnHost> hosts;
};
template <class V>
void describe(PoolStatus& v, V&& field) {
    field("hostCount", v.host_count, {.doc = "Hosts that have told of it."});
    field("readyCount", v.ready_count, {.doc = "Those of them that can use it."});
    field("size", v.size, {.doc = "Bytes of its file systems on all hosts.", .unit = Unit::bytes});
    field("free", v.free, {.doc = "Bytes left on all hosts.", .unit = Unit::bytes});
    field("hosts", v.hosts,
          {.doc = "The pool on each host, by the host's name; with many hosts 100 of them, first those in trouble. The "
                  "others: axle host show."});
}

struct VolumeSpec {
    Ref pool;
    std::int64_t size = 0;
    DiskFormat format = DiskFormat::qcow2;
    Ref image;
    std::string image_digest;
    bool deletion_protection = false;
    std::int64_t retention = 24 * 3'600'000;
};
template <class V>
void describe(VolumeSpec& v, V&& field) {
    field("pool", v.pool,
          {.doc = "Pool that it lies in; without it the only or the default one.",
           .ref = "pool",
           .change = Change::never});
    field(
        "size", v.size,
        {.doc =
             "Size of the disk; default is the image's. It can be raised, also while a guest runs, and never lowered.",
         .min = 0,
         .max = 64 * kTiB,
         .unit = Unit::bytes});
    field("format", v.format,
          {.doc = "qcow2 grows as it is written to; raw takes its size at once.", .change = Change::never});
    field("image", v.image,
          {.doc = "Image that it starts from; without it the disk is blank.", .ref = "image", .change = Change::never});
    field("imageDigest", v.image_digest, {.internal = true});
    field("deletionProtection", v.deletion_protection, {.doc = "Refuse to delete it."});
    field("retention", v.retention,
          {.doc = "How long a deleted volume can be restored.",
           .min = 0,
           .max = INT64_C(366) * 24 * 3'600'000,
           .unit = Unit::duration});
}
enum class VolumePhase { pending, creating, ready, lost, failed, deleted, expunging };
constexpr EnumNames<VolumePhase, 7> names(VolumePhase) {
    return {{{VolumePhase::pending, "pending"},
             {VolumePhase::creating, "creating"},
             {VolumePhase::ready, "ready"},
             {VolumePhase::lost, "lost"},
             {VolumePhase::failed, "failed"},
             {VolumePhase::deleted, "deleted"},
             {VolumePhase::expunging, "expunging"}}};
}
struct VolumeStatus {
    VolumePhase phase = VolumePhase::pending;
    std::optional<VmPlacement> placement;
    Ref attached_to;
    bool made = false;
    std::int64_t size = 0;
    std::int64_t allocated = 0;
    std::vector<Condition> conditions;
    bool gone = false;
    std::vector<VmPlacement> leftovers;
};
template <class V>
void describe(VolumeStatus& v, V&& field) {
    field("phase", v.phase, {.doc = "pending: it is made when a VM that uses it is placed."});
    field("placement", v.placement, {.doc = "Host that has the file."});
    field("attachedTo", v.attached_to, {.doc = "VM that uses it.", .ref = "vm"});
    field("made", v.made,
          {.doc = "The file was made; if it is missing now, it is lost and not made anew.", .internal = true});
    field("size", v.size, {.doc = "Size that the disk has; it follows spec.size.", .unit = Unit::bytes});
    field("allocated", v.allocated, {.doc = "Bytes that it takes on disk.", .unit = Unit::bytes});
    field("conditions", v.conditions, {.doc = "What you should know about it."});
    field("gone", v.gone, {.internal = true});
    field("leftovers", v.leftovers, {.doc = "Copies that a move to another host left and that are yet to be removed."});
}

using Image = ObjectOf<Kind::image, ImageSpec, ImageStatus>;
using Pool = ObjectOf<Kind::pool, PoolSpec, PoolStatus>;
using Volume = ObjectOf<Kind::volume, VolumeSpec, VolumeStatus>;

}  // namespace axle
