// Inside of common/http: a WebSocket that runs on a loop, of a server or of a client.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/http/out_queue.hpp"
#include "common/http/reply.hpp"
#include "common/http/transport.hpp"
#include "common/http/ws_framer.hpp"
#include "common/loop/loop.hpp"

namespace axle::http {

class WsSession;

// From any thread's handles to the session.
class WsLink : public std::enable_shared_from_this<WsLink> {
  public:
    WsLink(Loop& loop, std::size_t limit) : loop_(loop), limit_(limit) {}

    // Any thread.
    bool send(std::string data, bool binary);
    void close(int code, std::string reason);
    void pause(bool paused);
    bool is_open() const;
    std::size_t queued() const;

    // Loop thread.
    struct Taken {
        std::vector<WsMessage> messages;
        bool closing = false, too_slow = false, paused = false;
        int code = 1000;
        std::string reason;
    };
    void attach(std::weak_ptr<WsSession> session);
    Taken take();
    void sent(std::size_t still_unsent);
    void ended();

  private:
    void wake(std::unique_lock<std::mutex>& lock);

    Loop& loop_;
    const std::size_t limit_;
    mutable std::mutex mutex_;  // guards the rest
    std::weak_ptr<WsSession> session_;
    bool attached_ = false, open_ = true, woken_ = false;
    Taken next_;
    std::size_t queued_ = 0, unsent_ = 0;
};

struct WsStart {
    std::string head;  // of the 101 answer; empty for a client
    std::shared_ptr<WsLink> link;
    WebSocketHandlers handlers;
    WebSocketOptions options;
    WebSocket socket;  // the handle that on_open gets
};

// Loop thread only. Lives in its owner's hands until `over` has been called; then it is dropped.
class WsSession : public std::enable_shared_from_this<WsSession> {
  public:
    WsSession(Loop& loop, Transport transport, WsFramer framer, WsStart start, std::function<void()> over);
    // first_in: bytes that came behind the handshake; earlier: messages taken out of it before.
    void begin(const std::string& first_in, std::vector<WsMessage> earlier = {});
    void pull();
    void close(int code, const std::string& reason);
    void cut(int code, const std::string& reason);

  private:
    void ready(bool readable, bool writable);
    void receive();
    void give(std::vector<WsMessage> messages);
    void settle();
    void keep_alive();
    void ping();

    Loop& loop_;
    Transport transport_;
    WsFramer framer_;
    std::shared_ptr<WsLink> link_;
    WebSocketHandlers handlers_;
    const WebSocketOptions options_;
    std::function<void()> over_;
    WebSocket socket_;  // until on_open has it
    OutQueue out_;
    bool ended_ = false, paused_ = false;
    BootTime heard_, spoke_, pinged_;
    IoWatch watch_;
    Timer ping_, closing_;
};

struct WebSocket::State {
    explicit State(std::shared_ptr<WsLink> given) : link(std::move(given)) {}
    ~State() { link->close(1000, {}); }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    std::shared_ptr<WsLink> link;
};

void tell_closed(WebSocketHandlers& handlers, WsLink& link, int code, const std::string& reason);

}  // namespace axle::http
