// The fake behind the Storage seam: pure, driven by a clock and a seed. What stands on disk (FakeDisks) outlives the
// agent that uses it (FakeStorage), so that a simulator can crash the one or cut the power of the other.
#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/storage/storage.hpp"
#include "common/base/clock.hpp"
#include "common/base/unsynced_files.hpp"

namespace axle {

enum class FakeFileKind { pool_id, image, volume, epoch, seed, temporary };

// One file as a value. owner: id of the pool, volume or VM, or the digest of the image.
struct FakeFile {
    FakeFileKind kind = FakeFileKind::temporary;
    std::string pool;  // path; empty for seeds
    std::string owner;
    std::string cluster;    // of a pool's id file
    std::int64_t size = 0;  // virtual
    std::int64_t allocated = 0;
    std::string image_digest;  // that a volume overlays
    bool damaged = false;      // check_volume finds it
    bool leaked = false;       // check_volume mends it
    bool locked = false;       // a guest has it open
    std::string content;       // of a seed: what it was made from; of an epoch file: all of it
};

// The disks of one machine, or of several that share a pool. One thread. All members are for tests to look at and to
// meddle with; what the fake itself does goes through apply(), so that a power cut can lose it.
class FakeDisks : public UnsyncedFiles<FakeFile> {
  public:
    std::set<std::string> directories;               // of pools, made by open_pool or by the test
    std::set<std::string> unmounted;                 // pool paths whose disk isn't there just now
    std::map<std::string, std::string> not_durable;  // pool path -> why it isn't
    std::int64_t pool_size = std::int64_t{1} << 40;
    // Sources of images that hold other bytes than their digest says, and such that aren't there.
    std::set<std::string> wrong_sources, missing_sources;

    std::int64_t free_in(const std::string& pool_path) const;
    // "<path>: <owner>" of every file that claims() doesn't know; the invariant that nothing leaks.
    std::vector<std::string> files_without(const std::function<bool(const FakeFile&)>& claims) const;
};

// What befalls one operation.
struct StorageFault {
    bool acts = true;            // false: nothing is done
    std::optional<Error> error;  // answered in place of the truth
    milliseconds delay{0};       // besides the usual
};

struct FakeStorageOptions {
    milliseconds longest_delay{20};  // each operation acts and answers at random within it
    // operation: "create_volume", ...; subject: id or digest. Called once for each.
    std::function<StorageFault(const std::string& operation, const std::string& subject)> fault;
};

// One agent's life with these disks. Destroying it is a crash of the process: what hasn't acted never will, what hasn't
// answered never does, temporary files stay.
class FakeStorage final : public Storage {
  public:
    FakeStorage(FakeDisks& disks, Clock& clock, Random& random, FakeStorageOptions options = {});
    ~FakeStorage() override;

    void open_pool(PoolDocument pool, bool known, Answer<PoolObservation> answer) override;
    void list_volumes(PoolDocument pool, Answer<std::vector<VolumeFile>> answer) override;
    void fetch_image(PoolDocument pool, ImageDocument image, std::function<void(std::int64_t)> progress,
                     Done done) override;
    void remove_image(PoolDocument pool, std::string digest, Done done) override;
    void observe_volume(PoolDocument pool, VolumeDocument volume, Answer<VolumeObservation> answer) override;
    void create_volume(PoolDocument pool, VolumeDocument volume, Done done) override;
    void grow_volume(PoolDocument pool, VolumeDocument volume, Done done) override;
    void destroy_volume(PoolDocument pool, VolumeId volume, Done done) override;
    void check_volume(PoolDocument pool, VolumeDocument volume, Done done) override;
    void claim_volume(PoolDocument pool, VolumeDocument volume, Done done) override;
    std::string volume_path(const PoolDocument& pool, const VolumeDocument& volume) const override;
    void make_seed(VmDocument vm, Answer<std::string> path) override;
    void remove_guest_files(VmId vm, Done done) override;
    void sweep(std::vector<PoolDocument> pools, Done done) override;

  private:
    template <typename T>
    void perform(const std::string& operation, const std::string& subject, const std::string& writes,
                 std::function<Result<T>()> act, Answer<T> answer);
    Result<> verify(const PoolDocument& pool) const;
    Result<PoolObservation> do_open(const PoolDocument& pool, bool known);
    Result<> do_fetch(const PoolDocument& pool, const ImageDocument& image);
    Result<> do_grow(const PoolDocument& pool, const VolumeDocument& volume);
    Result<> do_create(const PoolDocument& pool, const VolumeDocument& volume);
    Result<> do_claim(const PoolDocument& pool, const VolumeDocument& volume);
    void put(const std::string& path, FakeFile file);

    FakeDisks& disks_;
    Clock& clock_;
    Random& random_;
    FakeStorageOptions options_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace axle
