// Bytes between descriptors and WebSockets, with poll(2): consoles and tunnels.
#pragma once
#include <functional>
#include <string>

#include "common/base/result.hpp"
#include "common/http/client.hpp"

namespace axle::cli {

struct PumpOptions {
    int escape = -1;  // a byte of input that ends it; -1: none
};
// Copies in_fd to the socket and the socket to out_fd until the socket closes, out_fd does, or the escape comes. The
// end of input doesn't end it: what the other side still says is heard.
Result<> pump(http::WebSocketClient& socket, int in_fd, int out_fd, const PumpOptions& options = {});

// Accepts on the descriptor and gives each connection a WebSocket of its own, until interrupted. A connection that
// can't be served is closed and told.
Result<> serve_tunnels(int listen_fd, const std::function<Result<http::WebSocketClient>()>& connect,
                       const std::function<void(const Error&)>& told);

// Terminal without line editing and echo while it lives; does nothing where fd is no terminal.
class RawTerminal {
  public:
    explicit RawTerminal(int fd);
    ~RawTerminal();
    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;

  private:
    struct Saved;
    Saved* saved_ = nullptr;
};

}  // namespace axle::cli
