// One stream and one socket. All but the making of it is on the loop's thread.
#include "agent/migration/join.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include "agent/migration/unix_socket.hpp"

namespace axle {
namespace {

constexpr std::size_t kPiece = std::size_t{64} << 10;
constexpr int kPiecesAtOnce = 8;  // then the loop's others have their turn
constexpr milliseconds kDialEvery{50};
constexpr milliseconds kFirstLook{1}, kLastLook{16};  // for room in a stream that is full: doubled in between

bool is_not_yet(int error_number) {
    return error_number == ENOENT || error_number == ECONNREFUSED || error_number == EAGAIN || error_number == EINTR;
}

}  // namespace

struct Join::State : std::enable_shared_from_this<State> {
    State(Loop& l, ByteStream s, JoinOptions o, Ended e)
        : loop(l), stream(std::move(s)), options(std::move(o)), ended(std::move(e)) {}
    Loop& loop;
    ByteStream stream;
    JoinOptions options;
    Ended ended;
    std::string path;
    Fd fd;
    std::unique_ptr<IoWatch> watch;
    std::unique_ptr<Timer> dialling, room;
    milliseconds look = kFirstLook;
    BootTime dial_end{};
    std::string to_socket;
    std::size_t written = 0;  // of to_socket
    std::int64_t sent = 0;
    bool over = false, peer_is_done = false, socket_is_done = false, paused = false;

    void begin();
    void dial();
    void add_socket();
    void ready(bool readable, bool writable);
    void receive();
    void look_for_room();
    void take(std::string bytes);
    void socket_ended();
    void peer_ended(std::string reason);
    bool flush();
    void want();
    void end(std::string reason);
    std::size_t waiting() const { return to_socket.size() - written; }
};

void Join::State::begin() {
    if (over) return;
    if (fd) return add_socket();
    dial_end = loop.boot() + options.dial_time;
    dialling = std::make_unique<Timer>(loop, "join dial", [self = shared_from_this()] { self->dial(); });
    dial();
}

void Join::State::dial() {
    if (over) return;
    auto made = connect_unix(path);
    if (made) {
        fd = std::move(made->fd);
        if (fd) return add_socket();
        if (!is_not_yet(made->error_number) || loop.boot() >= dial_end)
            return end(system_error("connect to " + path, made->error_number).message);
        return dialling->start(kDialEvery);
    }
    end(made.error().message);
}

void Join::State::add_socket() {
    dialling.reset();
    const auto self = shared_from_this();  // kept by what follows until end()
    room = std::make_unique<Timer>(loop, "join room", [self] { self->look_for_room(); });
    watch = std::make_unique<IoWatch>(loop, "join", fd.get(), true, false,
                                      [self](bool readable, bool writable) { self->ready(readable, writable); });
    stream.start({.bytes = [self](std::string bytes) { self->take(std::move(bytes)); },
                  .ended = [self](std::string reason) { self->peer_ended(std::move(reason)); }});
}

void Join::State::ready(bool readable, bool writable) {
    const auto self = shared_from_this();
    if (writable && !over && !flush()) return;
    if (readable && !over && watch->wants_read()) receive();
}

void Join::State::receive() {
    std::string bytes;
    for (int i = 0; i < kPiecesAtOnce; ++i) {
        bytes.resize(kPiece);
        const ssize_t n = ::recv(fd.get(), bytes.data(), bytes.size(), 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (n == 0) return socket_ended();
        if (n < 0) return end(system_error("this host's side", errno).message);
        bytes.resize(static_cast<std::size_t>(n));
        if (options.to_peer) {
            auto passed = options.to_peer(std::move(bytes));
            if (!passed) return end(passed.error().message);
            bytes = std::move(*passed);
        }
        sent += n;
        if (!bytes.empty() && !stream.send(std::exchange(bytes, {}))) return;  // how it ended is told soon
        if (options.sent) options.sent(sent);
        if (stream.queued() < options.buffer_max) continue;
        look = kFirstLook;
        room->start(look);
        return want();
    }
}

// A stream doesn't tell when there is room again.
void Join::State::look_for_room() {
    if (over) return;
    if (stream.queued() < options.buffer_max / 2) return want();
    look = std::min(2 * look, kLastLook);
    room->start(look);
}

void Join::State::take(std::string bytes) {
    if (over || socket_is_done) return;
    if (options.to_socket) {
        auto passed = options.to_socket(std::move(bytes));
        if (!passed) return end(passed.error().message);
        bytes = std::move(*passed);
    }
    if (waiting() == 0) {
        to_socket = std::move(bytes);
        written = 0;
    } else {
        to_socket += bytes;
    }
    flush();
}

void Join::State::peer_ended(std::string reason) {
    if (over) return;
    if (!reason.empty() || waiting() == 0) return end(std::move(reason));
    peer_is_done = true;
}

// What it sent may still be on its way: the peer closes the stream when all has come.
void Join::State::socket_ended() {
    socket_is_done = true;
    to_socket.clear();
    written = 0;
    watch.reset();
    room->stop();
    fd.reset();
    if (std::exchange(paused, false)) stream.pause_reading(false);
    stream.finish();
}

bool Join::State::flush() {
    while (waiting() > 0) {
        const ssize_t n = ::send(fd.get(), to_socket.data() + written, waiting(), MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) break;
        if (n < 0) return end(system_error("this host's side", errno).message), false;
        written += static_cast<std::size_t>(n);
    }
    if (waiting() == 0) {
        to_socket.clear();
        written = 0;
        if (peer_is_done) return end(""), false;
    } else if (written > options.buffer_max) {
        to_socket.erase(0, std::exchange(written, 0));
    }
    const bool full = waiting() > (paused ? options.buffer_max / 2 : options.buffer_max);
    if (full != paused) stream.pause_reading(paused = full);
    want();
    return true;
}

void Join::State::want() {
    watch->want(!peer_is_done && !room->active(), waiting() > 0);
}

void Join::State::end(std::string reason) {
    if (std::exchange(over, true)) return;
    const auto self = shared_from_this();
    watch.reset();
    dialling.reset();
    room.reset();
    fd.reset();
    stream.close(reason);
    stream = {};
    options = {};
    if (const Ended tell = std::exchange(ended, {})) tell(std::move(reason));
}

std::shared_ptr<Join> Join::to_path(Loop& loop, ByteStream stream, const std::string& path, JoinOptions options,
                                    Ended ended) {
    auto state = std::make_shared<State>(loop, std::move(stream), std::move(options), std::move(ended));
    state->path = path;
    loop.post([state] { state->begin(); });
    return std::make_shared<Join>(state);
}

std::shared_ptr<Join> Join::to_fd(Loop& loop, ByteStream stream, Fd fd, JoinOptions options, Ended ended) {
    auto state = std::make_shared<State>(loop, std::move(stream), std::move(options), std::move(ended));
    state->fd = std::move(fd);
    loop.post([state] { state->begin(); });
    return std::make_shared<Join>(state);
}

void Join::cut(std::string why) {
    state_->loop.post([state = state_, why = std::move(why)] { state->end(why); });
}

}  // namespace axle
