// Keeps pools, cached images and volumes as their documents say (DESIGN 8). One job at a time per object. Core thread.
//
// A volume is made once: after it was made (by the document's word or our own durable mark) a missing file is Lost and
// is never made anew. A file goes only on a durable destroy, and never while a guest has it open.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "agent/core/attempt.hpp"
#include "agent/core/ledger.hpp"
#include "agent/core/missing.hpp"
#include "agent/core/reporter.hpp"
#include "agent/core/seams.hpp"

namespace axle {

// Why a volume isn't ready: its image is on its way to the host.
inline constexpr const char* kImagePending = "ImagePending";

// Who has a volume at work.
struct VolumeUse {
    struct OpenDisk {
        VmId vm;
        std::string disk;
    };
    bool held = false;             // a guest is being started with it or has it open, or that isn't known yet
    std::optional<OpenDisk> open;  // in a guest of ours that runs
};

class StorageKeeper {
  public:
    struct Hooks {
        std::function<void()> changed;                 // what guests wait for may have come
        std::function<std::string(VolumeId)> user_of;  // guest that refers to the volume or has it open, or empty
        std::function<VolumeUse(VolumeId)> use_of;
        std::function<void()> strays_changed;  // files that no document here tells of
    };
    StorageKeeper(const Seams& seams, Ledger& ledger, Reporter& reporter, Hooks hooks);

    void apply(const DocumentRecord& record);  // a durable pool, image or volume document: keep, release or destroy
    void resync();                             // look at everything again
    void kick_ended();                         // a guest let go of its disks: look at what waits to be released

    // Why the disks of this guest can't be used now.
    Missing missing(const VmDocument& vm) const;
    std::optional<std::string> volume_path(VolumeId volume) const;
    const VolumeDocument* volume(VolumeId volume) const;
    const PoolDocument* pool(PoolId pool) const;
    bool on_shared_pool(const VmDocument& vm) const;
    bool can_use(PoolId pool) const { return usable_pool(pool) != nullptr; }
    std::vector<Condition> host_conditions() const;  // NotDurable

    // Files that no document here tells of (unclaimed_things.cpp). On a shared pool only those that are nobody's, as
    // the orchestrator says: the others are other hosts'.
    std::vector<UnclaimedThing> strays() const;
    std::int64_t stray_count() const;
    std::vector<Uuid> shared_files() const;  // on shared pools, without a document here
    void set_nobodys(std::set<VolumeId> files);
    std::optional<UnclaimedThing> as_unclaimed(VolumeId volume) const;  // of a kept volume
    bool holds_anything(PoolId pool) const;

  private:
    struct StrayFile {
        VolumeFile file;
        VolumeObservation seen;
        bool operator==(const StrayFile&) const = default;
    };
    struct PoolEntry {
        PoolDocument document;
        Verdict verdict = Verdict::keep;
        SimpleReport report;
        std::string not_durable;
        std::vector<VolumeFile> files;
        std::vector<StrayFile> strays;  // of these, as they were seen
        std::unique_ptr<Attempt> attempt;
    };
    struct ImageEntry {
        ImageDocument document;
        Verdict verdict = Verdict::keep;
        SimpleReport report;
        std::unique_ptr<Attempt> attempt;
    };
    struct VolumeEntry {
        VolumeDocument document;  // of an unknown volume that is to be destroyed: the id alone
        Verdict verdict = Verdict::keep;
        Epoch epoch;
        VolumeReport report;
        std::int64_t asked_to_grow = 0;  // to this size, and answered with success
        std::unique_ptr<Attempt> attempt;
    };

    void apply_pool(const DocumentRecord& record);
    void apply_image(const DocumentRecord& record);
    void apply_volume(const DocumentRecord& record);

    void look_pool(PoolEntry& pool);
    void on_pool_opened(PoolEntry& pool, Result<PoolObservation> seen);
    void list_files(PoolEntry& pool);
    bool is_stray(const PoolEntry& pool, VolumeId file) const;
    void look_at_strays(PoolEntry& pool, std::vector<StrayFile> seen, std::size_t from);
    void set_pool(PoolEntry& pool, SimpleReport report);
    bool pool_is_needed(PoolId pool) const;

    void look_image(ImageEntry& image);
    void fetch(ImageEntry& image);
    void set_image(ImageEntry& image, SimpleReport report);
    bool image_is_needed(const ImageEntry& image) const;
    const ImageEntry* find_image(PoolId pool, const std::string& digest) const;

    void look_volume(VolumeEntry& volume);
    void on_volume_observed(VolumeEntry& volume, Result<VolumeObservation> seen);
    void create(VolumeEntry& volume);
    void mark_made(VolumeEntry& volume, const VolumeObservation& seen);
    void grow(VolumeEntry& volume, const VolumeObservation& seen);
    void destroy(VolumeEntry& volume);
    void destroy_in(VolumeEntry& volume, std::vector<PoolDocument> pools);
    void finish_volume(VolumeEntry& volume);
    void forget_volume(VolumeEntry& volume);
    void set_volume(VolumeEntry& volume, VolumeReport report);
    void volume_waits(VolumeEntry& volume, std::string reason, std::string message);
    void volume_failed(VolumeEntry& volume, const Error& error);

    const PoolEntry* usable_pool(PoolId pool) const;
    void kick_dependents(PoolId pool);

    Seams seams_;
    Ledger& ledger_;
    Reporter& reporter_;
    Hooks hooks_;
    std::map<PoolId, PoolEntry> pools_;
    std::map<Uuid, ImageEntry> images_;
    std::map<VolumeId, VolumeEntry> volumes_;
    std::set<VolumeId> nobodys_;
    Life life_;
};

// A condition Ready=false that tells an error as it stands.
Condition not_ready(const Error& error);
Condition not_ready(std::string reason, std::string message);

}  // namespace axle
