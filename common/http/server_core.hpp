// Inside of common/http: what the server's connections share.
#pragma once
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/http/connection.hpp"
#include "common/http/server.hpp"
#include "common/http/target_reader.hpp"
#include "common/http/ws_session.hpp"
#include "common/loop/workers.hpp"

namespace axle::http {

struct ServerCore;

class Listener {
  public:
    Listener(ServerCore& core, Fd fd, Peer::Kind kind, TlsContext context, TlsFiles files, std::string path);
    ~Listener();  // removes the socket's file
    void begin();
    Result<TlsContext> read_again() const { return server_context(files_); }
    void use(TlsContext context) { context_ = std::move(context); }
    bool is_tls() const { return kind_ == Peer::Kind::tls; }

  private:
    void accept_some();
    void pause();

    ServerCore& core_;
    Fd fd_;
    const Peer::Kind kind_;
    TlsContext context_;
    const TlsFiles files_;
    const std::string path_;
    std::unique_ptr<IoWatch> watch_;
    Timer resume_;
};

// Where sockets come from: any thread.
Result<Fd> listen_on_tcp(const std::string& address, int port);
Result<int> port_of(int fd);
Result<Fd> listen_on_unix(const std::string& path, unsigned mode, int group);

// Counts the requests that are with workers, so that stop() can wait for the last handler.
class InFlight {
  public:
    void enter() {
        const std::lock_guard lock(mutex_);
        ++count_;
    }
    void leave() {
        const std::lock_guard lock(mutex_);
        if (--count_ == 0) none_.notify_all();
    }
    void wait_for_none() {
        std::unique_lock lock(mutex_);
        none_.wait(lock, [&] { return count_ == 0; });
    }

  private:
    std::mutex mutex_;
    std::condition_variable none_;
    std::size_t count_ = 0;
};

struct ServerCore : std::enable_shared_from_this<ServerCore> {
    ServerCore(Loop& loop_given, Workers& workers_given, Handler handler_given, ServerOptions options_given);

    // Any thread.
    void run(Request request, std::unique_ptr<Reply::State> reply);
    [[nodiscard]] bool submit(Request request, std::unique_ptr<Reply::State> reply, bool is_upload);

    // Loop thread.
    void accepted(Fd fd, Peer peer, const TlsContext& context);
    bool may_enter(const Peer& peer);
    void make_places();
    void hold(std::size_t before, std::size_t now);  // bytes that one connection holds; may shed connections
    bool has_room_for(std::size_t body) const;
    std::shared_ptr<void> take_room(std::size_t body);  // of a request that goes to the workers
    void make_room();
    std::size_t in_work() const { return work_held->load(std::memory_order_relaxed); }
    bool tell_now(BootTime& told);
    void left(std::uint64_t id, const std::string& ip);  // a connection or a session
    void keep_session(std::uint64_t id, std::string ip, std::shared_ptr<WsSession> session);
    const std::string& date_line();
    void close_all();
    void kill_all();
    std::size_t open() const { return connections.size() + sessions.size(); }

    Loop& loop;
    Workers& workers;
    const Handler handler;
    const ServerOptions options;
    const TargetReader targets;
    std::unique_ptr<Workers> upload_workers;
    InFlight in_flight;
    std::atomic<bool> closing = false;
    std::atomic<std::uint64_t> stat_open = 0, stat_accepted = 0, stat_turned_away = 0, stat_requests = 0,
                               stat_refused = 0, stat_cut_off = 0, stat_shed = 0, stat_held = 0;
    // Bytes of requests' bodies that workers have; outlives this with the last of them.
    const std::shared_ptr<std::atomic<std::size_t>> work_held = std::make_shared<std::atomic<std::size_t>>(0);

    // Loop thread.
    std::vector<std::unique_ptr<Listener>> listeners;
    std::unordered_map<std::uint64_t, std::shared_ptr<Connection>> connections;
    std::unordered_map<std::uint64_t, std::shared_ptr<WsSession>> sessions;
    std::unordered_map<std::string, std::size_t> per_address;
    std::uint64_t last_id = 0;
    std::int64_t date_second = -1;
    std::string date_text;
    std::size_t held = 0;  // bytes that connections hold
    bool making_room = false;
    BootTime told_full{-60'000}, told_places{-60'000}, told_no_room{-60'000};

    std::mutex empty_mutex;
    std::condition_variable empty_told;
    bool empty = true;  // guarded by empty_mutex
};

}  // namespace axle::http
