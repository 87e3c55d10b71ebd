#include "orchestrator/relocation/relocation.hpp"

#include <algorithm>
#include <filesystem>
#include <set>

#include <nlohmann/json.hpp>

#include "common/base/ensure.hpp"
#include "common/base/file.hpp"
#include "common/base/log.hpp"
#include "common/base/space.hpp"
#include "common/base/units.hpp"
#include "orchestrator/relocation/archive.hpp"
#include "orchestrator/store/directory.hpp"
#include "orchestrator/store/identity.hpp"

namespace axle {
namespace {

using nlohmann::json;

constexpr const char* kManifest = "manifest.json";
constexpr std::int64_t kFormat = 1, kManifestMax = 64 << 10;
constexpr std::int64_t kKeptFree = INT64_C(256) << 20;
// What travels, below the state directory: folders with all that is in them, and files.
constexpr const char* kFolders[] = {"store/db", "identity", "images"};
constexpr const char* kFiles[] = {"admin.token"};
// RocksDB's own lock and its diary are of the process that ran.
constexpr const char* kStays[] = {"store/db/LOCK", "store/db/LOG"};

struct Places {
    explicit Places(const ServiceConfig& config)
        : state(config.state_directory), store(state + "/store"), identity(state + "/identity") {}
    std::string state, store, identity;
};

bool travels(const std::string& path) {
    const bool below =
        std::ranges::any_of(kFolders, [&](const std::string& folder) { return path.starts_with(folder + "/"); });
    const bool stays = std::ranges::any_of(kStays, [&](const char* name) { return path.starts_with(name); });
    const bool leaves = (path + "/").find("/../") != std::string::npos || path.find("//") != std::string::npos;
    return !stays && !leaves && (below || std::ranges::find(kFiles, path) != std::end(kFiles));
}

// Paths of plain files, below the state directory, sorted.
Result<std::set<std::string>> files_below(const std::string& state) {
    namespace fs = std::filesystem;
    std::set<std::string> out;
    std::error_code problem;
    for (const std::string folder : kFolders) {
        if (!fs::exists(state + "/" + folder, problem)) continue;
        for (fs::recursive_directory_iterator at(state + "/" + folder, problem), end; !problem && at != end;
             at.increment(problem)) {
            const std::string path = fs::relative(at->path(), state, problem).string();
            if (at->is_regular_file(problem) && travels(path)) out.insert(path);
        }
        if (problem) return fail(system_error("read " + state + "/" + folder, problem.value()));
    }
    for (const char* file : kFiles) {
        if (file_exists(state + "/" + file)) out.insert(file);
    }
    return out;
}

std::string manifest_of(const Identity& identity, const ExportWish& wish, WallTime now) {
    return json{{"format", kFormat},
                {"version", AXLE_VERSION},
                {"cluster", identity.cluster.str()},
                {"endpoint", wish.endpoint},
                {"exported", format_time(now)}}
               .dump(2) +
           "\n";
}

struct Manifest {
    std::string cluster, endpoint;
};
Result<Manifest> read_manifest(const Archive& archive) {
    TRY(text, content_of(archive, kManifest, kManifestMax));
    const json in = json::parse(text, nullptr, false);
    const std::int64_t format = in.is_object() ? in.value("format", std::int64_t{0}) : 0;
    if (format > kFormat)
        return fail(error(Code::conflict, "{} was made by axle {}, which packs a cloud in another way than axle {}",
                          archive.path, in.value("version", "?"), AXLE_VERSION)
                        .with_hint("install that version here"));
    if (format < 1 || in.value("endpoint", "").empty())
        return fail(Code::malformed, "{} does not say what is in it", archive.path);
    return Manifest{in.value("cluster", ""), in.value("endpoint", "")};
}

// What is there may be replaced: nothing, what an earlier try has left, or the same cloud's copy that is dead here.
Result<> check_free(const Places& places, const Archive& archive, const std::string& cluster) {
    if (is_arriving(places.store)) return {};
    const auto identity = read_identity(places.identity);
    const bool identity_is_there = !identity || *identity;
    const bool anything = identity_is_there || std::filesystem::exists(places.store + "/db") ||
                          file_exists(witness_path(places.identity)) || file_exists(places.identity + "/ca.pem");
    if (!anything) return {};
    const bool same = identity && *identity && (*identity)->cluster.str() == cluster;
    TRY(moved, read_moved(places.store));
    if (moved && same) return {};
    if (same)
        return fail(error(Code::conflict, "this very cloud ({}) is served from {} already", cluster, places.state)
                        .with_hint("nothing was changed; axle status tells whether it is well"));
    return fail(
        error(Code::conflict, "{} holds a cloud already, and {} holds cluster {}", places.state, archive.path, cluster)
            .with_hint("an orchestrator is brought to a machine that has none; nothing was changed"));
}

// All that is in it is a part of a cloud, and it is a whole one.
Result<> check_members(const Archive& archive) {
    std::set<std::string> paths;
    for (const ArchiveMember& member : archive.members) {
        if (member.file.path == kManifest) continue;
        if (!travels(member.file.path))
            return fail(Code::malformed, "{} holds {}, which is no part of a cloud", archive.path, member.file.path);
        paths.insert(member.file.path);
    }
    for (const char* needed : {"store/db/CURRENT", "identity/cluster-id", "identity/secret-key", "identity/ca.key"}) {
        if (!paths.contains(needed)) return fail(Code::malformed, "{} holds no {}", archive.path, needed);
    }
    return {};
}

Result<> remove_what_is_there(const Places& places) {
    std::error_code problem;
    for (const std::string folder : kFolders) {
        std::filesystem::remove_all(places.state + "/" + folder, problem);
        if (problem) return fail(system_error("remove " + places.state + "/" + folder, problem.value()));
    }
    for (const char* file : kFiles) TRY_VOID(remove_file_durably(places.state + "/" + file));
    return {};
}

Result<std::size_t> unpack(const Places& places, const Archive& archive) {
    std::set<std::string> folders{places.state};
    std::size_t files = 0;
    for (const ArchiveMember& member : archive.members) {
        if (member.file.path == kManifest) continue;
        const std::string to = places.state + "/" + member.file.path;
        const bool of_images = member.file.path.starts_with("images/");
        TRY_VOID(make_directories(parent_of(to), of_images ? 0711 : 0700));
        TRY_VOID(extract(archive, member, to));
        folders.insert(parent_of(to));
        ++files;
        KILL_POINT("relocation.import.extracted");
    }
    for (const std::string& folder : folders) TRY_VOID(sync_directory(folder));
    return files;
}

}  // namespace

Result<std::string> endpoint_of(const std::string& text) {
    constexpr std::string_view kScheme = "https://";
    TRY(at, parse_advertised(text.starts_with(kScheme) ? text.substr(kScheme.size()) : text));
    const bool six = at.address.find(':') != std::string::npos;
    return six ? fmt::format("https://[{}]:{}", at.address, at.port)
               : fmt::format("https://{}:{}", at.address, at.port);
}

Result<> announce_endpoint(const ServiceConfig& config, const std::string& endpoint) {
    return announce(Places(config).store, {endpoint});
}

Result<Relocated> export_orchestrator(const ServiceConfig& config, const ExportWish& wish, WallTime now) {
    const Places places(config);
    TRY(identity, read_identity(places.identity));
    if (!identity || !std::filesystem::exists(places.store + "/db"))
        return fail(Code::not_found, "there is no cloud in {}", places.state);
    const auto lock = lock_store(places.store);  // until the end
    if (!lock) return fail(lock.error());
    if (is_arriving(places.store)) return fail(check_at_home(places.store).error());
    TRY(moved, read_moved(places.store));
    if (moved && moved->endpoints != std::vector<std::string>{wish.endpoint})
        return fail(check_at_home(places.store).error());
    if (!moved && std::filesystem::exists(wish.file))
        return fail(error(Code::conflict, "{} is there already", wish.file).with_hint("name another file"));
    TRY(paths, files_below(places.state));
    Relocated done{.cluster = identity->cluster.str(), .files = paths.size()};
    for (const std::string& path : paths)
        done.bytes += static_cast<std::int64_t>(std::filesystem::file_size(places.state + "/" + path));
    TRY_VOID(check_space(parent_of(wish.file), kKeptFree, done.bytes));
    TRY(file, NewFile::create(wish.file, "export"));
    ArchiveWriter writer(file);
    TRY_VOID(writer.add(kManifest, manifest_of(*identity, wish, now)));
    for (const std::string& path : paths) TRY_VOID(writer.add_file(path, places.state + "/" + path));
    KILL_POINT("relocation.export.before-mark");
    TRY_VOID(mark_moved(places.store, {{wish.endpoint}, wish.file, now}));
    KILL_POINT("relocation.export.before-seal");
    TRY_VOID(writer.seal());
    TRY_VOID(file.replace());
    return done;
}

Result<Relocated> import_orchestrator(const ServiceConfig& config, const std::string& file) {
    const Places places(config);
    TRY(archive, open_archive(file));
    TRY(manifest, read_manifest(archive));
    TRY_VOID(check_members(archive));
    TRY_VOID(make_directories(places.state, 0711));
    TRY_VOID(make_directories(places.store, 0700));
    const auto lock = lock_store(places.store);  // until the end
    if (!lock) return fail(lock.error());
    TRY_VOID(check_free(places, archive, manifest.cluster));
    TRY_VOID(check_space(places.state, kKeptFree, archive.bytes));
    TRY_VOID(mark_arriving(places.store));
    KILL_POINT("relocation.import.begun");
    TRY_VOID(remove_what_is_there(places));
    KILL_POINT("relocation.import.cleared");
    TRY(files, unpack(places, archive));
    KILL_POINT("relocation.import.before-arrived");
    TRY_VOID(mark_arrived(places.store, manifest.endpoint));
    return Relocated{manifest.cluster, files, archive.bytes};
}

}  // namespace axle
