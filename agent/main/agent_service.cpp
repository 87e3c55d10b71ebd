#include "agent/main/agent_service.hpp"

#include <future>
#include <thread>

#include <nlohmann/json.hpp>

#include "common/base/log.hpp"
#include "common/http/client.hpp"
#include "common/http/server.hpp"
#include "common/loop/workers.hpp"

namespace axle {
namespace {

constexpr milliseconds kGuestsOff{120'000};

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

}  // namespace

std::string control_socket(const ServiceConfig& config) {
    return config.run_directory + "/agent.sock";
}

AgentOptions agent_options(const ServiceConfig& config, const std::string& cluster) {
    return {.cluster = cluster,
            .state_folder = config.state_directory + "/agent",
            .host_folder = config.state_directory + "/host",
            .seeds_folder = config.state_directory + "/seeds",
            .log_folder = config.log_directory + "/guests",
            .run_folder = config.run_directory + "/guests",
            .libvirt_uri = config.libvirt_uri,
            .libvirt_definitions = config.libvirt_definitions,
            .accelerator = stated(config.accelerator),
            .data_port = static_cast<int>(config.data_port),
            .moves_folder = config.run_directory + "/moves"};
}

struct AgentService::Parts {
    Parts(const ServiceConfig& c, Loop& loop) : config(c), io(loop) {}
    const ServiceConfig config;
    Loop& io;
    Workers workers{"control", {.threads = 2}};
    Hooks hooks;
    std::unique_ptr<Agent> agent;
    std::unique_ptr<http::Server> control;

    void handle(const http::Request& request, http::Reply reply);
    void handle_vms(const http::Request& request, http::Reply reply) const;
    nlohmann::json vms() const;
};

// For root on this host, by the program's own subcommands.
void AgentService::Parts::handle(const http::Request& request, http::Reply reply) {
    if (request.method == "GET" && request.path == "/status" && hooks.status)
        return reply.send({.status = 200, .headers = {{"Content-Type", "application/json"}}, .body = hooks.status()});
    if (request.method == "POST" && request.path == "/joined" && hooks.joined) {
        reply.send({.status = 204});
        return hooks.joined();
    }
    if (request.path == "/vms" || request.path.starts_with("/vms/")) return handle_vms(request, std::move(reply));
    const bool down = request.path == "/host-going-down";
    if (request.method != "POST" || (!down && request.path != "/host-stays-up")) return reply.send({.status = 404});
    reply.set_deadline(kGuestsOff + milliseconds{30'000});
    const auto done = down ? agent->host_going_down(kGuestsOff) : agent->host_stays_up();
    reply.send({.status = done ? 204 : 500, .body = done ? "" : done.error().message});
}

nlohmann::json AgentService::Parts::vms() const {
    nlohmann::json out = nlohmann::json::array();
    for (const Agent::LocalVm& vm : agent->local_vms())
        out.push_back({{"id", vm.id},
                       {"name", vm.name},
                       {"state", vm.state},
                       {"power", vm.power},
                       {"waits", vm.waits},
                       {"cpus", vm.cpus},
                       {"memory", vm.memory},
                       {"console", vm.console}});
    return out;
}

void AgentService::Parts::handle_vms(const http::Request& request, http::Reply reply) const {
    if (request.method == "GET" && request.path == "/vms")
        return reply.send({.status = 200, .headers = {{"Content-Type", "application/json"}}, .body = vms().dump()});
    const std::string name(request.parameter("name").value_or(""));
    if (request.method == "GET" && request.path == "/vms/console") {
        const auto socket = agent->console_of(name);
        if (socket) return reply.send({.status = 200, .body = *socket});
        return reply.send(
            http::problem(404, name_of(socket.error().code), socket.error().message, socket.error().hint));
    }
    const bool starts = request.path == "/vms/start";
    if (request.method != "POST" || (!starts && request.path != "/vms/stop")) return reply.send({.status = 404});
    const auto done = agent->set_power(name, starts ? Power::running : Power::stopped,
                                       request.parameter("force").value_or("") == "true");
    if (done) return reply.send({.status = 204});
    reply.send(http::problem(done.error().code == Code::not_found ? 404 : 409, name_of(done.error().code),
                             done.error().message, done.error().hint));
}

AgentService::AgentService(const ServiceConfig& config, Loop& io) : parts_(std::make_unique<Parts>(config, io)) {}
AgentService::~AgentService() {
    stop();
}

Result<> AgentService::open(AgentOptions options, Hooks hooks) {
    parts_->hooks = std::move(hooks);
    TRY(made, Agent::make(std::move(options), parts_->io));
    parts_->agent = std::move(made);
    parts_->agent->start([ready = parts_->hooks.ready](Result<> read) {
        if (!read) log::error(fmt::format("the agent can't read its state and does nothing: {}", read.error().message));
        ready(std::move(read));
    });
    return {};
}

Result<> AgentService::listen() {
    parts_->control = std::make_unique<http::Server>(
        parts_->io, parts_->workers,
        [this](const http::Request& request, http::Reply reply) { parts_->handle(request, std::move(reply)); });
    return parts_->control->listen_unix(control_socket(parts_->config), 0600);
}

Agent& AgentService::agent() {
    return *parts_->agent;
}

void AgentService::stop() {
    if (parts_->control) parts_->control->stop(milliseconds{0});
    parts_->agent.reset();
    parts_->workers.stop();
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
