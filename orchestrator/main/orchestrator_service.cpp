#include "orchestrator/main/orchestrator_service.hpp"

#include <algorithm>
#include <grp.h>
#include <optional>

#include <nlohmann/json.hpp>

#include "common/base/addresses.hpp"
#include "common/base/digest.hpp"
#include "common/base/file.hpp"
#include "common/base/log.hpp"
#include "common/base/memory.hpp"
#include "common/base/now.hpp"
#include "common/http/server.hpp"
#include "common/link/join_string.hpp"
#include "common/loop/on_all_cores.hpp"
#include "common/loop/program.hpp"
#include "common/loop/random.hpp"
#include "common/loop/workers.hpp"
#include "orchestrator/api/api.hpp"
#include "orchestrator/hosts/certificate_watch.hpp"
#include "orchestrator/hosts/door.hpp"
#include "orchestrator/hosts/installer.hpp"
#include "orchestrator/images/image_library.hpp"
#include "orchestrator/main/admin_secret.hpp"
#include "orchestrator/store/directory.hpp"
#include "orchestrator/store/identity.hpp"
#include "orchestrator/store/rocks_store.hpp"
#include "orchestrator/store/secret_box.hpp"

namespace axle {
namespace {

// Images and the store share a file system. Sixteen writers of images look at it every 16 MiB; the store refuses
// changes below 64 MiB.
constexpr std::int64_t kKeptFree = std::int64_t{512} << 20;
constexpr milliseconds kLookAtMemory{10'000};
// Hosts may stand behind one address.
constexpr std::size_t kConnectionsOfAnAddress = 12'000;

std::int64_t gid_of(const std::string& name) {
    const group* entry = name.empty() ? nullptr : ::getgrnam(name.c_str());
    return entry != nullptr ? static_cast<std::int64_t>(entry->gr_gid) : -1;
}

std::string endpoint_text(const std::string& host, int port) {
    const bool six = host.find(':') != std::string::npos;
    return six ? fmt::format("https://[{}]:{}", host, port) : fmt::format("https://{}:{}", host, port);
}

// Where other machines find the port.
std::vector<std::string> endpoints_of(const ServiceConfig& config, const ListenAddress& listen) {
    std::vector<std::string> out;
    for (const std::string& name : config.advertise) {
        if (const auto at = parse_advertised(name)) out.push_back(endpoint_text(at->address, at->port));
    }
    const bool all = listen.address.empty() || listen.address == "::" || listen.address == "0.0.0.0";
    if (out.empty() && !all) out.push_back(endpoint_text(listen.address, listen.port));
    if (!out.empty()) return out;
    for (const std::string& address : machine_addresses()) {
        if (out.size() < 4) out.push_back(endpoint_text(address, listen.port));
    }
    return out;
}

std::string join_info_text(const JoinInfo& info) {
    const bool installs = !info.script_hash.empty();
    return nlohmann::json{
        {"endpoints", info.endpoints},    {"authority", info.authority},
        {"cluster", info.cluster},        {"script", installs ? std::string(kInstallPath) + kInstallScript : ""},
        {"scriptHash", info.script_hash}, {"whyNoScript", info.why_not}}
        .dump();
}

}  // namespace

struct OrchestratorService::Parts {
    Parts(const ServiceConfig& c, Loop& core_loop, Loop& io_loop) : config(c), core(core_loop), io(io_loop) {}

    const ServiceConfig config;
    Loop& core;
    Loop& io;
    SystemRandom random;
    Workers workers{"http", {.threads = 4, .lane_running_max = 2}},
        link_workers{"links", {.threads = 2, .queue_max = 65'536}},
        receiving{"receive", {.threads = 8, .lane_running_max = 2}}, converting{"convert", {.threads = 2}};
    std::unique_ptr<RocksStore> store;
    std::unique_ptr<SecretBox> box;
    std::optional<Authority> authority;
    std::unique_ptr<ImageLibrary> images;
    std::unique_ptr<Orchestrator> orchestrator;
    std::unique_ptr<api::Api> api;
    std::unique_ptr<AgentDoor> door;
    std::unique_ptr<http::Server> server;
    std::unique_ptr<CertificateWatch> watch;
    std::string seal_key;

    Result<> make_folders() const;
    Result<> open_store(bool agent_state_is_there);
    Result<> build_core(const std::string& first_pool);
    std::vector<std::string> extra_names() const;
    Result<> listen_tls();
    void look_at_memory();
    void handle(http::Request request, http::Reply reply);
};

Result<> OrchestratorService::Parts::make_folders() const {
    const std::string& state = config.state_directory;
    TRY_VOID(make_directories(state, 0711));
    for (const char* name : {"/store", "/identity", "/tls"}) TRY_VOID(make_directories(state + name, 0700));
    TRY_VOID(make_directories(state + "/images", 0711));
    return make_directories(config.run_directory, 0755);
}

Result<> OrchestratorService::Parts::open_store(bool agent_state_is_there) {
    RocksStoreOptions options{.directory = config.state_directory + "/store",
                              .identity_directory = config.state_directory + "/identity"};
    options.agent_state = agent_state_is_there;
    TRY(opened, RocksStore::open(options, core, random, core.wall()));
    store = std::move(opened);
    TRY(identity, read_identity(options.identity_directory));
    if (!identity) return fail(Code::corrupt, "the cluster has no identity in {}", options.identity_directory);
    box = std::make_unique<SecretBox>(identity->secret_key);
    seal_key = hmac_sha256_hex(identity->secret_key, "revisions that agents are told");
    TRY(made, Authority::open({options.identity_directory, config.state_directory + "/tls"}, core.wall()));
    authority = std::move(made);
    if (const auto& why = store->state().read_only)
        log::error(fmt::format("the store is read-only: {}; {}", why->why, why->hint));
    return {};
}

Result<> OrchestratorService::Parts::build_core(const std::string& first_pool) {
    const ImportSettings settings{.directory = config.state_directory + "/images", .keep_free = kKeptFree};
    TRY_VOID(ImageLibrary::prepare(settings));
    images = std::make_unique<ImageLibrary>(
        core,
        [this](const std::string& lane, std::function<void()> job) {
            return (lane.starts_with("convert/") ? converting : receiving).submit(lane, std::move(job));
        },
        settings);
    const SecretCodec codec{
        [this](std::string_view plain, std::string_view place) { return box->seal(plain, place); },
        [this](std::string_view sealed, std::string_view place) { return box->open(sealed, place); }};
    orchestrator = std::make_unique<Orchestrator>(
        Orchestrator::Seams{*store, core, random, core, *images, codec,
                            [this](const std::string& digest) { return images->path(digest); }, seal_key});
    TRY_VOID(orchestrator->load(on_all_cores));
    // A store that has lost its tail doesn't know what came last: nothing is dropped then.
    if (!store->state().read_only)
        TRY_VOID(ImageLibrary::sweep(settings, orchestrator->unfinished_imports(), core.wall()));
    if (!orchestrator->is_founded()) {
        TRY(secret, admin_secret(config.state_directory + "/admin.token", random));
        orchestrator->bootstrap(secret, first_pool);
    }
    core.post([this] { orchestrator->start(); });
    return {};
}

std::vector<std::string> OrchestratorService::Parts::extra_names() const {
    std::vector<std::string> names;
    for (const std::string& name : config.advertise) {
        if (const auto at = parse_advertised(name)) names.push_back(at->address);
    }
    return names;
}

void OrchestratorService::Parts::handle(http::Request request, http::Reply reply) {
    if (door && AgentDoor::is_ours(request.path)) return door->handle(std::move(request), std::move(reply));
    api->handle(std::move(request), std::move(reply));
}

Result<> OrchestratorService::Parts::listen_tls() {
    TRY(files, authority->server_certificate(extra_names(), core.wall()));
    TRY(address, parse_listen(config.listen));
    TRY(port,
        server->listen_tls(
            address.address, address.port,
            {.certificate = files.certificate_path, .key = files.key_path, .client_authority = files.authority_path}));
    log::info(
        fmt::format("the API and the agents' channel listen on port {}, the API on {}/api.sock as well; the "
                    "SHA-256 fingerprint of its authority is {}",
                    port, config.run_directory, authority->fingerprint(core.wall())));
    watch = std::make_unique<CertificateWatch>(
        *authority, extra_names(),
        CertificateWatch::Seams{io, io, [this](std::function<void()> job) { return workers.submit(std::move(job)); },
                                [this] { return server->reload_certificates(); }});
    io.post([this] { watch->start(); });
    return {};
}

// On the I/O loop, now and then. No two of these jobs run at once: the next is asked for when one is done.
void OrchestratorService::Parts::look_at_memory() {
    io.after(kLookAtMemory, [this] {
        const bool taken = workers.submit([this] {
            give_back_memory();
            io.post([this] { look_at_memory(); });
        });
        if (!taken) look_at_memory();
    });
}

OrchestratorService::OrchestratorService(const ServiceConfig& config, Loop& core, Loop& io)
    : parts_(std::make_unique<Parts>(config, core, io)) {}
OrchestratorService::~OrchestratorService() = default;

Result<> OrchestratorService::open(bool agent_state_is_there, const std::string& first_pool) {
    TRY_VOID(parts_->make_folders());
    TRY_VOID(parts_->open_store(agent_state_is_there));
    return parts_->build_core(first_pool);
}

Result<OrchestratorService::HostCertificate> OrchestratorService::certify_host(const HostId& host) const {
    const Authority& authority = *parts_->authority;
    TRY(request, http::make_signing_request(host.str()));
    TRY(certificate, authority.sign_host(request.request, host, wall_now()));
    return HostCertificate{authority.trusted(wall_now()), std::move(certificate), std::move(request.key)};
}

Result<> OrchestratorService::listen() {
    Parts& p = *parts_;
    api::ApiOptions options{.admin_gid = gid_of(p.config.group),
                            .upload_directory = p.images->upload_directory(),
                            .upload_keep_free = kKeptFree,
                            .authority = [&p] { return p.authority->trusted(p.core.wall()); }};
    const bool has_port = p.config.listen != "none";
    if (has_port) {
        TRY(address, parse_listen(p.config.listen));
        TRY(coming, announced(p.config.state_directory + "/store"));
        std::vector<std::string> endpoints = endpoints_of(p.config, address);
        for (const std::string& place : coming) {
            if (std::ranges::find(endpoints, place) == endpoints.end()) endpoints.push_back(place);
        }
        p.door = std::make_unique<AgentDoor>(
            AgentDoor::Seams{*p.orchestrator, p.core, p.io, p.link_workers, *p.authority, cluster()},
            DoorOptions{.endpoints = endpoints, .packages = p.config.packages});
        options.join_info = [door = p.door.get()] { return join_info_text(door->join_info()); };
    }
    options.server_stats = [&p] { return p.server->stats(); };
    p.api = std::make_unique<api::Api>(api::ApiDeps{*p.orchestrator, p.core, p.core, *p.store, p.workers}, options);
    http::ServerOptions limits = api::Api::server_options();
    limits.connections_per_address_max = kConnectionsOfAnAddress;
    p.server = std::make_unique<http::Server>(
        p.io, p.workers,
        [&p](http::Request request, http::Reply reply) { p.handle(std::move(request), std::move(reply)); }, limits);
    const std::int64_t gid = options.admin_gid;
    if (has_port) TRY_VOID(p.listen_tls());
    p.io.post([&p] { p.look_at_memory(); });
    // Last: who finds the socket finds the port, too.
    return p.server->listen_unix(p.config.run_directory + "/api.sock", gid >= 0 ? 0660 : 0600, static_cast<int>(gid));
}

Orchestrator& OrchestratorService::orchestrator() {
    return *parts_->orchestrator;
}
std::string OrchestratorService::cluster() const {
    return parts_->store->state().cluster.str();
}

void OrchestratorService::stop_serving() {
    if (parts_->door) parts_->door->stop();
    if (parts_->server) parts_->server->stop(milliseconds{2'000});
}

void OrchestratorService::stop_work() {
    if (parts_->images) parts_->core.call([this] { parts_->images->stop(); });
    parts_->receiving.stop();
    parts_->converting.stop();
    parts_->link_workers.stop();
    parts_->workers.stop();
}

Result<> run_orchestrator(const ServiceConfig& config) {
    Loop io{"io"}, core{"orchestrator core"};  // jobs that the core did not come to may hold connections of io's
    OrchestratorService service(config, core, io);
    TRY_VOID(service.open(false, config.first_pool));
    Program program(io, {&core});
    program.start();
    auto started = service.listen();
    if (started) {
        program.tell_ready();
        log::info(fmt::format("axle {} serves cluster {}", AXLE_VERSION, service.cluster()));
        program.wait();
    }
    service.stop_serving();
    service.stop_work();
    return started;
}

}  // namespace axle
