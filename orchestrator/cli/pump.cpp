#include "orchestrator/cli/pump.hpp"

#include <cerrno>
#include <list>
#include <poll.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>
#include <vector>

#include "common/base/file.hpp"
#include "orchestrator/cli/terminal.hpp"

namespace axle::cli {
namespace {

constexpr std::size_t kPiece = 32 << 10;

bool write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) {
            pollfd ready{fd, POLLOUT, 0};
            if (::poll(&ready, 1, 60'000) <= 0) return false;
            continue;
        }
        if (n <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
}

// False: it is over. All messages that are there are taken.
Result<bool> take_messages(http::WebSocketClient& socket, int out_fd) {
    while (true) {
        auto message = socket.read(milliseconds{0});
        if (!message) {
            if (message.error().code == Code::gone && socket.close_code() == 1000) return false;
            return fail(std::move(message.error()));
        }
        if (!*message) return true;
        if (!write_all(out_fd, (*message)->data)) return false;
    }
}

enum class Input { more, ended, over };
Result<Input> send_input(http::WebSocketClient& socket, int in_fd, int escape) {
    char buffer[kPiece];
    const ssize_t n = ::read(in_fd, buffer, sizeof buffer);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return Input::more;
    if (n <= 0) return Input::ended;
    std::string_view bytes(buffer, static_cast<std::size_t>(n));
    const std::size_t at = escape < 0 ? std::string_view::npos : bytes.find(static_cast<char>(escape));
    bytes = bytes.substr(0, at);
    if (!bytes.empty()) TRY_VOID(socket.send(bytes, true));
    return at == std::string_view::npos ? Input::more : Input::over;
}

struct Tunnel {
    Fd local;
    http::WebSocketClient remote;
    bool local_ended = false;
};

// False: it is over.
bool serve(Tunnel& tunnel, short local_events, short remote_events) {
    if (remote_events != 0) {
        const auto open = take_messages(tunnel.remote, tunnel.local.get());
        if (!open || !*open) return false;
    }
    if (local_events == 0 || tunnel.local_ended) return true;
    const auto input = send_input(tunnel.remote, tunnel.local.get(), -1);
    if (!input) return false;
    tunnel.local_ended = *input == Input::ended;
    // Nobody reads there any more: a tunnel that is only half open helps nobody but TCP's own half-close.
    return !tunnel.local_ended || (local_events & POLLHUP) == 0;
}

}  // namespace

Result<> pump(http::WebSocketClient& socket, int in_fd, int out_fd, const PumpOptions& options) {
    bool input_open = true;
    while (!was_interrupted()) {
        pollfd fds[2] = {{socket.fd(), POLLIN, 0}, {input_open ? in_fd : -1, POLLIN, 0}};
        // Now and then without a reason: what TLS has read ahead doesn't show on the descriptor.
        if (::poll(fds, 2, 1000) < 0 && errno != EINTR) return fail(system_error("waiting for input", errno));
        TRY(open, take_messages(socket, out_fd));
        if (!open) return {};
        if (fds[1].revents == 0) continue;
        TRY(input, send_input(socket, in_fd, options.escape));
        if (input == Input::over) return socket.close(), Result<>{};
        input_open = input == Input::more;
    }
    socket.close();
    return {};
}

Result<> serve_tunnels(int listen_fd, const std::function<Result<http::WebSocketClient>()>& connect,
                       const std::function<void(const Error&)>& told) {
    std::list<Tunnel> tunnels;
    while (!was_interrupted()) {
        std::vector<pollfd> fds = {{listen_fd, POLLIN, 0}};
        for (const Tunnel& t : tunnels) {
            fds.push_back({t.local_ended ? -1 : t.local.get(), POLLIN, 0});
            fds.push_back({t.remote.fd(), POLLIN, 0});
        }
        const int ready = ::poll(fds.data(), fds.size(), 1000);
        if (ready < 0 && errno != EINTR) return fail(system_error("waiting for connections", errno));
        std::size_t at = 1;
        for (auto t = tunnels.begin(); t != tunnels.end(); at += 2) {
            const bool open = serve(*t, fds[at].revents, ready == 0 ? short{POLLIN} : fds[at + 1].revents);
            t = open ? std::next(t) : tunnels.erase(t);
        }
        if ((fds[0].revents & POLLIN) == 0) continue;
        Fd local(::accept4(listen_fd, nullptr, nullptr, SOCK_CLOEXEC));
        if (!local) continue;
        auto remote = connect();
        if (!remote)
            told(remote.error());
        else
            tunnels.push_back({std::move(local), std::move(*remote)});
    }
    return {};
}

struct RawTerminal::Saved {
    int fd;
    termios before;
};

RawTerminal::RawTerminal(int fd) {
    termios now{};
    if (::tcgetattr(fd, &now) != 0) return;
    saved_ = new Saved{fd, now};
    ::cfmakeraw(&now);
    ::tcsetattr(fd, TCSADRAIN, &now);
}

RawTerminal::~RawTerminal() {
    if (saved_ == nullptr) return;
    ::tcsetattr(saved_->fd, TCSADRAIN, &saved_->before);
    delete saved_;
}

}  // namespace axle::cli
