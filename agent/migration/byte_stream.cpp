#include "agent/migration/byte_stream.hpp"

#include <utility>
#include <vector>

namespace axle {
namespace {

constexpr int kNormal = 1000, kTrouble = 1011;
constexpr const char* kAll = "all";      // the one text among binary messages
constexpr std::size_t kReasonMax = 120;  // of a close frame's 125 bytes

std::string words_of(int code, const std::string& reason) {
    if (code == kNormal) return "";
    if (!reason.empty()) return reason;
    if (code == 1006) return "the connection to the other host was cut";
    return fmt::format("the other host ended the connection (code {})", code);
}

}  // namespace

// Loop thread only.
struct ByteStream::State : std::enable_shared_from_this<State> {
    explicit State(Loop& l) : loop(l) {}
    Loop& loop;
    Handlers handlers;
    bool started = false, ended = false;
    std::string why;
    std::vector<std::string> early;

    void take(std::string bytes) {
        if (ended) return;
        give(std::move(bytes));
    }
    void give(std::string bytes) {
        if (!started) return early.push_back(std::move(bytes));
        if (handlers.bytes) handlers.bytes(std::move(bytes));
    }
    void end(std::string reason) {
        if (std::exchange(ended, true)) return;
        why = std::move(reason);
        if (started) tell_end();
    }
    void tell_end() {
        const Handlers last = std::exchange(handlers, {});
        if (last.ended) last.ended(why);
    }
    void begin(Handlers given) {
        started = true;
        handlers = std::move(given);
        for (auto& bytes : std::exchange(early, {})) give(std::move(bytes));
        if (ended) tell_end();
    }
};

ByteStream::ByteStream(std::shared_ptr<State> state, http::WebSocket socket)
    : state_(std::move(state)), socket_(std::move(socket)) {
    socket_.pause_reading(true);
}

void ByteStream::start(Handlers handlers) {
    state_->loop.post([state = state_, socket = socket_, handlers = std::move(handlers)]() mutable {
        state->begin(std::move(handlers));
        socket.pause_reading(false);
    });
}

bool ByteStream::send(std::string bytes) {
    return socket_.send_binary(std::move(bytes));
}
std::size_t ByteStream::queued() const {
    return socket_.queued();
}
void ByteStream::pause_reading(bool paused) {
    socket_.pause_reading(paused);
}
bool ByteStream::is_open() const {
    return socket_.is_open();
}

void ByteStream::finish() {
    socket_.send_text(kAll);
}

void ByteStream::close(const std::string& why) {
    socket_.close(why.empty() ? kNormal : kTrouble, why.substr(0, kReasonMax));
}

std::shared_ptr<ByteStream::State> make_stream_state(Loop& loop) {
    return std::make_shared<ByteStream::State>(loop);
}

http::WebSocketHandlers handlers_of(const std::shared_ptr<ByteStream::State>& state) {
    return {.on_message = [state](std::string data,
                                  bool binary) { binary ? state->take(std::move(data)) : state->end(""); },
            .on_closed = [state](int code, const std::string& reason) { state->end(words_of(code, reason)); }};
}

http::WebSocketOptions stream_options() {
    return {.protocol = "axle-data",
            .message_max = std::size_t{1} << 20,
            .queue_max = std::size_t{64} << 20,
            .ping_every = milliseconds{10'000}};
}

}  // namespace axle
