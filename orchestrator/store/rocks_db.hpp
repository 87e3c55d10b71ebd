// RocksDB opened the one way that our promises need, its statuses turned into sentences. Private to this folder: the
// only header here that shows rocksdb/.
#pragma once
#include <array>
#include <atomic>
#include <memory>
#include <string>

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/write_batch.h>

#include "orchestrator/store/opening.hpp"
#include "orchestrator/store/store.hpp"

namespace axle {

enum class RocksMode {
    make,       // a new database; fails if one is there
    look,       // reads the log into memory and changes nothing on disk, not even a torn tail
    read_write  // recovers: what stands behind a torn record is gone for good
};

struct RocksSettings {
    std::size_t write_buffer_bytes = 8 << 20;
    bool sync = true;
    std::shared_ptr<rocksdb::FileSystem> file_system;  // none: the real one
    std::function<void(Error)> background_error;       // from a thread of RocksDB's
};

// Reads from any thread, writes from one.
class RocksDb {
  public:
    static Result<std::shared_ptr<RocksDb>> open(const std::string& path, RocksMode mode, RocksSettings settings);
    static bool is_there(const std::string& path);  // anything at all
    ~RocksDb();
    RocksDb(const RocksDb&) = delete;
    RocksDb& operator=(const RocksDb&) = delete;

    Result<std::optional<std::string>> get(Table table, std::string_view key) const;
    Result<> scan(Table table, std::string_view from, std::string_view until, bool reverse,
                  const std::function<bool(std::string_view, std::string_view)>& each) const;
    Result<StoreMark> mark() const;  // with the revision

    void add(rocksdb::WriteBatch& group, const Batch& batch) const;
    void add(rocksdb::WriteBatch& group, const Write& write) const;
    void add_mark(rocksdb::WriteBatch& group, const StoreMark& mark) const;  // with the revision
    Result<> write(rocksdb::WriteBatch& group);                              // synced; durable after success
    Result<> close();                                                        // again: nothing

  private:
    RocksDb(std::string path, RocksSettings settings) : path_(std::move(path)), settings_(std::move(settings)) {}
    Result<> open_db(RocksMode mode);
    rocksdb::ColumnFamilyHandle* family(Table table) const { return families_[static_cast<std::size_t>(table)]; }
    Error error_of(const rocksdb::Status& status, std::string_view doing) const;

    std::string path_;
    RocksSettings settings_;
    std::unique_ptr<rocksdb::Env> env_;
    std::unique_ptr<rocksdb::DB> db_;
    std::vector<rocksdb::ColumnFamilyHandle*> handles_;
    std::array<rocksdb::ColumnFamilyHandle*, kTables> families_{};  // null: older than this table, so empty
};

}  // namespace axle
