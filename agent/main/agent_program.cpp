#include "agent/main/agent_program.hpp"

#include <atomic>
#include <future>

#include <nlohmann/json.hpp>

#include "agent/link/image_fetch.hpp"
#include "agent/link/orchestrator_link.hpp"
#include "agent/main/agent_service.hpp"
#include "common/base/addresses.hpp"
#include "common/base/file.hpp"
#include "common/base/log.hpp"
#include "common/loop/program.hpp"
#include "common/loop/random.hpp"
#include "common/loop/workers.hpp"
#include "common/model/codec.hpp"

namespace axle {
namespace {

using nlohmann::json;

std::string identity_path(const ServiceConfig& config) {
    return config.state_directory + "/agent/identity.json";
}
std::string pending_path(const ServiceConfig& config) {
    return config.state_directory + "/agent/joining.json";
}

http::Client control_client(const ServiceConfig& config) {
    return http::Client(
        {.endpoint = http::Endpoint{.kind = http::Endpoint::Kind::unix_socket, .path = control_socket(config)}});
}

std::string status_text(const std::optional<HostIdentity>& identity, const OrchestratorLink* link) {
    json out = {{"version", AXLE_VERSION}, {"joined", identity.has_value()}};
    if (!identity || link == nullptr) return out.dump();
    const LinkState state = link->state();
    out["host"] = {{"id", identity->host.str()}, {"name", state.host}};
    out["cluster"] = identity->cluster;
    out["connected"] = state.connected;
    out["endpoint"] = state.endpoint;
    out["localAddress"] = state.local_address;
    out["orchestrator"] = state.orchestrator;
    out["lastError"] = state.last_error;
    out["certificateEnds"] = state.certificate_ends;
    return out.dump();
}

// A program that runs while this host has the identity that it had when it began.
class AgentRun {
  public:
    explicit AgentRun(const ServiceConfig& config) : config_(config) {}
    Result<bool> run();

  private:
    Result<> start(Program& program);
    void make_link();

    const ServiceConfig config_;
    SystemRandom random_;
    Loop io_{"io"};
    Workers link_workers_{"link", {.threads = 2}};
    std::optional<HostIdentity> identity_;
    std::unique_ptr<AgentService> service_;
    std::unique_ptr<OrchestratorLink> link_;
    std::atomic<OrchestratorLink*> shown_link_ = nullptr;  // to workers, which run before it is made
    std::atomic<bool> again_ = false;
};

void AgentRun::make_link() {
    link_ = std::make_unique<OrchestratorLink>(
        OrchestratorLink::Seams{
            .io = io_,
            .workers = link_workers_,
            .core = service_->agent().core(),
            .random = random_,
            .connected = [this](std::unique_ptr<Channel> channel) { service_->agent().connected(std::move(channel)); },
            .local_address =
                [this](const std::string& address) {
                    // Tunnels between hosts are of IPv4: with a channel of IPv6 the host's own look at its routes
                    // counts, and with the orchestrator on this very machine, too.
                    const bool shows_nothing = address.find(':') != std::string::npos || address.starts_with("127.");
                    if (!shows_nothing) service_->agent().set_underlay(address);
                },
            .endpoints =
                [this](const std::vector<std::string>& endpoints) { service_->agent().set_orchestrator(endpoints); }},
        *identity_, identity_path(config_));
    shown_link_ = link_.get();
}

Result<> AgentRun::start(Program& program) {
    AgentOptions options = agent_options(config_, identity_ ? identity_->cluster : "");
    options.fetch_image = [this](const ImageFetch& wish) -> Result<> {
        const OrchestratorLink* link = shown_link_;
        if (link == nullptr) return fail(Code::unavailable, "this host has no orchestrator");
        return fetch_from_orchestrator(link->identity(), wish);
    };
    if (identity_)
        options.data_identity = [this]() -> Result<DataIdentity> {
            const OrchestratorLink* link = shown_link_;  // it has renewed certificates
            const HostIdentity now = link != nullptr ? link->identity() : *identity_;
            return DataIdentity{
                .host = now.host, .authority = now.authority, .certificate = now.certificate, .key = now.key};
        };
    auto ready = std::make_shared<std::promise<Result<>>>();
    TRY_VOID(service_->open(std::move(options), {.ready = [ready](Result<> read) { ready->set_value(std::move(read)); },
                                                 .status = [this] { return status_text(identity_, shown_link_); },
                                                 .joined =
                                                     [this, &program] {
                                                         again_ = true;
                                                         program.end(false);
                                                     }}));
    if (identity_) make_link();
    TRY_VOID(service_->listen());
    if (ready->get_future().get() && link_) link_->start();
    return {};
}

Result<bool> AgentRun::run() {
    TRY_VOID(make_directories(config_.state_directory, 0711));
    TRY_VOID(make_directories(config_.run_directory, 0755));
    TRY(identity, read_host_identity(identity_path(config_)));
    identity_ = std::move(identity);
    service_ = std::make_unique<AgentService>(config_, io_);
    Program program(io_);
    program.start();
    auto started = start(program);
    if (started) {
        if (!identity_) log::warning("this host has not joined a cloud: axle host token create prints the line for it");
        program.tell_ready();
        program.wait();
    }
    if (link_) link_->stop();
    service_->stop();
    if (link_) link_->wait_closed(milliseconds{1'000});
    link_workers_.stop();
    if (!started) return fail(std::move(started.error()));
    return again_.load();
}

}  // namespace

Result<bool> run_agent(const ServiceConfig& config) {
    return AgentRun(config).run();
}

Result<std::string> join_host(const ServiceConfig& config, const std::string& join_string,
                              const std::string& endpoint) {
    TRY(join, read_join_string(join_string));
    if (!endpoint.empty()) join.endpoints.insert(join.endpoints.begin(), endpoint);
    const AgentOptions options = agent_options(config);
    TRY_VOID(make_directories(config.state_directory, 0711));
    TRY_VOID(make_directories(options.state_folder, 0711));
    TRY(host, host_id_of(options));
    auto before = read_host_identity(identity_path(config));
    // One that can't be read is what joining mends.
    const std::optional<HostIdentity> known = before ? *before : std::nullopt;
    TRY(identity, join_cluster(join, host, machine_name(), known, pending_path(config)));
    identity.pinned = endpoint;
    TRY_VOID(write_host_identity(identity_path(config), identity));
    TRY_VOID(remove_file_durably(pending_path(config)));
    auto client = control_client(config);
    const auto told = client.request("POST", "/joined", {}, "");
    const bool runs = told && told->status == 204;
    return fmt::format("this machine is host {} of cluster {}{}", host.str(), identity.cluster,
                       runs ? "" : "; now start it: systemctl enable --now axle-agent axle-guests");
}

Result<std::string> agent_status(const ServiceConfig& config, bool as_json) {
    auto client = control_client(config);
    auto answer = client.request("GET", "/status");
    if (!answer)
        return fail(error(Code::unavailable, "the agent does not run here: {}", answer.error().message)
                        .with_hint("systemctl start axle-agent"));
    if (as_json) return answer->body;
    TRY(state, parse_json(answer->body));
    const auto text = [&](const char* name) { return state.value(name, std::string{}); };
    if (!state.value("joined", false))
        return std::string("not joined: axle host token create, on the orchestrator, prints the line for this machine");
    std::string out = fmt::format("host         {} ({})\ncluster      {}\n", state["host"].value("name", ""),
                                  state["host"].value("id", ""), text("cluster"));
    if (state.value("connected", false))
        out += fmt::format("connected    {} (orchestrator {}), from {}\n", text("endpoint"), text("orchestrator"),
                           text("localAddress"));
    else
        out += fmt::format("connected    no: {}\n", text("lastError").empty() ? "trying" : text("lastError"));
    out += fmt::format("certificate  ends {}, renewed by itself", text("certificateEnds"));
    return out;
}

}  // namespace axle
