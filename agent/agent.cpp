#include "agent/agent.hpp"

#include <cstdlib>
#include <future>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include "agent/core/agent_core.hpp"
#include "agent/guest/guest_streams.hpp"
#include "agent/guest/serial_probe.hpp"
#include "agent/host/linux_host.hpp"
#include "agent/hypervisor/libvirt_hypervisor.hpp"
#include "agent/hypervisor/qemu_user.hpp"
#include "agent/migration/no_migration.hpp"
#include "agent/migration/peer_migration.hpp"
#include "agent/network/linux_network.hpp"
#include "agent/state/directory_state_files.hpp"
#include "agent/storage/directory_storage.hpp"
#include "common/base/addresses.hpp"
#include "common/base/file.hpp"
#include "common/base/now.hpp"
#include "common/loop/random.hpp"
#include "common/loop/workers.hpp"

namespace axle {
namespace {}  // namespace

Result<HostId> host_id_of(const AgentOptions& options) {
    SystemRandom random;
    const std::string path = options.state_folder + "/host-id";
    const auto text = read_file(path, 128);
    if (text) {
        const auto id = Uuid::parse(text->substr(0, 36));
        if (!id)
            return fail(error(Code::corrupt, "{} holds no id", path)
                            .with_hint("restore it from a backup; without it this host is a new one"));
        return HostId{*id};
    }
    if (text.error().code != Code::not_found) return fail(text.error());
    const HostId id{Uuid::make_v7(wall_now(), random)};
    TRY_VOID(write_file_durably(path, id.str() + "\n", 0644));
    return id;
}

namespace {

// QEMU makes its VNC socket itself, as its own user.
Result<> make_run_folder(const std::string& path, const std::optional<QemuUser>& user) {
    TRY_VOID(make_directories(path, 0711));
    if (user && ::chown(path.c_str(), user->uid, user->gid) != 0)
        return fail(system_error("give " + path + " to QEMU's user", errno));
    return {};
}

std::optional<FileOwner> guests_of(const std::optional<QemuUser>& user) {
    return user ? std::optional(FileOwner{user->uid, user->gid}) : std::nullopt;
}

// What is on disk is known only by starting again: the service manager does that.
void die(const Error& error) {
    log::error(fmt::format("the agent can't write its state and ends: {}", error.message));
    std::_Exit(1);
}

}  // namespace

bool agent_state_is_there(const AgentOptions& options) {
    const auto desired = list_directory(options.state_folder + "/desired");
    return desired && !desired->empty();
}

struct Agent::Parts {
    AgentOptions options;
    Loop& io;
    Loop core_loop{"agent core"};
    SystemRandom random;
    // Of its own: a libvirt that hangs holds threads, and disks and networks must not wait for them.
    Workers libvirt_workers{"libvirt", {.threads = 6, .lane_queue_max = 1024}};
    Workers workers{"agent", {.threads = 8, .queue_max = 4096, .lane_running_max = 1, .lane_queue_max = 1024}};
    std::unique_ptr<DirectoryStateFiles> files;
    std::unique_ptr<LibvirtHypervisor> hypervisor;
    std::unique_ptr<DirectoryStorage> storage;
    std::unique_ptr<LinuxNetwork> network;
    std::unique_ptr<PeerMigration> peers;  // null: this host takes part in no moves
    NoMigration no_migration{core_loop};
    std::unique_ptr<SerialProbe> probe;
    std::unique_ptr<LinuxHost> host;
    std::unique_ptr<AgentCore> core;
    std::unique_ptr<GuestStreams> streams;
    std::jthread thread;

    Parts(AgentOptions o, Loop& loop) : options(std::move(o)), io(loop) {}
    Result<> build();
    void make_migration(const std::optional<QemuUser>& qemu);
    int data_port() const;
    template <typename F>
    Result<> ask(F&& call);
};

void Agent::Parts::make_migration(const std::optional<QemuUser>& qemu) {
    if (!options.data_identity || options.data_port == 0) return;
    peers = std::make_unique<PeerMigration>(PeerMigrationOptions{.identity = options.data_identity,
                                                                 .folder = options.moves_folder,
                                                                 .libvirt_uri = options.libvirt_uri,
                                                                 .port = options.data_port,
                                                                 .disks = {.guests = guests_of(qemu)}},
                                            io, core_loop);
}

// Worker. A port that could not be opened is tried again whenever the host is looked at.
int Agent::Parts::data_port() const {
    if (!peers) return 0;
    if (const auto open = peers->listen(); !open)
        log::warning(fmt::format("guests can't move to this host: {}", open.error().message));
    return peers->port();
}

Result<> Agent::Parts::build() {
    for (const std::string& folder : {options.state_folder, options.seeds_folder, options.log_folder})
        TRY_VOID(make_directories(folder, 0711));
    const auto qemu = find_qemu_user();
    TRY_VOID(make_run_folder(options.run_folder, qemu));
    TRY(id, host_id_of(options));
    const AgentIdentity identity{.cluster = options.cluster,
                                 .host = id,
                                 .boot_id = read_boot_id(),
                                 .version = AXLE_VERSION,
                                 .instance = fmt::format("{:016x}", random.next()),
                                 .log_folder = options.log_folder,
                                 .run_folder = options.run_folder};
    files = std::make_unique<DirectoryStateFiles>(
        core_loop, DirectoryStateOptions{
                       .directory = options.state_folder, .reserve_bytes = options.reserve_bytes, .on_fatal = die});
    hypervisor = std::make_unique<LibvirtHypervisor>(LibvirtOptions{.uri = options.libvirt_uri,
                                                                    .definitions = options.libvirt_definitions,
                                                                    .moves_folder = options.moves_folder,
                                                                    .accelerator = options.accelerator},
                                                     io, libvirt_workers, core_loop);
    storage = std::make_unique<DirectoryStorage>(
        core_loop,
        [this](const std::string& lane, std::function<void()> job) {
            return workers.submit("storage " + lane, std::move(job));
        },
        DirectoryStorageOptions{.seeds_directory = options.seeds_folder,
                                .guest_files =
                                    [identity](VmId vm) {
                                        return std::vector{serial_log_path(identity, vm),
                                                           console_socket_path(identity, vm),
                                                           vnc_socket_path(identity, vm)};
                                    },
                                .pool = {.guests = guests_of(qemu), .fetch = options.fetch_image}});
    network = std::make_unique<LinuxNetwork>(LinuxNetworkOptions{options.host_folder}, io, workers, core_loop);
    make_migration(qemu);
    probe = std::make_unique<SerialProbe>([identity](VmId vm) { return serial_log_path(identity, vm); }, workers,
                                          core_loop);
    host = std::make_unique<LinuxHost>(workers, core_loop, std::vector<std::string>{options.state_folder},
                                       options.accelerator, [this] { return data_port(); });
    Migration& migration = peers ? static_cast<Migration&>(*peers) : no_migration;
    core = std::make_unique<AgentCore>(
        Seams{core_loop, random, *files, *hypervisor, *storage, *network, migration, *probe, *host,
              [](log::Level level, const std::string& text) { log::write(level, text); }},
        identity);
    GuestPaths paths{.console = [identity](VmId vm) { return console_socket_path(identity, vm); },
                     .vnc = [identity](VmId vm) { return vnc_socket_path(identity, vm); },
                     .log = [identity](VmId vm) { return serial_log_path(identity, vm); },
                     .device = [this](VmId vm, const std::string& address) -> Result<std::string> {
                         if (is_machine_address(address))
                             return fail(Code::forbidden, "{} is an address of the host itself", address);
                         return core->bridge_to(vm, address);
                     }};
    streams = std::make_unique<GuestStreams>(
        io, core_loop, std::move(paths), [this](Message&& m) { core->send_stream(std::move(m)); },
        [this](VmId vm, Answer<std::string> png) { hypervisor->screenshot(vm, std::move(png)); });
    core->on_stream([this](std::optional<Message> message) { streams->handle(std::move(message)); });
    thread = std::jthread([this] { core_loop.run(); });
    return {};
}

// Runs an operation of the core and waits for its answer, from another thread.
template <typename F>
Result<> Agent::Parts::ask(F&& call) {
    auto answer = std::make_shared<std::promise<Result<>>>();
    auto outcome = answer->get_future();
    core_loop.post([call = std::forward<F>(call), answer] {
        call([answer](Result<> result) { answer->set_value(std::move(result)); });
    });
    return outcome.get();
}

Agent::Agent(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Result<std::unique_ptr<Agent>> Agent::make(AgentOptions options, Loop& io) {
    auto parts = std::make_unique<Parts>(std::move(options), io);
    TRY_VOID(parts->build());
    return std::unique_ptr<Agent>(new Agent(std::move(parts)));
}

Agent::~Agent() {
    if (!parts_->thread.joinable()) return;
    parts_->core_loop.call([this] {
        parts_->streams.reset();
        parts_->core.reset();
    });
    parts_->workers.stop();
    parts_->peers.reset();
    parts_->libvirt_workers.stop();
    parts_->core_loop.stop();
    parts_->thread.join();
}

void Agent::start(Done ready) {
    parts_->core_loop.post([this, ready = std::move(ready)]() mutable { parts_->core->start(std::move(ready)); });
}
Loop& Agent::core() {
    return parts_->core_loop;
}
void Agent::connected(std::unique_ptr<Channel> channel) {
    parts_->core->connected(std::move(channel));
}

Result<> Agent::host_going_down(milliseconds limit) {
    return parts_->ask([this, limit](Done done) { parts_->core->host_going_down(limit, std::move(done)); });
}
Result<> Agent::host_stays_up() {
    return parts_->ask([this](Done done) { parts_->core->host_stays_up(std::move(done)); });
}
std::vector<Agent::LocalVm> Agent::local_vms() {
    std::vector<LocalVm> out;
    parts_->core_loop.call([&] {
        for (const VmKeeper::Kept& vm : parts_->core->vms().kept())
            out.push_back({vm.id.str(), vm.name, text_of(vm.state), text_of(vm.power), vm.waits, vm.cpus, vm.memory,
                           parts_->core->console_of(vm.id)});
    });
    return out;
}
Result<> Agent::set_power(const std::string& name, Power power, bool force) {
    return parts_->ask([=, this](Done done) { parts_->core->set_power(name, power, force, std::move(done)); });
}
Result<std::string> Agent::console_of(const std::string& name) {
    Result<std::string> out;
    parts_->core_loop.call([&] {
        const auto vm = parts_->core->find_vm(name);
        if (vm)
            out = parts_->core->console_of(*vm);
        else
            out = fail(vm.error());
    });
    return out;
}
void Agent::set_underlay(std::string address) {
    parts_->core_loop.post([parts = parts_.get(), address = std::move(address)] {
        if (parts->core) parts->core->set_underlay(address);
    });
}
void Agent::set_orchestrator(std::vector<std::string> endpoints) {
    parts_->core_loop.post([parts = parts_.get(), endpoints = std::move(endpoints)] {
        if (parts->core) parts->core->set_orchestrator(endpoints);
    });
}
Result<> Agent::remove_furniture() {
    return parts_->ask([this](Done done) { parts_->network->remove_all(std::move(done)); });
}

}  // namespace axle
