// A file system of RocksDB's that keeps what was synced and nothing else: at a power cut, file contents go back to
// their last sync, and creations, renames and removals to the last sync of their directory. It works on real files, so
// that what is left can be opened as it is.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <rocksdb/file_system.h>

namespace axle::test {

class LossyFs final : public rocksdb::FileSystemWrapper {
  public:
    // `graveyard`: a directory for what was removed or written over, until that is durable.
    explicit LossyFs(std::string graveyard);
    const char* Name() const override { return "LossyFs"; }

    // After this many more writing calls the power fails: they and all later ones are refused.
    void cut_after(int calls);
    bool is_cut() const;
    int calls() const;
    // What a disk may show after the cut. keep(n) says how many of the n unsynced bytes at a file's end got there.
    void lose_unsynced(const std::function<std::uint64_t(std::uint64_t)>& keep);
    // Called before a file is synced, without a lock. Set before use.
    std::function<void(const std::string& path)> before_sync;

    rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* result,
                                      rocksdb::IODebugContext* debug) override;
    rocksdb::IOStatus NewDirectory(const std::string& path, const rocksdb::IOOptions& options,
                                   std::unique_ptr<rocksdb::FSDirectory>* result,
                                   rocksdb::IODebugContext* debug) override;
    rocksdb::IOStatus DeleteFile(const std::string& path, const rocksdb::IOOptions& options,
                                 rocksdb::IODebugContext* debug) override;
    rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to, const rocksdb::IOOptions& options,
                                 rocksdb::IODebugContext* debug) override;

    // For the files and directories that it hands out.
    rocksdb::IOStatus count_call();
    void appended(const std::string& path, std::uint64_t bytes);
    void truncated(const std::string& path, std::uint64_t size);
    void synced(const std::string& path);
    void directory_synced(const std::string& path);

  private:
    struct Size {
        std::uint64_t written = 0, synced = 0;
    };
    struct Undo {
        std::string directory, name;  // the name that appeared or vanished, with its path
        std::string came_from;        // of a rename: its name before
        std::string grave;            // what stood under the name before
    };
    std::string bury(const std::string& path);

    mutable std::mutex mutex_;
    std::string graveyard_;
    int buried_ = 0, calls_ = 0, cut_at_ = -1;
    bool cut_ = false;
    std::map<std::string, Size> sizes_;
    std::vector<Undo> undo_;
};

}  // namespace axle::test
