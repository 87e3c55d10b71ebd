// A stream from or to another host, joined with a unix socket of this one: both ways, with bounded buffers. When one
// side ends, what it sent is passed on, then the other one is ended, too.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "agent/migration/byte_stream.hpp"
#include "agent/storage/pool_directory.hpp"
#include "common/base/file.hpp"
#include "common/loop/workers.hpp"

namespace axle {

struct JoinOptions {
    // What comes from the other host passes through it on its way to the socket, on the loop's thread, in order: it
    // gives back what is to be passed on now (it may keep some). An error ends both sides, with its words.
    std::function<Result<std::string>(std::string bytes)> to_socket = {};
    // The same for what the socket sends to the other host.
    std::function<Result<std::string>(std::string bytes)> to_peer = {};
    milliseconds dial_time{10'000};                     // how long a socket on which nobody listens is tried again
    std::size_t buffer_max = std::size_t{4} << 20;      // bytes each way; a bit more: what is on its way
    std::function<void(std::int64_t bytes)> sent = {};  // to the other host so far; on the loop's thread, often
};

class Join {
  public:
    // ended: once, on the loop's thread. Empty: a proper end of one of the two. Any thread; lives by itself until then.
    using Ended = std::function<void(std::string why)>;
    static std::shared_ptr<Join> to_path(Loop& loop, ByteStream stream, const std::string& path, JoinOptions options,
                                         Ended ended);
    static std::shared_ptr<Join> to_fd(Loop& loop, ByteStream stream, Fd fd, JoinOptions options, Ended ended);

    void cut(std::string why);  // any thread; idempotent. ended() comes later, unless it has come

    struct State;
    explicit Join(std::shared_ptr<State> state) : state_(std::move(state)) {}

  private:
    std::shared_ptr<State> state_;
};

// A unix socket of this host, each connection to which is joined with a stream of its own.
class LocalDoor {
  public:
    struct Hooks {
        std::function<Result<ByteStream>()> dial;   // on a worker
        std::function<JoinOptions()> options = {};  // of each connection; loop's thread
        // Of each connection, on the loop's thread: why it ended (empty: properly), or why it was not opened.
        std::function<void(std::string why)> ended = {};
    };
    // Any thread; blocks shortly. What was there under `path` is replaced. owner: QEMU's user; mode 0600. Loop and
    // workers outlive it.
    static Result<std::unique_ptr<LocalDoor>> open(Loop& loop, Workers& workers, const std::string& path,
                                                   std::optional<FileOwner> owner, Hooks hooks);
    ~LocalDoor();  // removes the socket, cuts what is open; blocks shortly. No hook is called after it
    LocalDoor(const LocalDoor&) = delete;
    LocalDoor& operator=(const LocalDoor&) = delete;

    struct State;
    explicit LocalDoor(std::shared_ptr<State> state) : state_(std::move(state)) {}

  private:
    std::shared_ptr<State> state_;
};

}  // namespace axle
