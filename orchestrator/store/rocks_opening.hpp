// The way from a directory to an open store: lock, look, judge, found or replace, migrate, raise the incarnation.
// Private to this folder.
#pragma once
#include <memory>

#include "common/base/file.hpp"
#include "orchestrator/store/reserve.hpp"
#include "orchestrator/store/rocks_db.hpp"
#include "orchestrator/store/rocks_store.hpp"
#include "orchestrator/store/witness.hpp"

namespace axle {

struct OpenedStore {
    Fd lock;
    std::shared_ptr<RocksDb> db;  // RocksMode::look if state.read_only
    std::unique_ptr<WitnessFile> witness;
    StoreMark mark;
    StoreState state;
};

std::string db_path(const RocksStoreOptions& options);
RocksSettings rocks_settings(const RocksStoreOptions& options, std::function<void(Error)> background_error);

// Blocks. `reserve` is released before anything is opened.
Result<OpenedStore> open_store(const RocksStoreOptions& options, const RocksSettings& settings, Reserve& reserve,
                               Random& random, WallTime now);

}  // namespace axle
