// Bytes between two hosts, both ways, over a WebSocket on the agents' mutual TLS.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "common/http/reply.hpp"
#include "common/loop/loop.hpp"

namespace axle {

// Methods from any thread. A copy is the same stream; when the last copy goes, it is closed.
class ByteStream {
  public:
    struct State;
    // On the loop's thread, in order; dropped after `ended`, which comes once.
    struct Handlers {
        std::function<void(std::string bytes)> bytes;
        std::function<void(std::string why)> ended;  // empty: the peer has said that this was all, or closed it
    };
    ByteStream() = default;  // closed
    ByteStream(std::shared_ptr<State> state, http::WebSocket socket);

    // Once. Before it nothing is read, and what came meanwhile (an end, too) is told then.
    void start(Handlers handlers);
    // False: closed. No limit of ours below 64 MiB: look at queued() before more is read from wherever it comes from.
    bool send(std::string bytes);
    std::size_t queued() const;       // bytes not yet given to the kernel
    void pause_reading(bool paused);  // back-pressure towards the peer; after start()
    // Says that this was all: the peer is told after all that was sent before. The peer then closes, when it has made
    // use of it. (A close alone would not wait for a peer that is slow to take what came before.)
    void finish();
    void close(const std::string& why = {});  // after what was sent. Idempotent
    bool is_open() const;
    // Gone when the connection is and no copy of this is left: then the loop may be stopped.
    std::weak_ptr<void> life() const { return state_; }

  private:
    std::shared_ptr<State> state_;
    http::WebSocket socket_;
};

// How one is made: the state, its handlers given to the WebSocket, then the ByteStream of both.
std::shared_ptr<ByteStream::State> make_stream_state(Loop& loop);
http::WebSocketHandlers handlers_of(const std::shared_ptr<ByteStream::State>& state);
http::WebSocketOptions stream_options();

}  // namespace axle
