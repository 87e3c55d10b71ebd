// Inside of common/http: what stands behind the handles of reply.hpp, between the threads that hold them and the loop.
#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "common/http/reply.hpp"
#include "common/loop/loop.hpp"

namespace axle::http {

class Connection;

// Which request of which connection an answer is for. Locked on the loop's thread only, so that a connection dies
// there.
struct Target {
    Loop* loop = nullptr;
    std::weak_ptr<Connection> connection;
    std::uint64_t serial = 0;
    milliseconds stall_time{60'000};
};

// A response as lines; the connection adds Date, Connection and the empty line.
struct Answer {
    std::string head;
    std::string body;
};
Answer to_answer(const Response& response, std::string body, bool is_head_request);

// Response body in pieces: filled by any thread, emptied by the connection.
class StreamQueue : public std::enable_shared_from_this<StreamQueue> {
  public:
    StreamQueue(Target target, std::size_t limit) : target_(std::move(target)), limit_(limit) {}

    // Any thread.
    bool write(std::string bytes);
    bool write_when_room(std::string bytes);
    void close();
    void abort(std::string why);
    void on_closed(std::function<void(std::string)> told);
    bool is_open() const;
    std::size_t queued() const;

    // Loop thread.
    struct Taken {
        std::deque<std::string> pieces;
        bool at_end = false;
    };
    Taken take();
    void sent(std::size_t still_unsent);  // by the connection, after each flush
    void ended(const std::string& why);   // nothing goes any more; idempotent

  private:
    bool push(std::string bytes, std::unique_lock<std::mutex>& lock);
    void wake(std::unique_lock<std::mutex>& lock);

    const Target target_;
    const std::size_t limit_;
    mutable std::mutex mutex_;  // guards the rest
    std::condition_variable room_;
    std::deque<std::string> waiting_;
    std::size_t queued_ = 0, unsent_ = 0;  // in waiting_; with the connection
    bool open_ = true, at_end_ = false, woken_ = false, over_ = false;
    std::string why_;
    std::function<void(std::string)> told_;
};

// Request body in pieces: filled by the connection, emptied by a worker.
class UploadQueue {
  public:
    UploadQueue(Target target, std::optional<std::int64_t> length) : target_(std::move(target)), length_(length) {}

    // Worker.
    Result<std::string> read();
    void drop();
    std::optional<std::int64_t> length() const { return length_; }

    // Loop thread. give: false when enough waits; the connection then pauses until wanted() comes to it.
    bool give(std::string piece);
    void finish();
    void abort(Code code, std::string why);

  private:
    static constexpr std::size_t kHigh = 1 << 20, kLow = 256 << 10;
    const Target target_;
    const std::optional<std::int64_t> length_;
    std::mutex mutex_;  // guards the rest
    std::condition_variable told_;
    std::deque<std::string> waiting_;
    std::size_t queued_ = 0;
    bool paused_ = true, finished_ = false, dropped_ = false;  // paused until the first read
    std::optional<Error> error_;
};

// The handle's side: when its last copy goes, the stream ends.
struct Stream::State {
    explicit State(std::shared_ptr<StreamQueue> given) : queue(std::move(given)) {}
    ~State() { queue->close(); }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    std::shared_ptr<StreamQueue> queue;
};

struct BodyStream::State {
    std::shared_ptr<UploadQueue> queue;
};

struct Reply::State {
    Target target;
    bool is_head_request = false;
    std::string websocket_key;      // of a proper handshake
    std::string websocket_refusal;  // why it is none
    bool wants_websocket = false;
};

}  // namespace axle::http
