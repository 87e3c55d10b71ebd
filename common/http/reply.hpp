// How a handler answers: at once or later, from any thread, exactly once; with a whole response, a stream or a
// WebSocket. Handles may outlive the Server (they then reach nobody), but not its Loop.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/http/message.hpp"

namespace axle::http {

// A response body that comes in pieces: server-sent events, downloads. All methods from any thread. A copy is the same
// stream; when the last copy goes, the stream is closed.
class Stream {
  public:
    struct State;
    Stream() = default;  // closed
    explicit Stream(std::shared_ptr<State> state) : state_(std::move(state)) {}

    // Queues the bytes. False: nobody reads any more. When more than the limit waits, the reader is too slow: it is
    // cut off, with "too slow" as the reason.
    bool write(std::string bytes);
    // For workers: waits until there is room, so a slow reader slows the writer. False: nobody reads any more, or the
    // reader took nothing for the server's write_stall_time.
    bool write_when_room(std::string bytes);
    // A proper end: the client sees the body whole and the connection goes on. Idempotent.
    void close();
    // No proper end: the connection is cut, so that the client sees that something is missing. Idempotent.
    void abort(std::string why);
    // Called once on the loop's thread (post on, don't block) when the stream has ended. why: empty after close(). Set
    // it once; set after the end it is called soon.
    void on_closed(std::function<void(std::string why)> told);
    bool is_open() const;
    std::size_t queued() const;  // bytes not yet given to the kernel

  private:
    std::shared_ptr<State> state_;
};

struct StreamHead {
    int status = 200;
    Headers headers = {};                          // Content-Type above all
    std::optional<std::int64_t> length = {};       // known: sent as Content-Length, else chunked
    std::size_t queue_max = std::size_t{4} << 20;  // bytes
    bool endless = false;  // nothing may come for long: the client's end of file means that it left
};

// Called on the loop's thread, in order: post on, don't block. The handlers are dropped after on_closed.
class WebSocket;
struct WebSocketHandlers {
    std::function<void(std::string data, bool binary)> on_message;
    // Once. code: 1000 normal, 1001 going away, 1006 cut without a word, 1008 too slow, 1009 too big, ...
    std::function<void(int code, std::string reason)> on_closed;
    // Once, before any message, when the handshake is done: for a handler that answers. May be empty.
    std::function<void(WebSocket socket)> on_open = {};
};
struct WebSocketOptions {
    std::string protocol = {};                       // Sec-WebSocket-Protocol to answer; empty: none
    std::size_t message_max = std::size_t{1} << 20;  // received; a longer one ends the connection with 1009
    std::size_t queue_max = std::size_t{4} << 20;    // bytes to send; more: the peer is too slow and is cut off
    milliseconds ping_every{20'000};                 // nothing heard for three of these: gone
};

// All methods from any thread. A copy is the same connection; when the last copy goes, it is closed with 1000.
class WebSocket {
  public:
    struct State;
    WebSocket() = default;  // closed
    explicit WebSocket(std::shared_ptr<State> state) : state_(std::move(state)) {}

    bool send_text(std::string data);  // false: closed
    bool send_binary(std::string data);
    void close(int code = 1000, std::string reason = {});  // after what was sent. Idempotent
    void pause_reading(bool paused);                       // back-pressure towards the peer
    bool is_open() const;
    std::size_t queued() const;  // bytes not yet given to the kernel

  private:
    std::shared_ptr<State> state_;
};

// Move-only. Destroyed unanswered it answers 500. After send, stream or websocket it is spent; a second answer is a
// bug of the caller (ENSURE).
class Reply {
  public:
    struct State;
    explicit Reply(std::unique_ptr<State> state);
    Reply(Reply&&) noexcept;
    Reply& operator=(Reply&&) noexcept;
    ~Reply();

    void send(Response response);
    Stream stream(StreamHead head);
    // server-sent events: text/event-stream, not cached.
    Stream event_stream(std::size_t queue_max = std::size_t{4} << 20);
    // When the request is no proper WebSocket handshake it answers 400 or 426 itself and returns the error.
    Result<WebSocket> websocket(WebSocketHandlers handlers, WebSocketOptions options = {});

    // Counted from now, at most 10 min; default: ServerOptions::reply_time. When it passes the client gets a 504 with
    // code "timeout": the outcome is unknown. A later answer goes nowhere.
    void set_deadline(milliseconds from_now);
    bool answered() const { return state_ == nullptr; }

  private:
    std::unique_ptr<State> state_;
};

// The body of a streamed request (ServerOptions::is_streamed): pulled by the worker that handles it. Chunked or not,
// any size; at most 1 MiB of it is in memory. Dropped before its end, the rest is not read and the connection closes
// after the answer.
class BodyStream {
  public:
    struct State;
    explicit BodyStream(std::shared_ptr<State> state);
    ~BodyStream();
    BodyStream(const BodyStream&) = delete;
    BodyStream& operator=(const BodyStream&) = delete;

    // Blocks (workers only) until there are bytes. Empty: the end, all has come. Error (Code::malformed or timeout,
    // reason "upload-aborted"): the client went away, sent nonsense, or nothing for ServerOptions::upload_stall_time.
    Result<std::string> read();
    std::optional<std::int64_t> length() const;  // as announced; not for a chunked body

  private:
    std::shared_ptr<State> state_;
};

}  // namespace axle::http
