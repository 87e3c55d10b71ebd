#include "agent/migration/peer_migration.hpp"

#include <mutex>

#include "agent/hypervisor/live_move.hpp"
#include "agent/migration/data_client.hpp"
#include "agent/migration/incoming_moves.hpp"
#include "agent/migration/outgoing_moves.hpp"
#include "common/base/log.hpp"
#include "common/loop/workers.hpp"

namespace axle {

// What a guest's `told` is called by: set on the core thread, used there.
struct HandedOverSink {
    std::function<void(VmId, Epoch)> told;
};

struct PeerMigration::Parts {
    Parts(PeerMigrationOptions o, Loop& l, Executor& e)
        : options(std::move(o)),
          io(l),
          core(e),
          client(l, options.identity),
          incoming({.folder = options.folder,
                    .libvirt_socket = libvirt_socket_of(options.libvirt_uri),
                    .disks = options.disks,
                    .handed_over =
                        [this](VmId vm, Epoch epoch) {
                            core.post([sink = sink, vm, epoch] {
                                if (sink->told) sink->told(vm, epoch);
                            });
                        }},
                   l) {}

    const PeerMigrationOptions options;
    Loop& io;
    Executor& core;
    const std::shared_ptr<HandedOverSink> sink = std::make_shared<HandedOverSink>();
    const DataClient client;
    // A move holds a thread for as long as it takes; the connections that it opens, and all else, must not wait for it.
    Workers moves{"moves", {.threads = 4, .queue_max = 1024, .lane_running_max = 1}};
    Workers calls{"move calls", {.threads = 4, .queue_max = 1024, .lane_running_max = 1}};
    IncomingMoves incoming;
    std::mutex mutex;  // guards what follows
    std::unique_ptr<DataPort> data_port;
    std::string in_use;  // certificate and authority of the port
    int port = 0;
    std::map<VmId, std::shared_ptr<OutgoingMove>> outgoing;

    DataPortHandlers handlers();
    Result<> listen();
    void answer(Done done, Result<> result) const;
    void perform(const std::string& lane, std::function<Result<>()> work, Done done);
    void run(const std::shared_ptr<OutgoingMove>& move, VmId vm, const std::function<void(MoveProgress)>& progress,
             Done done);
    void stop();
};

DataPortHandlers PeerMigration::Parts::handlers() {
    return {.admit = [this](HostId from, VmId vm, const std::string& ticket,
                            const std::string& stream) { return incoming.admit(from, vm, ticket, stream); },
            .opened = [this](VmId vm, const std::string& stream,
                             ByteStream bytes) { incoming.opened(vm, stream, std::move(bytes)); },
            .volume = [this](VmId vm, VolumeId volume, http::BodyStream& body,
                             const std::string& sha256) { return incoming.take_volume(vm, volume, body, sha256); },
            .handed_over = [this](VmId vm, Epoch epoch) { return incoming.handed_over(vm, epoch); }};
}

Result<> PeerMigration::Parts::listen() {
    TRY(identity, options.identity());
    const std::lock_guard lock(mutex);
    const std::string shown = identity.certificate + identity.authority;
    if (data_port && shown == in_use) return {};
    if (data_port) {
        TRY_VOID(data_port->renew(identity));
    } else {
        auto made = std::make_unique<DataPort>(io, handlers(), options.folder + "/tls");
        TRY(bound, made->start(options.address, options.port, identity));
        data_port = std::move(made);
        port = bound;
        log::info(fmt::format("other hosts reach this one at port {}", port));
    }
    in_use = shown;
    return {};
}

void PeerMigration::Parts::answer(Done done, Result<> result) const {
    core.post([done = std::move(done), result = std::move(result)] { done(result); });
}

// On a worker; jobs of one lane in order.
void PeerMigration::Parts::perform(const std::string& lane, std::function<Result<>()> work, Done done) {
    const bool taken = calls.submit(lane, [this, work = std::move(work), done] { answer(done, work()); });
    if (!taken) answer(std::move(done), fail(Code::exhausted, "too much that has to do with moves is waiting"));
}

void PeerMigration::Parts::run(const std::shared_ptr<OutgoingMove>& move, VmId vm,
                               const std::function<void(MoveProgress)>& progress, Done done) {
    auto ended = move->run([this, &progress](MoveProgress now) { core.post([progress, now] { progress(now); }); });
    {
        const std::lock_guard lock(mutex);
        outgoing.erase(vm);
    }
    answer(std::move(done), std::move(ended));
}

void PeerMigration::Parts::stop() {
    std::unique_ptr<DataPort> closing;
    {
        const std::lock_guard lock(mutex);
        for (const auto& [vm, move] : outgoing) move->cancel();
        closing = std::move(data_port);
        port = 0;
    }
    closing.reset();
    moves.stop();
    calls.stop();
}

PeerMigration::PeerMigration(PeerMigrationOptions options, Loop& io, Executor& core)
    : parts_(std::make_shared<Parts>(std::move(options), io, core)) {}
PeerMigration::~PeerMigration() {
    parts_->stop();
}

Result<> PeerMigration::listen() {
    return parts_->listen();
}
int PeerMigration::port() const {
    const std::lock_guard lock(parts_->mutex);
    return parts_->port;
}

void PeerMigration::expect(MoveIn in, Done done) {
    const std::string lane = in.plan.document.id.str();
    parts_->perform(
        lane,
        [parts = parts_.get(), in = std::move(in)]() -> Result<> {
            TRY_VOID(parts->listen());
            return parts->incoming.expect(in);
        },
        std::move(done));
}

void PeerMigration::dismiss(VmId vm, Done done) {
    parts_->perform(
        vm.str(), [parts = parts_.get(), vm] { return parts->incoming.dismiss(vm); }, std::move(done));
}

void PeerMigration::on_handed_over(std::function<void(VmId, Epoch)> told) {
    parts_->sink->told = std::move(told);
}

void PeerMigration::send(MoveOut out, std::function<void(MoveProgress)> progress, Done done) {
    Parts* const parts = parts_.get();
    const VmId vm = out.plan.document.id;
    const auto move = std::make_shared<OutgoingMove>(OutgoingOptions{.folder = parts->options.folder,
                                                                     .libvirt_uri = parts->options.libvirt_uri,
                                                                     .guests = parts->options.disks.guests},
                                                     std::move(out), parts->client, parts->io, parts->calls);
    {
        const std::lock_guard lock(parts->mutex);
        if (!parts->outgoing.emplace(vm, move).second)
            return parts->answer(std::move(done), fail(Code::busy, "guest {} is on its way already", vm.str()));
    }
    const bool taken = parts->moves.submit(
        [parts, move, vm, progress = std::move(progress), done] { parts->run(move, vm, progress, done); });
    if (taken) return;
    const std::lock_guard lock(parts->mutex);
    parts->outgoing.erase(vm);
    parts->answer(std::move(done), fail(Code::exhausted, "too many guests are on their way already"));
}

void PeerMigration::cancel(VmId vm, Done done) {
    {
        const std::lock_guard lock(parts_->mutex);
        if (const auto found = parts_->outgoing.find(vm); found != parts_->outgoing.end()) found->second->cancel();
    }
    parts_->answer(std::move(done), {});
}

void PeerMigration::tell_handed_over(MoveOut out, Done done) {
    parts_->perform(
        "",
        [parts = parts_.get(), out = std::move(out)] {
            return parts->client.tell_handed_over(target_of(out.plan.document.id, out.move), out.move.epoch);
        },
        std::move(done));
}

}  // namespace axle
