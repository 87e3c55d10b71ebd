#include "agent/migration/data_port.hpp"

#include "agent/migration/data_path.hpp"
#include "common/base/file.hpp"
#include "common/base/log.hpp"
#include "common/http/server.hpp"
#include "common/http/tls.hpp"
#include "common/link/host_uri.hpp"
#include "common/link/refusal.hpp"
#include "common/loop/workers.hpp"
#include "common/model/codec.hpp"

namespace axle {
namespace {

constexpr int kCopiesMax = 4, kThreads = kCopiesMax + 4;

Result<HostId> host_of(const http::Peer& peer) {
    if (!peer.certificate_problem.empty())
        return fail(
            error(Code::unauthenticated, "the certificate of this host is not taken: {}", peer.certificate_problem)
                .with_hint("compare the clocks of both hosts, and `axle-agent status` on each"));
    const auto host = host_in(peer.certificate_uris);
    if (!host) return fail(Code::unauthenticated, "this port is for hosts of this cluster, which show a certificate");
    if (!peer.tls13) return fail(Code::forbidden, "hosts speak TLS 1.3 with each other");
    return *host;
}

bool is_volume(std::string_view, std::string_view path) {
    const auto read = read_data_path(path);
    return read && read->volume;
}

}  // namespace

struct DataPort::Parts {
    Parts(Loop& l, DataPortHandlers h, std::string f) : io(l), handlers(std::move(h)), folder(std::move(f)) {}
    Loop& io;
    const DataPortHandlers handlers;
    const std::string folder;
    std::unique_ptr<Workers> workers;
    std::unique_ptr<http::Server> server;

    http::TlsFiles files() const { return {folder + "/host.pem", folder + "/host.key", folder + "/authority.pem"}; }
    Result<> write(const DataIdentity& identity) const;
    void handle(http::Request& request, http::Reply reply) const;
    void open(const DataPath& path, http::Reply reply) const;
    Result<> copy(const DataPath& path, const http::Request& request) const;
    Result<> hand_over(const DataPath& path, const http::Request& request) const;
};

Result<> DataPort::Parts::write(const DataIdentity& identity) const {
    TRY_VOID(http::check_key_pair({identity.certificate, identity.key}));
    TRY_VOID(make_directories(folder, 0700));
    const auto to = files();
    TRY_VOID(write_file_durably(to.client_authority, identity.authority));
    return http::write_key_pair({identity.certificate, identity.key}, to.certificate, to.key);
}

void DataPort::Parts::handle(http::Request& request, http::Reply reply) const {
    const auto refuse = [&](const Error& error) {
        log::warning(fmt::format("{} asks for {} {} and is refused: {}", request.peer->address, request.method,
                                 request.path.substr(0, 200), error.message));
        reply.send(refusal(error));
    };
    const auto host = host_of(*request.peer);
    if (!host) return refuse(host.error());
    const auto path = read_data_path(request.path);
    if (!path || request.method != method_of(*path))
        return refuse(error(Code::not_found, "there is no {} {:.200} here", request.method, request.path));
    const auto admitted = handlers.admit(*host, path->vm, request.headers.value(kTicketHeader), path->stream);
    if (!admitted) return refuse(admitted.error());
    if (is_duplex(*path)) return open(*path, std::move(reply));
    const auto done = path->volume ? copy(*path, request) : hand_over(*path, request);
    if (!done) return refuse(done.error());
    reply.send({.status = 204});
}

void DataPort::Parts::open(const DataPath& path, http::Reply reply) const {
    const auto state = make_stream_state(io);
    auto socket = reply.websocket(handlers_of(state), stream_options());
    if (socket) handlers.opened(path.vm, path.stream, ByteStream(state, std::move(*socket)));
}

Result<> DataPort::Parts::copy(const DataPath& path, const http::Request& request) const {
    if (!request.body_stream) return fail(Code::malformed, "a disk is sent as the body of the request");
    return handlers.volume(path.vm, *path.volume, *request.body_stream, request.headers.value(kSumHeader));
}

Result<> DataPort::Parts::hand_over(const DataPath& path, const http::Request& request) const {
    TRY(epoch, from_json_text<Epoch>(request.body));
    return handlers.handed_over(path.vm, epoch);
}

DataPort::DataPort(Loop& io, DataPortHandlers handlers, std::string folder)
    : parts_(std::make_unique<Parts>(io, std::move(handlers), std::move(folder))) {}
DataPort::~DataPort() {
    stop();
}

Result<int> DataPort::start(const std::string& address, int port, const DataIdentity& identity) {
    Parts& p = *parts_;
    TRY_VOID(p.write(identity));
    p.workers = std::make_unique<Workers>("data port", WorkersOptions{.threads = kThreads, .queue_max = 256});
    p.server = std::make_unique<http::Server>(
        p.io, *p.workers, [&p](http::Request request, http::Reply reply) { p.handle(request, std::move(reply)); },
        http::ServerOptions{.connections_max = 256,
                            .connections_per_address_max = 128,
                            .is_streamed = is_volume,
                            .uploads_max = kCopiesMax,
                            .reply_time = milliseconds{110'000}});
    auto listening = p.server->listen_tls(address, port, p.files());
    if (!listening) stop();
    return listening;
}

Result<> DataPort::renew(const DataIdentity& identity) {
    if (!parts_->server) return fail(Code::conflict, "the data port is not open");
    TRY_VOID(parts_->write(identity));
    return parts_->server->reload_certificates();
}

void DataPort::stop() {
    if (!parts_->server) return;
    parts_->server->stop(milliseconds{0});
    parts_->workers->stop();
    parts_->server.reset();
    parts_->workers.reset();
}

}  // namespace axle
