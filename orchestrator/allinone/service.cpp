#include "orchestrator/allinone/service.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <functional>
#include <future>
#include <grp.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include "agent/agent.hpp"
#include "agent/link/in_process_link.hpp"
#include "common/base/file.hpp"
#include "common/base/log.hpp"
#include "common/base/service_manager.hpp"
#include "common/http/client.hpp"
#include "common/http/server.hpp"
#include "common/http/tls.hpp"
#include "common/loop/loop.hpp"
#include "common/loop/random.hpp"
#include "common/loop/workers.hpp"
#include "orchestrator/allinone/secrets.hpp"
#include "orchestrator/api/api.hpp"
#include "orchestrator/core/orchestrator.hpp"
#include "orchestrator/images/image_library.hpp"
#include "orchestrator/store/identity.hpp"
#include "orchestrator/store/rocks_store.hpp"
#include "orchestrator/store/secret_box.hpp"

namespace axle {
namespace {

constexpr milliseconds kLinkAgain{1'000}, kLinkAgainMax{30'000};
constexpr milliseconds kGuestsOff{120'000};

std::int64_t gid_of(const std::string& name) {
    const group* entry = name.empty() ? nullptr : ::getgrnam(name.c_str());
    return entry != nullptr ? static_cast<std::int64_t>(entry->gr_gid) : -1;
}

std::optional<Accelerator> stated(WantedAccelerator wanted) {
    switch (wanted) {
        case WantedAccelerator::automatic:
            return std::nullopt;
        case WantedAccelerator::kvm:
            return Accelerator::kvm;
        case WantedAccelerator::qemu:
            return Accelerator::qemu;
    }
    return std::nullopt;
}

std::string control_socket(const ServiceConfig& config) {
    return config.run_directory + "/agent.sock";
}

}  // namespace

AgentOptions agent_options(const ServiceConfig& config, const std::string& cluster) {
    return {.cluster = cluster,
            .state_folder = config.state_directory + "/agent",
            .host_folder = config.state_directory + "/host",
            .seeds_folder = config.state_directory + "/seeds",
            .log_folder = config.log_directory + "/guests",
            .run_folder = config.run_directory + "/guests",
            .libvirt_uri = config.libvirt_uri,
            .libvirt_definitions = config.libvirt_definitions,
            .accelerator = stated(config.accelerator)};
}

// Everything that runs, in the order in which it is built; taken down the other way round.
class AllInOne {
  public:
    explicit AllInOne(const ServiceConfig& config) : config_(config) {}
    Result<> start();
    void wait();
    void stop();

  private:
    Result<> make_folders();
    Result<> open_store();
    Result<> build_core();
    Result<> build_agent();
    Result<> listen();
    void join();
    void handle_control(const http::Request& request, http::Reply reply);
    void notify_watchdog();

    ServiceConfig config_;
    Loop core_loop_{"orchestrator core"}, io_{"io"};
    SystemRandom random_;
    Workers workers_{"http", {.threads = 4}}, import_workers_{"images", {.threads = 2}};
    std::unique_ptr<RocksStore> store_;
    std::unique_ptr<SecretBox> box_;
    std::unique_ptr<ImageLibrary> images_;
    std::unique_ptr<Orchestrator> orchestrator_;
    std::unique_ptr<Agent> agent_;
    std::unique_ptr<api::Api> api_;
    std::unique_ptr<http::Server> server_, control_;
    std::promise<void> stop_wanted_;
    std::atomic<bool> stopping_{false};
    milliseconds link_delay_ = kLinkAgain;  // orchestrator core thread
    std::jthread core_thread_, io_thread_;
};

Result<> AllInOne::make_folders() {
    const std::string& state = config_.state_directory;
    TRY_VOID(make_directories(state, 0711));
    for (const char* name : {"/store", "/identity", "/tls"}) TRY_VOID(make_directories(state + name, 0700));
    TRY_VOID(make_directories(state + "/images", 0711));
    TRY_VOID(make_directories(config_.log_directory, 0755));
    return make_directories(config_.run_directory, 0755);
}

Result<> AllInOne::open_store() {
    RocksStoreOptions options{.directory = config_.state_directory + "/store",
                              .identity_directory = config_.state_directory + "/identity"};
    options.agent_state = agent_state_is_there(agent_options(config_));
    TRY(opened, RocksStore::open(options, core_loop_, random_, core_loop_.wall()));
    store_ = std::move(opened);
    TRY(identity, read_identity(options.identity_directory));
    if (!identity) return fail(Code::corrupt, "the cluster has no identity in {}", options.identity_directory);
    box_ = std::make_unique<SecretBox>(identity->secret_key);
    if (const auto& why = store_->state().read_only)
        log::error(fmt::format("the store is read-only: {}; {}", why->why, why->hint));
    return {};
}

Result<> AllInOne::build_core() {
    const ImportSettings images{.directory = config_.state_directory + "/images"};
    TRY_VOID(ImageLibrary::prepare(images, core_loop_.wall()));
    images_ = std::make_unique<ImageLibrary>(
        core_loop_,
        [this](const std::string& lane, std::function<void()> job) {
            return import_workers_.submit(lane, std::move(job));
        },
        images);
    const SecretCodec codec{
        [this](std::string_view plain, std::string_view place) { return box_->seal(plain, place); },
        [this](std::string_view sealed, std::string_view place) { return box_->open(sealed, place); }};
    orchestrator_ = std::make_unique<Orchestrator>(
        Orchestrator::Seams{*store_, core_loop_, random_, core_loop_, *images_, codec,
                            [this](const std::string& digest) { return images_->path(digest); }});
    TRY_VOID(orchestrator_->load());
    TRY(secret, admin_secret(config_.state_directory + "/admin.token", random_));
    orchestrator_->bootstrap(secret, config_.first_pool);
    core_loop_.post([this] { orchestrator_->start(); });
    return {};
}

Result<> AllInOne::build_agent() {
    TRY(agent, Agent::make(agent_options(config_, store_->state().cluster.str()), io_));
    agent_ = std::move(agent);
    agent_->start([this](Result<> ready) {
        if (!ready)
            return log::error(
                fmt::format("the agent can't read its state and does nothing: {}", ready.error().message));
        core_loop_.post([this] { join(); });
    });
    return {};
}

// Joins both halves; when the link ends (a refused hello, a slow half) it is made anew.
void AllInOne::join() {
    if (stopping_) return;
    auto ends = join_in_process(agent_->core(), core_loop_);
    auto agent_end = std::make_shared<std::unique_ptr<Channel>>(std::move(ends.agent));
    orchestrator_->attach(std::move(ends.orchestrator), [this, since = core_loop_.boot()] {
        // One that lasted begins anew at once; one that is refused again and again is asked less and less often.
        link_delay_ = core_loop_.boot() - since > kLinkAgainMax ? kLinkAgain : std::min(link_delay_ * 2, kLinkAgainMax);
        core_loop_.after(link_delay_, [this] { join(); });
    });
    agent_->core().post([this, agent_end] {
        if (!stopping_) agent_->connected(std::move(*agent_end));
    });
}

Result<> AllInOne::listen() {
    api::ApiOptions options{.admin_gid = gid_of(config_.group), .upload_directory = images_->upload_directory()};
    TRY(tls, server_certificate(config_.state_directory + "/tls", core_loop_.wall()));
    options.authority = tls.authority;
    api_ = std::make_unique<api::Api>(api::ApiDeps{*orchestrator_, core_loop_, core_loop_, *store_, workers_}, options);
    server_ = std::make_unique<http::Server>(
        io_, workers_,
        [this](http::Request request, http::Reply reply) { api_->handle(std::move(request), std::move(reply)); },
        api::Api::server_options());
    const std::int64_t gid = options.admin_gid;
    TRY_VOID(server_->listen_unix(config_.run_directory + "/api.sock", gid >= 0 ? 0660 : 0600, static_cast<int>(gid)));
    if (config_.listen != "none") {
        TRY(address, parse_listen(config_.listen));
        TRY(port, server_->listen_tls(address.address, address.port,
                                      {.certificate = tls.certificate_path, .key = tls.key_path}));
        log::info(
            fmt::format("the API listens on port {} and on {}/api.sock; the SHA-256 fingerprint of its authority "
                        "is {}",
                        port, config_.run_directory, http::fingerprint_of(tls.authority).value_or("unknown")));
    }
    control_ = std::make_unique<http::Server>(
        io_, workers_, [this](http::Request request, http::Reply reply) { handle_control(request, std::move(reply)); });
    return control_->listen_unix(control_socket(config_), 0600);
}

// For root on this host, by the program's own subcommands.
void AllInOne::handle_control(const http::Request& request, http::Reply reply) {
    const bool down = request.path == "/host-going-down";
    if (request.method != "POST" || (!down && request.path != "/host-stays-up")) return reply.send({.status = 404});
    reply.set_deadline(kGuestsOff + milliseconds{30'000});
    const auto done = down ? agent_->host_going_down(kGuestsOff) : agent_->host_stays_up();
    reply.send({.status = done ? 204 : 500, .body = done ? "" : done.error().message});
}

void AllInOne::notify_watchdog() {
    // Both loops must turn, or systemd starts the process anew.
    core_loop_.post([this] { io_.post([] { tell_alive(); }); });
    if (!stopping_) io_.after(milliseconds{5'000}, [this] { notify_watchdog(); });
}

Result<> AllInOne::start() {
    TRY_VOID(make_folders());
    TRY_VOID(open_store());
    TRY_VOID(build_core());
    core_thread_ = std::jthread([this] { core_loop_.run(); });
    for (const int number : {SIGTERM, SIGINT})
        io_.on_signal(number, [this] {
            if (!stopping_.exchange(true)) stop_wanted_.set_value();
        });
    io_thread_ = std::jthread([this] { io_.run(); });
    TRY_VOID(build_agent());
    TRY_VOID(listen());
    io_.post([this] { notify_watchdog(); });
    tell_ready();
    log::info(fmt::format("axle {} serves cluster {}", AXLE_VERSION, store_->state().cluster.str()));
    return {};
}

void AllInOne::wait() {
    stop_wanted_.get_future().wait();
}

void AllInOne::stop() {
    stopping_ = true;
    tell_stopping();
    if (server_) server_->stop(milliseconds{2'000});
    if (control_) control_->stop(milliseconds{0});
    agent_.reset();
    if (images_) core_loop_.call([this] { images_->stop(); });
    import_workers_.stop();
    workers_.stop();
    if (core_thread_.joinable()) {
        core_loop_.stop();
        core_thread_.join();
    }
    orchestrator_.reset();
    images_.reset();
    store_.reset();
    if (io_thread_.joinable()) {
        io_.stop();
        io_thread_.join();
    }
}

Result<> run_service(const ServiceConfig& config) {
    std::signal(SIGPIPE, SIG_IGN);
    auto service = std::make_unique<AllInOne>(config);
    auto started = service->start();
    if (started) service->wait();
    service->stop();
    return started;
}

namespace {

// Asks the running service; where there is none, does the same by ourselves. The agent's lock keeps two from doing it
// at once.
Result<> tell_agent(const ServiceConfig& config, const std::string& path, const std::function<Result<>(Agent&)>& act) {
    http::Client client(
        {.endpoint = http::Endpoint{.kind = http::Endpoint::Kind::unix_socket, .path = control_socket(config)},
         .timeout = kGuestsOff + milliseconds{30'000}});
    auto answer = client.request("POST", path, {}, "");
    if (answer && answer->status == 204) return {};
    if (answer) return fail(Code::internal, "the service refuses: {}", answer->body);
    Loop io{"io"};
    std::jthread thread([&] { io.run(); });
    Result<> done;
    {
        auto agent = Agent::make(agent_options(config), io);
        if (!agent) {
            done = fail(std::move(agent.error()));
        } else {
            std::promise<Result<>> ready;
            (*agent)->start([&](Result<> r) { ready.set_value(std::move(r)); });
            done = ready.get_future().get();
            if (done) done = act(**agent);
        }
    }
    io.stop();
    return done;
}

}  // namespace

Result<> host_going_down(const ServiceConfig& config) {
    return tell_agent(config, "/host-going-down", [](Agent& agent) { return agent.host_going_down(kGuestsOff); });
}

Result<> host_stays_up(const ServiceConfig& config) {
    // Of a host without an agent's state, nobody said that it goes down.
    if (!agent_state_is_there(agent_options(config))) return {};
    return tell_agent(config, "/host-stays-up", [](Agent& agent) { return agent.host_stays_up(); });
}

Result<> remove_furniture(const ServiceConfig& config) {
    Loop io{"io"};
    std::jthread thread([&] { io.run(); });
    Result<> done;
    {
        auto agent = Agent::make(agent_options(config), io);
        done = agent ? (*agent)->remove_furniture() : fail(std::move(agent.error()));
    }
    io.stop();
    return done;
}

}  // namespace axle
