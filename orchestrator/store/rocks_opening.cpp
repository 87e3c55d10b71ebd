#include "orchestrator/store/rocks_opening.hpp"

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <malloc.h>

#include "common/base/ensure.hpp"
#include "common/base/log.hpp"
#include "common/base/mount.hpp"
#include "orchestrator/store/directory.hpp"
#include "orchestrator/store/identity.hpp"

namespace axle {
namespace {

Result<> remove_tree(const std::string& path) {
    std::error_code problem;
    std::filesystem::remove_all(path, problem);
    if (problem) return fail(system_error("remove " + path, problem.value()));
    return sync_directory(parent_of(path));
}

// A database is made aside and renamed, so one that is in its place is whole, and one that is not readable there is a
// damaged one and never a half-made one.
Result<> make_db(const RocksStoreOptions& options, const RocksSettings& settings, const StoreMark& mark) {
    const std::string aside = db_path(options) + ".new";
    {
        TRY(db, RocksDb::open(aside, RocksMode::make, settings));
        rocksdb::WriteBatch first;
        db->add_mark(first, mark);
        TRY_VOID(db->write(first));
        TRY_VOID(db->close());
    }
    TRY_VOID(sync_directory(aside));
    KILL_POINT("store.found.db-made");
    if (::rename(aside.c_str(), db_path(options).c_str()) != 0) return fail(system_error("rename " + aside, errno));
    KILL_POINT("store.found.db-renamed");
    return sync_directory(options.directory);
}

struct Looked {
    Found found;
    std::shared_ptr<RocksDb> db;
    std::unique_ptr<WitnessFile> witness;
};

Result<Looked> look(const RocksStoreOptions& options, const RocksSettings& settings) {
    Looked looked;
    looked.found.agent_state = options.agent_state;
    looked.found.agents = options.agents;
    if (RocksDb::is_there(db_path(options))) {
        TRY(db, RocksDb::open(db_path(options), RocksMode::look, settings));
        TRY(mark, db->mark());
        TRY_VOID(check_schema(mark.schema, options.migrations ? *options.migrations : migrations()));
        looked.db = db;
        looked.found.store = mark;
    }
    TRY(identity, read_identity(options.identity_directory));
    if (identity) looked.found.identity = identity->cluster;
    looked.found.key_alone = !identity && file_exists(secret_key_path(options.identity_directory));
    TRY(witness, WitnessFile::open(witness_path(options.identity_directory)));
    looked.found.witness = witness->record();
    looked.witness = std::move(witness);
    return looked;
}

// All that stands beside the store, before the mark of founding goes: a crash in between begins here again.
Result<> found_identity(const RocksStoreOptions& options, const StoreMark& mark, WitnessFile& witness) {
    KILL_POINT("store.found.before-identity");
    TRY(identity, read_identity(options.identity_directory));
    if (!identity) TRY_VOID(make_identity(options.identity_directory, mark.cluster));
    KILL_POINT("store.found.before-witness");
    return witness.write({.revision = mark.revision, .history = mark.history, .cluster = mark.cluster});
}

Result<> migrate(RocksDb& db, StoreMark& mark, const std::vector<SchemaStep>& list) {
    constexpr const char* kCursorKey = "store/migration";
    const ScanTable scan = [&db](Table table, std::string_view from, const auto& each) {
        return db.scan(table, from, {}, false, each);
    };
    while (mark.schema < schema_after(list)) {
        const SchemaStep& migration = list[mark.schema - 1];
        TRY(cursor, db.get(Table::meta, kCursorKey));
        TRY(part, migration.next_part(scan, cursor.value_or("")));
        rocksdb::WriteBatch group;
        for (const Write& write : part.writes) db.add(group, write);
        db.add(group, {Table::meta, kCursorKey, part.done ? std::nullopt : std::optional(part.cursor)});
        if (part.done) ++mark.schema;
        db.add_mark(group, mark);
        KILL_POINT("store.migration.before-write");
        TRY_VOID(db.write(group));
        if (part.done) log::info(fmt::format("store: migration {} is done", migration.name));
    }
    return {};
}

Result<> begin_run(const RocksStoreOptions& options, OpenedStore& opened) {
    StoreMark& mark = opened.mark;
    if (mark.founding) TRY_VOID(found_identity(options, mark, *opened.witness));
    TRY_VOID(migrate(*opened.db, mark, options.migrations ? *options.migrations : migrations()));
    mark.founding = false;
    mark.incarnation = opened.state.incarnation;
    rocksdb::WriteBatch group;
    opened.db->add_mark(group, mark);
    KILL_POINT("store.open.before-incarnation");
    TRY_VOID(opened.db->write(group));
    KILL_POINT("store.open.after-incarnation");
    return {};
}

}  // namespace

std::string db_path(const RocksStoreOptions& options) {
    return options.directory + "/db";
}

RocksSettings rocks_settings(const RocksStoreOptions& options, std::function<void(Error)> background_error) {
    RocksSettings settings{.write_buffer_bytes = options.write_buffer_bytes,
                           .file_system = options.file_system,
                           .background_error = std::move(background_error)};
#ifdef AXLE_FAULTS
    settings.sync = !options.skip_sync;
#else
    ENSURE(!options.skip_sync && !options.witness_first, "planted bugs are compiled into dev builds only");
#endif
    return settings;
}

Result<OpenedStore> open_store(const RocksStoreOptions& options, const RocksSettings& settings, Reserve& reserve,
                               Random& random, WallTime now) {
    TRY_VOID(make_directories(options.directory, 0700));
    std::vector<std::string> warnings;
    if (!options.any_file_system) {
        TRY(doubt, check_keeps_synced(options.directory));
        if (doubt) warnings.push_back(*doubt);
    }
    OpenedStore opened;
    TRY(lock, lock_store(options.directory));
    opened.lock = std::move(lock);
    TRY_VOID(check_at_home(options.directory));
    TRY_VOID(reserve.release());
    TRY_VOID(remove_tree(db_path(options) + ".new"));
    TRY(looked, look(options, settings));
    TRY(verdict, judge_opening(looked.found));
    opened.witness = std::move(looked.witness);
    if (looked.found.store) {
        opened.mark = *looked.found.store;
    } else {
        opened.mark = first_mark(looked.found, verdict, now, random);
        opened.mark.schema = schema_after(options.migrations ? *options.migrations : migrations());
        TRY_VOID(make_db(options, settings, opened.mark));
    }
    opened.state = first_state(opened.mark, verdict, random);
    opened.state.warnings = std::move(warnings);
    opened.db = std::move(looked.db);
    const auto mode = verdict.read_only ? RocksMode::look : RocksMode::read_write;
    if (!opened.db || mode == RocksMode::read_write) {
        opened.db.reset();
        TRY(db, RocksDb::open(db_path(options), mode, settings));
        opened.db = db;
    }
    if (!verdict.read_only) TRY_VOID(begin_run(options, opened));
    ::malloc_trim(0);  // looking and recovering each held the whole log: it would stay with the process at rest
    if (const auto record = next_witness(opened.state, opened.mark.revision, opened.witness->record()))
        TRY_VOID(opened.witness->write(*record));
    return opened;
}

}  // namespace axle
