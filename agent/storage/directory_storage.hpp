// Storage in directories of this machine: the real edge behind storage.hpp. Its work is done on workers.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/storage/pool_directory.hpp"
#include "common/base/clock.hpp"

namespace axle {

struct DirectoryStorageOptions {
    std::string seeds_directory = "/var/lib/axle/seeds";
    // Paths of what else a guest has here besides its disks: its log, sockets that QEMU left. None: nothing.
    std::function<std::vector<std::string>(VmId)> guest_files;
    PoolSettings pool;
};

// Takes a job into a lane: jobs of one lane run one after the other, in order; lanes don't wait for each other. False:
// the job is not taken. Workers::submit with lane_running_max 1 is such a thing.
using SubmitToLane = std::function<bool(const std::string& lane, std::function<void()> job)>;

// Constructed and called on the core thread. May be destroyed with work under way: answers then still come, as long as
// workers and core run.
class DirectoryStorage final : public Storage {
  public:
    DirectoryStorage(Executor& core, SubmitToLane submit, DirectoryStorageOptions options = {});

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
    void make_seed(VmDocument vm, Answer<std::string> answer) override;
    void remove_guest_files(VmId vm, Done done) override;
    void sweep(std::vector<PoolDocument> pools, Done done) override;

  private:
    template <typename T>
    void perform(const std::string& lane, std::function<Result<T>()> work, Answer<T> answer);

    Executor& core_;
    SubmitToLane submit_;
    DirectoryStorageOptions options_;
};

}  // namespace axle
