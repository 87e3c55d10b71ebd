// A small blocking HTTP client for the command line, the agent's first contact and tests: unix socket, HTTPS with a
// pinned certificate, HTTP. One thread at a time per object; every wait has a limit.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/http/message.hpp"
#include "common/http/reply.hpp"
#include "common/http/url.hpp"

namespace axle {
class Loop;
}

namespace axle::http {

struct ClientOptions {
    Endpoint endpoint;
    // https. At least one of the two is needed. authority: PEM text of the CA whose word counts; the certificate must
    // be for the endpoint's name or address. fingerprint: sha256 hex of the server's own certificate (then its names
    // don't matter) or of a CA in the chain that it sends (then they do).
    std::string authority = {};
    std::string fingerprint = {};
    // Instead of the endpoint's name, what the server's certificate must stand for (CertificateWish::uris). With
    // `authority`, or with `fingerprint` of a CA.
    std::string expected_uri = {};
    bool tls13_only = false;
    std::string certificate = {}, key = {};  // PEM text of our own (with its chain), for mutual TLS; empty: none
    std::string token = {};                  // sent as Authorization: Bearer
    milliseconds connect_time{10'000};
    milliseconds timeout{70'000};  // without a byte from the server; a stream may be silent for longer: see download
};

class WebSocketClient;

class Client {
  public:
    explicit Client(ClientOptions options);
    ~Client();
    Client(Client&&) noexcept;
    Client& operator=(Client&&) noexcept;

    // Errors: Code::unavailable (nobody there, TLS refused), timeout (sent, no answer: the outcome is unknown),
    // malformed. Any status is a success here. The connection is kept for the next request; a kept one that turns out
    // closed is dialled anew, if the request can be repeated (GET, HEAD, PUT, DELETE).
    Result<Response> request(std::string_view method, std::string_view target, const Headers& headers = {},
                             std::string_view body = {});

    // The body goes to `piece` as it comes, when the status is 2xx (else it is in the response). piece returns false
    // to stop; it is asked with nothing, too, when a signal came in a silence. silence: how long nothing may come; 0:
    // for ever.
    using Piece = std::function<bool(std::string_view bytes)>;
    Result<Response> download(std::string_view target, const Headers& headers, const Piece& piece,
                              milliseconds silence = milliseconds{0});

    // Sends what is read from fd, until its end; size known: with Content-Length, else chunked. progress: bytes sent
    // so far; false: it is given up (Code::conflict), and the connection cut. An early refusal of the server is
    // returned as its response.
    using Progress = std::function<bool(std::int64_t sent)>;
    Result<Response> upload(std::string_view method, std::string_view target, const Headers& headers, int fd,
                            std::optional<std::int64_t> size, const Progress& progress = {});

    // A connection of its own. A refusal (401, 404, ...) is an error whose `reason` is "http-STATUS" and whose message
    // holds the problem's detail.
    Result<WebSocketClient> websocket(std::string_view target, const Headers& headers = {},
                                      const WebSocketOptions& options = {});

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

struct WebSocketMessage {
    std::string data;
    bool binary = false;
};

// The client's end of a WebSocket. One thread at a time. Pings are answered inside read().
class WebSocketClient {
  public:
    struct Impl;
    explicit WebSocketClient(std::unique_ptr<Impl> impl);
    ~WebSocketClient();
    WebSocketClient(WebSocketClient&&) noexcept;
    WebSocketClient& operator=(WebSocketClient&&) noexcept;

    // Poll it for reading; then call read(0) until it gives nothing.
    int fd() const;
    // Waits up to `wait` for a message. nullopt: none yet. Error Code::gone: closed, with code and reason in the
    // message.
    Result<std::optional<WebSocketMessage>> read(milliseconds wait);
    Result<> send(std::string_view data, bool binary);  // blocks while the peer doesn't take it, up to the timeout
    void close(int code = 1000, std::string_view reason = {});
    int close_code() const;  // that the peer gave; 0 while open, 1006: cut without a word

    // Gives the connection to a loop, which serves it like a server's WebSocket; this object is spent. Any thread.
    WebSocket hand_over(Loop& loop, WebSocketHandlers handlers);

  private:
    std::unique_ptr<Impl> impl_;
};

// What a server shows before anything is trusted: for `axle login`, which lets a person compare.
struct ShownCertificate {
    std::string fingerprint;            // of the server's own certificate
    std::string authority_fingerprint;  // of the last certificate of its chain
    std::string authority;              // PEM of that
    std::string subject;
};
Result<ShownCertificate> fetch_certificate(const Endpoint& endpoint, milliseconds connect_time = milliseconds{10'000});

}  // namespace axle::http
