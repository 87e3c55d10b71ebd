#include "common/http/server.hpp"

#include <algorithm>
#include <ctime>
#include <sys/resource.h>

#include "common/base/ensure.hpp"
#include "common/base/log.hpp"
#include "common/http/server_core.hpp"

namespace axle::http {

// The others are for what else the process does: a full server can't make its store fail.
static ServerOptions with_files_left(ServerOptions options) {
    rlimit files{};
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY)
        options.connections_max = std::min<std::size_t>(options.connections_max, files.rlim_cur / 8 * 7);
    return options;
}

ServerCore::ServerCore(Loop& loop_given, Workers& workers_given, Handler handler_given, ServerOptions options_given)
    : loop(loop_given),
      workers(workers_given),
      handler(std::move(handler_given)),
      options(with_files_left(std::move(options_given))) {
    if (options.is_streamed)
        upload_workers = std::make_unique<Workers>(
            "uploads", WorkersOptions{.threads = options.uploads_max,
                                      .queue_max = static_cast<std::size_t>(options.uploads_max) * 8});
}

// A body that the handler would not find where it looks for it.
static std::optional<Response> refuse_body(const Request& request) {
    if (request.body.empty()) return std::nullopt;
    const std::string type = request.headers.value("Content-Type");
    if (type.starts_with("application/x-www-form-urlencoded"))
        return problem(415, "unsupported-media-type", "a body of type application/x-www-form-urlencoded is not taken",
                       "with curl add: -H 'Content-Type: application/json'");
    if (type.starts_with("multipart/"))
        return problem(415, "unsupported-media-type", "a body in parts is not taken",
                       "send the content itself as the body");
    const std::string encoding = request.headers.value("Content-Encoding");
    if (encoding.empty() || equal_ignoring_case(encoding, "identity")) return std::nullopt;
    return problem(415, "unsupported-media-type", fmt::format("a body with Content-Encoding {} is not taken", encoding),
                   "send it as it is");
}

void ServerCore::run(Request request, std::unique_ptr<Reply::State> state) {
    Reply reply(std::move(state));
    if (!targets.read(request.target, request))
        return reply.send(
            problem(400, "malformed", "the path and query can't be read", "write a ? in the query as %3F"));
    if (!request.body_stream)
        if (auto refusal = refuse_body(request)) return reply.send(std::move(*refusal));
    const std::string subject = request.method + " " + request.path;
    try {
        handler(std::move(request), std::move(reply));
    } catch (const std::exception& e) {  // the reply, gone with the stack, has answered 500
        log::error(fmt::format("the handler of {} threw: {}", subject, e.what()));
    }
}

bool ServerCore::submit(Request request, std::unique_ptr<Reply::State> reply, bool is_upload) {
    struct Job {
        Job(std::shared_ptr<ServerCore> owner, Request r, std::unique_ptr<Reply::State> s)
            : core(std::move(owner)), request(std::move(r)), reply(std::move(s)) {
            core->in_flight.enter();
        }
        ~Job() {
            request = {};  // a body stream tells its connection
            core->in_flight.leave();
        }
        Job(const Job&) = delete;
        Job& operator=(const Job&) = delete;
        std::shared_ptr<ServerCore> core;
        Request request;
        std::unique_ptr<Reply::State> reply;
    };
    auto job = std::make_shared<Job>(shared_from_this(), std::move(request), std::move(reply));
    auto run = [job] { job->core->run(std::move(job->request), std::move(job->reply)); };
    if (is_upload) return upload_workers->submit(std::move(run));
    // What takes long to read has a lane of its own, so that it can't have all workers.
    return job->request.room ? workers.submit("large bodies", std::move(run)) : workers.submit(std::move(run));
}

void ServerCore::accepted(Fd fd, Peer peer, const TlsContext& context) {
    if (!may_enter(peer)) return;
    if (!peer.ip.empty()) ++per_address[peer.ip];
    const std::uint64_t id = ++last_id;
    Transport transport = context ? Transport(std::move(fd), context, true) : Transport(std::move(fd));
    auto connection = std::make_shared<Connection>(*this, id, std::move(transport), std::move(peer));
    connections.emplace(id, connection);
    stat_accepted.fetch_add(1, std::memory_order_relaxed);
    stat_open.store(open(), std::memory_order_relaxed);
    {
        const std::lock_guard lock(empty_mutex);
        empty = false;
    }
    connection->begin();
}

void ServerCore::left(std::uint64_t id, const std::string& ip) {
    if (connections.erase(id) + sessions.erase(id) == 0) return;
    if (const auto found = per_address.find(ip); found != per_address.end() && --found->second == 0)
        per_address.erase(found);
    stat_open.store(open(), std::memory_order_relaxed);
    if (open() > 0) return;
    const std::lock_guard lock(empty_mutex);
    empty = true;
    empty_told.notify_all();
}

void ServerCore::keep_session(std::uint64_t id, std::string, std::shared_ptr<WsSession> session) {
    connections.erase(id);
    sessions.emplace(id, std::move(session));
}

const std::string& ServerCore::date_line() {
    static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const std::int64_t second = loop.wall().ms / 1000;
    if (second == date_second) return date_text;
    date_second = second;
    const std::time_t when = second;
    std::tm t{};
    gmtime_r(&when, &t);
    date_text = fmt::format("Date: {}, {:02} {} {} {:02}:{:02}:{:02} GMT\r\n", kDays[t.tm_wday], t.tm_mday,
                            kMonths[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
    return date_text;
}

void ServerCore::close_all() {
    closing = true;
    listeners.clear();
    const auto open_connections = connections;  // they leave the map while they close
    for (const auto& [id, connection] : open_connections) connection->close_when_idle();
    const auto open_sessions = sessions;
    for (const auto& [id, session] : open_sessions) session->close(1001, "the server stops");
}

void ServerCore::kill_all() {
    const auto open_connections = connections;
    for (const auto& [id, connection] : open_connections) connection->kill("the server stops");
    const auto open_sessions = sessions;
    for (const auto& [id, session] : open_sessions) session->cut(1001, "the server stops");
}

struct Server::Core : ServerCore {
    using ServerCore::ServerCore;
    Result<int> listen(const std::string& address, int port, Peer::Kind kind, TlsContext context, TlsFiles files);
    Result<> add(Fd fd, Peer::Kind kind, TlsContext context, TlsFiles files, std::string path);
};

Result<> Server::Core::add(Fd fd, Peer::Kind kind, TlsContext context, TlsFiles files, std::string path) {
    bool too_late = false;
    auto shared = std::make_shared<Fd>(std::move(fd));
    loop.call([&] {
        too_late = closing;
        if (too_late) return;
        listeners.push_back(std::make_unique<Listener>(*this, std::move(*shared), kind, std::move(context),
                                                       std::move(files), std::move(path)));
        listeners.back()->begin();
    });
    if (too_late) return fail(Code::unavailable, "the server is stopped");
    return {};
}

Result<int> Server::Core::listen(const std::string& address, int port, Peer::Kind kind, TlsContext context,
                                 TlsFiles files) {
    TRY(fd, listen_on_tcp(address, port));
    TRY(bound, port_of(fd.get()));
    TRY_VOID(add(std::move(fd), kind, std::move(context), std::move(files), {}));
    return bound;
}

Server::Server(Loop& loop, Workers& workers, Handler handler, ServerOptions options)
    : core_(std::make_shared<Core>(loop, workers, std::move(handler), std::move(options))) {}

Server::~Server() {
    stop(milliseconds{0});
}

Result<int> Server::listen_plain(const std::string& address, int port) {
    return core_->listen(address, port, Peer::Kind::plain, nullptr, {});
}

Result<int> Server::listen_tls(const std::string& address, int port, const TlsFiles& files) {
    TRY(context, server_context(files));
    return core_->listen(address, port, Peer::Kind::tls, context, files);
}

Result<> Server::listen_unix(const std::string& path, unsigned mode, int group) {
    TRY(fd, listen_on_unix(path, mode, group));
    return core_->add(std::move(fd), Peer::Kind::unix_socket, nullptr, {}, path);
}

Result<> Server::reload_certificates() {
    Result<> result;
    core_->loop.call([&] {  // a rare and small read: the loop does it
        for (const auto& listener : core_->listeners) {
            if (!listener->is_tls()) continue;
            auto context = listener->read_again();
            if (context)
                listener->use(std::move(*context));
            else
                result = fail(std::move(context.error()));
        }
    });
    return result;
}

void Server::stop(milliseconds grace) {
    Core& core = *core_;
    core.loop.call([&] { core.close_all(); });
    if (!core.loop.on_own_thread()) {
        std::unique_lock lock(core.empty_mutex);
        core.empty_told.wait_for(lock, grace, [&] { return core.empty; });
    }
    core.loop.call([&] { core.kill_all(); });
    core.in_flight.wait_for_none();
    if (core.upload_workers) core.upload_workers->stop();
}

ServerStats Server::stats() const {
    const Core& core = *core_;
    return {core.stat_open.load(),     core.stat_accepted.load(), core.stat_turned_away.load(),
            core.stat_requests.load(), core.stat_refused.load(),  core.stat_cut_off.load(),
            core.stat_shed.load(),     core.stat_held.load()};
}

}  // namespace axle::http
