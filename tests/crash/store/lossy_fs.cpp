#include "tests/crash/store/lossy_fs.hpp"

#include <filesystem>

#include "common/base/file.hpp"

namespace axle::test {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
namespace fs = std::filesystem;

class LossyFile final : public rocksdb::FSWritableFileOwnerWrapper {
  public:
    LossyFile(LossyFs& disk, std::string path, std::unique_ptr<rocksdb::FSWritableFile>&& file)
        : FSWritableFileOwnerWrapper(std::move(file)), disk_(disk), path_(std::move(path)) {}

    IOStatus Append(const rocksdb::Slice& data, const IOOptions& options, IODebugContext* debug) override {
        if (auto refused = disk_.count_call(); !refused.ok()) return refused;
        disk_.appended(path_, data.size());
        return target()->Append(data, options, debug);
    }
    IOStatus Append(const rocksdb::Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo&,
                    IODebugContext* debug) override {
        return Append(data, options, debug);
    }
    IOStatus Truncate(std::uint64_t size, const IOOptions& options, IODebugContext* debug) override {
        if (auto refused = disk_.count_call(); !refused.ok()) return refused;
        disk_.truncated(path_, size);
        return target()->Truncate(size, options, debug);
    }
    IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
        if (disk_.before_sync) disk_.before_sync(path_);
        if (auto refused = disk_.count_call(); !refused.ok()) return refused;
        auto done = target()->Flush(options, debug);
        if (done.ok()) disk_.synced(path_);
        return done;
    }
    IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override { return Sync(options, debug); }

  private:
    LossyFs& disk_;
    std::string path_;
};

class LossyDirectory final : public rocksdb::FSDirectory {
  public:
    LossyDirectory(LossyFs& disk, std::string path, std::unique_ptr<rocksdb::FSDirectory>&& directory)
        : disk_(disk), path_(std::move(path)), directory_(std::move(directory)) {}
    IOStatus Fsync(const IOOptions&, IODebugContext*) override {
        if (auto refused = disk_.count_call(); !refused.ok()) return refused;
        disk_.directory_synced(path_);
        return IOStatus::OK();
    }
    std::size_t GetUniqueId(char* id, std::size_t most) const override { return directory_->GetUniqueId(id, most); }

  private:
    LossyFs& disk_;
    std::string path_;
    std::unique_ptr<rocksdb::FSDirectory> directory_;
};

// One spelling a path: RocksDB sometimes joins with two slashes.
std::string plain(const std::string& path) {
    std::string text = fs::path(path).lexically_normal();
    while (text.size() > 1 && text.ends_with('/')) text.pop_back();
    return text;
}

}  // namespace

LossyFs::LossyFs(std::string graveyard)
    : FileSystemWrapper(rocksdb::FileSystem::Default()), graveyard_(std::move(graveyard)) {
    fs::create_directories(graveyard_);
}

void LossyFs::cut_after(int calls) {
    const std::lock_guard hold(mutex_);
    cut_at_ = calls_ + calls;
}
bool LossyFs::is_cut() const {
    const std::lock_guard hold(mutex_);
    return cut_;
}
int LossyFs::calls() const {
    const std::lock_guard hold(mutex_);
    return calls_;
}

IOStatus LossyFs::count_call() {
    const std::lock_guard hold(mutex_);
    if (cut_at_ >= 0 && ++calls_ > cut_at_) cut_ = true;
    if (cut_at_ < 0) ++calls_;
    return cut_ ? IOStatus::IOError("the power is off") : IOStatus::OK();
}

void LossyFs::appended(const std::string& path, std::uint64_t bytes) {
    const std::lock_guard hold(mutex_);
    sizes_[path].written += bytes;
}
void LossyFs::truncated(const std::string& path, std::uint64_t size) {
    const std::lock_guard hold(mutex_);
    Size& known = sizes_[path];
    known.written = std::min(known.written, size);  // RocksDB only ever cuts off what it had allocated
    known.synced = std::min(known.synced, size);
}
void LossyFs::synced(const std::string& path) {
    const std::lock_guard hold(mutex_);
    sizes_[path].synced = sizes_[path].written;
}
void LossyFs::directory_synced(const std::string& path) {
    const std::lock_guard hold(mutex_);
    std::erase_if(undo_, [&](const Undo& undo) { return undo.directory == path; });
}

std::string LossyFs::bury(const std::string& path) {
    if (!fs::exists(path)) return "";
    std::string grave = graveyard_ + "/" + std::to_string(++buried_);
    fs::rename(path, grave);
    if (auto size = sizes_.extract(path)) {
        size.key() = grave;
        sizes_.insert(std::move(size));
    }
    return grave;
}

IOStatus LossyFs::NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                  std::unique_ptr<rocksdb::FSWritableFile>* result, IODebugContext* debug) {
    if (auto refused = count_call(); !refused.ok()) return refused;
    const std::string path = plain(name);
    {
        const std::lock_guard hold(mutex_);
        undo_.push_back({.directory = parent_of(path), .name = path, .came_from = "", .grave = bury(path)});
        sizes_[path] = {};
    }
    std::unique_ptr<rocksdb::FSWritableFile> file;
    auto made = target()->NewWritableFile(path, options, &file, debug);
    if (made.ok()) *result = std::make_unique<LossyFile>(*this, path, std::move(file));
    return made;
}

IOStatus LossyFs::NewDirectory(const std::string& name, const IOOptions& options,
                               std::unique_ptr<rocksdb::FSDirectory>* result, IODebugContext* debug) {
    std::unique_ptr<rocksdb::FSDirectory> directory;
    auto made = target()->NewDirectory(name, options, &directory, debug);
    if (made.ok()) *result = std::make_unique<LossyDirectory>(*this, plain(name), std::move(directory));
    return made;
}

IOStatus LossyFs::DeleteFile(const std::string& name, const IOOptions& options, IODebugContext* debug) {
    if (auto refused = count_call(); !refused.ok()) return refused;
    const std::string path = plain(name);
    const std::lock_guard hold(mutex_);
    const std::string grave = bury(path);
    if (grave.empty()) return target()->DeleteFile(path, options, debug);  // it says that there is none
    undo_.push_back({.directory = parent_of(path), .name = path, .came_from = "", .grave = grave});
    return IOStatus::OK();
}

IOStatus LossyFs::RenameFile(const std::string& from_name, const std::string& to_name, const IOOptions& options,
                             IODebugContext* debug) {
    if (auto refused = count_call(); !refused.ok()) return refused;
    const std::string from = plain(from_name), to = plain(to_name);
    const std::lock_guard hold(mutex_);
    if (!fs::exists(from)) return target()->RenameFile(from, to, options, debug);
    undo_.push_back({.directory = parent_of(to), .name = to, .came_from = from, .grave = bury(to)});
    if (auto size = sizes_.extract(from)) {
        size.key() = to;
        sizes_.insert(std::move(size));
    }
    return target()->RenameFile(from, to, options, debug);
}

void LossyFs::lose_unsynced(const std::function<std::uint64_t(std::uint64_t)>& keep) {
    const std::lock_guard hold(mutex_);
    for (const auto& [path, size] : sizes_) {
        if (!fs::exists(path)) continue;
        fs::resize_file(path, size.synced + keep(size.written - size.synced));
    }
    for (auto undo = undo_.rbegin(); undo != undo_.rend(); ++undo) {
        if (!undo->came_from.empty())
            fs::rename(undo->name, undo->came_from);
        else
            fs::remove(undo->name);
        if (!undo->grave.empty()) fs::rename(undo->grave, undo->name);
    }
    undo_.clear();
    sizes_.clear();
    cut_ = false;
    cut_at_ = -1;
}

}  // namespace axle::test
