#include "orchestrator/store/rocks_db.hpp"

#include <algorithm>

#include <rocksdb/cache.h>
#include <rocksdb/file_system.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/table.h>

#include "common/base/ensure.hpp"
#include "common/base/file.hpp"
#include "common/base/log.hpp"

namespace axle {
namespace {

constexpr std::size_t kCacheBytes = 8 << 20;
constexpr std::uint64_t kLogBytes = 32 << 20;         // bounds what a start has to read again
constexpr std::size_t kWriteBuffersBytes = 16 << 20;  // of all tables together; it stays in memory at rest
// A flushed file holds new objects of each kind, so it reaches over all of the first level, which is written anew with
// it: that level is kept small. Files of the levels below hold keys that lie together, and the old ones are left alone.
constexpr std::uint64_t kFirstLevelBytes = 2 * kWriteBuffersBytes, kFirstLevelFileBytes = 8 << 20;

// A failed flush or compaction is as final as a failed sync: what RocksDB would retry may already be lost. So it is
// told to resume nothing by itself; besides, two errors at once may have its threads wait twice for the one that
// resumes, which ends the process without a word (before 8.8, its change 11939).
class BackgroundErrors : public rocksdb::EventListener {
  public:
    explicit BackgroundErrors(std::function<void(const rocksdb::Status&)> told) : told_(std::move(told)) {}
    void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status* status) override { told_(*status); }
    void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status, bool* resumes) override {
        *resumes = false;
    }

  private:
    std::function<void(const rocksdb::Status&)> told_;
};

rocksdb::DBOptions db_options(rocksdb::Env* env) {
    rocksdb::DBOptions options;
    options.env = env;
    options.paranoid_checks = true;
    options.track_and_verify_wals_in_manifest = true;
    options.verify_sst_unique_id_in_manifest = true;
    options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
    options.recycle_log_file_num = 0;
    options.max_bgerror_resume_count = 0;
    options.create_missing_column_families = true;  // of later versions
    options.max_open_files = 512;
    options.max_background_jobs = 2;
    options.max_total_wal_size = kLogBytes;
    options.db_write_buffer_size = kWriteBuffersBytes;
    options.bytes_per_sync = 1 << 20;
    options.keep_log_file_num = 4;
    options.max_log_file_size = 4 << 20;
    options.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
    return options;
}

rocksdb::ColumnFamilyOptions family_options(std::size_t write_buffer_bytes) {
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = rocksdb::NewLRUCache(kCacheBytes);
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    rocksdb::ColumnFamilyOptions options;
    options.write_buffer_size = write_buffer_bytes;
    options.compression = rocksdb::kLZ4Compression;
    options.max_bytes_for_level_base = kFirstLevelBytes;
    options.target_file_size_base = kFirstLevelFileBytes;
    options.target_file_size_multiplier = 2;
    options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    return options;
}

rocksdb::Slice slice(std::string_view text) {
    return {text.data(), text.size()};
}
std::string_view view(const rocksdb::Slice& slice) {
    return {slice.data(), slice.size()};
}

std::optional<Table> table_of(const std::string& family) {
    for (std::size_t i = 0; i < kTables; ++i)
        if (family == name_of(static_cast<Table>(i))) return static_cast<Table>(i);
    return std::nullopt;
}

std::vector<std::string> our_families() {
    std::vector<std::string> names = {rocksdb::kDefaultColumnFamilyName};
    for (std::size_t i = 0; i < kTables; ++i) names.emplace_back(name_of(static_cast<Table>(i)));
    return names;
}

constexpr const char* kUnreadable =
    "nothing was changed, and no new store is made over it. Look at the disk's health (dmesg, smartctl); put the "
    "newest "
    "copy of the store back from a backup, then accept what is lost with `axle store accept-loss`";

}  // namespace

bool RocksDb::is_there(const std::string& path) {
    return file_exists(path);
}

Error RocksDb::error_of(const rocksdb::Status& status, std::string_view doing) const {
    if (status.IsNoSpace())
        return error(Code::no_space, "{} {}: no space is left on the file system", doing, path_)
            .with_hint("free some space on it: the store itself removes nothing");
    if (status.IsPathNotFound())
        return error(Code::corrupt, "{} {}: a file of it is missing ({})", doing, path_, status.ToString())
            .with_hint(kUnreadable);
    if (status.IsCorruption() || status.IsNotFound() || status.IsInvalidArgument())
        return error(Code::corrupt, "{} {}: what is stored there can't be read ({})", doing, path_, status.ToString())
            .with_hint(kUnreadable);
    return error(Code::internal, "{} {}: the disk refused ({})", doing, path_, status.ToString())
        .with_hint("look at the disk's health and mount options (dmesg, smartctl, findmnt)");
}

Result<std::shared_ptr<RocksDb>> RocksDb::open(const std::string& path, RocksMode mode, RocksSettings settings) {
    std::shared_ptr<RocksDb> db(new RocksDb(path, std::move(settings)));
    TRY_VOID(db->open_db(mode));
    return db;
}

Result<> RocksDb::open_db(RocksMode mode) {
    if (settings_.file_system) env_ = rocksdb::NewCompositeEnv(settings_.file_system);
    rocksdb::DBOptions options = db_options(env_ ? env_.get() : rocksdb::Env::Default());
    options.create_if_missing = options.error_if_exists = mode == RocksMode::make;
    if (settings_.background_error)
        options.listeners.push_back(std::make_shared<BackgroundErrors>([this](const rocksdb::Status& status) {
            settings_.background_error(error_of(status, "background work on the store"));
        }));
    std::vector<std::string> names = our_families();
    if (mode != RocksMode::make) {
        std::vector<std::string> there;
        const auto listed = rocksdb::DB::ListColumnFamilies(options, path_, &there);
        if (!listed.ok()) return fail(error_of(listed, "opening the store"));
        // Looking can make nothing, so it opens what is there; a newer version may have more.
        if (mode == RocksMode::look) names = there;
        for (const std::string& name : there)
            if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    }
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    const auto family = family_options(settings_.write_buffer_bytes);
    for (const std::string& name : names) families.emplace_back(name, family);
    rocksdb::DB* raw = nullptr;
    const auto opened = mode == RocksMode::look
                            ? rocksdb::DB::OpenForReadOnly(options, path_, families, &handles_, &raw)
                            : rocksdb::DB::Open(options, path_, families, &handles_, &raw);
    db_.reset(raw);
    if (!opened.ok()) return fail(error_of(opened, "opening the store"));
    for (auto* handle : handles_)
        if (const auto table = table_of(handle->GetName())) families_[static_cast<std::size_t>(*table)] = handle;
    return {};
}

RocksDb::~RocksDb() {
    if (const auto closed = close(); !closed) log::warning(closed.error().message);
}

Result<> RocksDb::close() {
    if (!db_) return {};
    for (auto* handle : handles_) db_->DestroyColumnFamilyHandle(handle);
    handles_.clear();
    families_ = {};
    const auto closed = db_->Close();
    db_.reset();
    if (!closed.ok()) return fail(error_of(closed, "closing the store"));
    return {};
}

Result<std::optional<std::string>> RocksDb::get(Table table, std::string_view key) const {
    if (family(table) == nullptr) return std::nullopt;
    std::string value;
    const auto got = db_->Get({}, family(table), slice(key), &value);
    if (got.IsNotFound()) return std::nullopt;
    if (!got.ok()) return fail(error_of(got, fmt::format("reading table {} of the store", name_of(table))));
    return value;
}

Result<> RocksDb::scan(Table table, std::string_view from, std::string_view until, bool reverse,
                       const std::function<bool(std::string_view, std::string_view)>& each) const {
    if (family(table) == nullptr) return {};
    rocksdb::ReadOptions options;
    options.fill_cache = false;
    const rocksdb::Slice lower = slice(from), upper = slice(until);
    if (!from.empty()) options.iterate_lower_bound = &lower;
    if (!until.empty()) options.iterate_upper_bound = &upper;
    const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(options, family(table)));
    for (reverse ? at->SeekToLast() : at->SeekToFirst(); at->Valid(); reverse ? at->Prev() : at->Next())
        if (!each(view(at->key()), view(at->value()))) break;
    if (!at->status().ok())
        return fail(error_of(at->status(), fmt::format("reading table {} of the store", name_of(table))));
    return {};
}

Result<StoreMark> RocksDb::mark() const {
    TRY(stored, get(Table::meta, kMarkKey));
    TRY(revision, get(Table::meta, kRevisionKey));
    const auto number = revision ? parse_revision_key(*revision) : std::nullopt;
    if (!stored || !number)
        return fail(error(Code::corrupt, "opening the store {}: it has no mark of a cluster, or no revision", path_)
                        .with_hint(kUnreadable));
    auto mark = read_mark(*stored);
    if (!mark) return fail(std::move(mark.error()).in("opening the store " + path_).with_hint(kUnreadable));
    mark->revision = *number;
    return *mark;
}

void RocksDb::add(rocksdb::WriteBatch& group, const Write& write) const {
    const auto added = write.value ? group.Put(family(write.table), write.key, *write.value)
                                   : group.Delete(family(write.table), write.key);
    ENSURE(added.ok(), "a batch in memory takes what it is given");
}

void RocksDb::add(rocksdb::WriteBatch& group, const Batch& batch) const {
    for (const DeletedRange& range : batch.deleted_ranges)
        if (range.from < range.until)
            ENSURE(group.DeleteRange(family(range.table), range.from, range.until).ok(), "see add of a write");
    for (const Write& write : batch.writes) add(group, write);
}

void RocksDb::add_mark(rocksdb::WriteBatch& group, const StoreMark& mark) const {
    add(group, Write{Table::meta, kMarkKey, write_mark(mark)});
    add(group, Write{Table::meta, kRevisionKey, revision_key(mark.revision)});
}

Result<> RocksDb::write(rocksdb::WriteBatch& group) {
    rocksdb::WriteOptions options;
    options.sync = settings_.sync;
    const auto written = db_->Write(options, &group);
    if (!written.ok()) return fail(error_of(written, "writing to the store"));
    return {};
}

}  // namespace axle
