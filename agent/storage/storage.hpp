// The seam to disks: pools, cached images, volumes, seeds. Production: directory_storage.hpp. Tests: fake_storage.hpp.
// The suite in tests/contract/storage holds both to this page.
//
// Called on the core thread; each answer comes on the core thread, later, exactly once. All is idempotent and durable
// when it answers success (RELIABILITY 4.1). Nothing under a pool's path is touched unless its id file matches.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "agent/hypervisor/hypervisor.hpp"
#include "common/channel/documents.hpp"

namespace axle {

struct PoolObservation {
    bool usable = false;
    std::string why;        // cause and remedy when not usable (missing mount, id file of another pool, read-only, ...)
    std::int64_t size = 0;  // bytes of the file system
    std::int64_t free = 0;
    bool durable = true;  // false on overlayfs, tmpfs, nobarrier: condition NotDurable
    std::string durable_why;
};
struct VolumeFile {
    VolumeId id;
    DiskFormat format = DiskFormat::qcow2;
    bool operator==(const VolumeFile&) const = default;
};
struct VolumeObservation {
    bool exists = false;
    std::int64_t size = 0;       // virtual
    std::int64_t allocated = 0;  // on disk
    std::string image_digest;    // that it overlays
    bool operator==(const VolumeObservation&) const = default;
};

class Storage {
  public:
    virtual ~Storage() = default;

    // Makes the directory tree and the id file where there is neither; checks them where there are. A directory with an
    // id file of another pool or cluster, and a directory that vanished although `known` (we had it before), are not
    // usable.
    virtual void open_pool(PoolDocument pool, bool known, Answer<PoolObservation> answer) = 0;
    // All volume files, also those that nobody knows.
    virtual void list_volumes(PoolDocument pool, Answer<std::vector<VolumeFile>> answer) = 0;

    // Makes the image available as <pool>/images/<digest>.qcow2: hard link, reflink or copy from a path, verified by
    // digest. progress: bytes done, at most some ten calls a second.
    virtual void fetch_image(PoolDocument pool, ImageDocument image, std::function<void(std::int64_t)> progress,
                             Done done) = 0;
    virtual void remove_image(PoolDocument pool, std::string digest,
                              Done done) = 0;  // refused (conflict) while a volume here overlays it

    virtual void observe_volume(PoolDocument pool, VolumeDocument volume, Answer<VolumeObservation> answer) = 0;
    // Makes the file if it is not there. One that is there with the same size and image is a success; with others
    // Code::conflict.
    virtual void create_volume(PoolDocument pool, VolumeDocument volume, Done done) = 0;
    // Makes the file of a disk that no guest has open as large as the document says. So large or larger already:
    // success, nothing is ever cut off. Not there: Code::not_found. Open in QEMU: Code::busy.
    virtual void grow_volume(PoolDocument pool, VolumeDocument volume, Done done) = 0;
    // Removes the file, then its epoch file, durably. Not there: success. The caller has an explicit, durable destroy
    // for it.
    virtual void destroy_volume(PoolDocument pool, VolumeId volume, Done done) = 0;
    // Before a start: qcow2 leaked clusters are mended (they cost space, no data); anything else that qemu-img check
    // finds is Code::corrupt with its words. Not while a guest has it open.
    virtual void check_volume(PoolDocument pool, VolumeDocument volume, Done done) = 0;
    // Before anybody opens the disk: beside a volume on a shared pool lies a file with the epoch of the placement that
    // has it (RELIABILITY 5.3, epoch_file.hpp). None, a lower or the same one: from now on it is the document's,
    // durably. A higher one: Code::conflict (reason EpochLower). One that can't be read: Code::corrupt, it stays as it
    // is. No such volume: Code::not_found. A pool that isn't shared: success, there is no such file.
    virtual void claim_volume(PoolDocument pool, VolumeDocument volume, Done done) = 0;
    virtual std::string volume_path(const PoolDocument& pool, const VolumeDocument& volume) const = 0;

    // NoCloud seed of a VM as an ISO file; the answer is its path. Rewritten only when its content changed. Mode 0600.
    virtual void make_seed(VmDocument vm, Answer<std::string> path) = 0;
    // What this host keeps of a guest besides its disks: its seed, its serial log, its sockets. The guest is undefined.
    virtual void remove_guest_files(VmId vm, Done done) = 0;

    // Removes temporary files of ours that a crash left (never volumes or images). At start, before anything else.
    virtual void sweep(std::vector<PoolDocument> pools, Done done) = 0;
};

}  // namespace axle
