// The client's end of a WebSocket: blocking, or handed over to a loop.
#include <deque>
#include <poll.h>

#include <nlohmann/json.hpp>

#include "common/base/ensure.hpp"
#include "common/http/client_response.hpp"
#include "common/http/ws_session.hpp"

namespace axle::http {

struct WebSocketClient::Impl {
    Impl(Wire given, const WebSocketOptions& wish, milliseconds time)
        : wire(std::move(given)), framer(false, wish.message_max), options(wish), timeout(time) {}
    Result<> flush();
    bool take_bytes();
    Error closed_error() const;

    Wire wire;
    WsFramer framer;
    const WebSocketOptions options;
    const milliseconds timeout;
    std::deque<WsMessage> messages;
    int close_code = 0;
};

Result<> WebSocketClient::Impl::flush() {
    const std::string out = framer.take_output();
    return out.empty() ? Result<>{} : wire.write(out, timeout);
}

bool WebSocketClient::Impl::take_bytes() {
    std::vector<WsMessage> got;
    framer.feed(wire.in, got);
    wire.in.clear();
    for (auto& message : got) messages.push_back(std::move(message));
    const bool sent = flush().has_value();
    if (framer.received_close() != 0) close_code = framer.received_close();
    return sent;
}

Error WebSocketClient::Impl::closed_error() const {
    if (close_code == 1006) return error(Code::gone, "the connection was cut (1006)");
    return error(Code::gone, "closed by the server: {} ({})",
                 framer.close_reason().empty() ? "no reason given" : framer.close_reason(), close_code);
}

WebSocketClient::WebSocketClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
WebSocketClient::WebSocketClient(WebSocketClient&&) noexcept = default;
WebSocketClient& WebSocketClient::operator=(WebSocketClient&&) noexcept = default;
WebSocketClient::~WebSocketClient() {
    if (impl_) close();
}

int WebSocketClient::fd() const {
    return impl_->wire.transport.fd();
}
int WebSocketClient::close_code() const {
    return impl_->close_code;
}

Result<std::optional<WebSocketMessage>> WebSocketClient::read(milliseconds wait) {
    Impl& in = *impl_;
    // What came with the answer to the handshake.
    if (!in.wire.in.empty() && !in.take_bytes() && in.close_code == 0) in.close_code = 1006;
    if (in.messages.empty() && in.close_code == 0) {
        // At most one wait: a ping that comes ends it early.
        const bool ready = in.wire.is_readable() || (wait.count() > 0 && wait_for(fd(), POLLIN, wait));
        if (!ready) return std::nullopt;
        const auto filled = in.wire.fill(milliseconds{1});
        if (!filled && filled.error().code == Code::timeout) return std::nullopt;  // part of a TLS record
        if (!filled || !*filled) in.close_code = 1006;
        if (!in.take_bytes() && in.close_code == 0) in.close_code = 1006;
    }
    if (in.messages.empty()) {
        if (in.close_code != 0) return fail(in.closed_error());
        return std::nullopt;
    }
    WebSocketMessage message{std::move(in.messages.front().data), in.messages.front().binary};
    in.messages.pop_front();
    return message;
}

Result<> WebSocketClient::send(std::string_view data, bool binary) {
    Impl& in = *impl_;
    if (in.close_code != 0) return fail(in.closed_error());
    if (!in.framer.send(data, binary)) return fail(Code::gone, "the connection is closing");
    return in.flush();
}

void WebSocketClient::close(int code, std::string_view reason) {
    Impl& in = *impl_;
    in.framer.close(code, reason);
    if (in.close_code == 0 && !in.flush()) in.close_code = 1006;
}

WebSocket WebSocketClient::hand_over(Loop& loop, WebSocketHandlers handlers) {
    const std::shared_ptr<Impl> in = std::move(impl_);
    auto link = std::make_shared<WsLink>(loop, in->options.queue_max);
    const WebSocket socket(std::make_shared<WebSocket::State>(link));
    auto start = std::make_shared<WsStart>(WsStart{{}, link, std::move(handlers), in->options, socket});
    loop.post([in, start, &loop] {
        // The session owns itself until it is over.
        auto owner = std::make_shared<std::shared_ptr<WsSession>>();
        auto over = [owner, &loop] { loop.post([session = std::move(*owner)] {}); };
        *owner = std::make_shared<WsSession>(loop, std::move(in->wire.transport), std::move(in->framer),
                                             std::move(*start), std::move(over));
        const auto session = *owner;
        session->begin(std::move(in->wire.in), {in->messages.begin(), in->messages.end()});
    });
    return socket;
}

// The problem's own sentence and hint, where the answer is one.
static Error read_refusal(Wire& wire, const Response& answer) {
    constexpr std::size_t kBodyMax = 64 << 10;
    std::string body;
    const Client::Piece keep = [&](std::string_view bytes) {
        body += bytes.substr(0, kBodyMax - body.size());
        return body.size() < kBodyMax;
    };
    (void)read_response_body(wire, answer, keep, milliseconds{1000});  // what has come of it may tell
    const auto problem = nlohmann::json::parse(body, nullptr, false);
    const auto text = [&](const char* key) {
        return problem.is_object() && problem.contains(key) && problem[key].is_string()
                   ? problem[key].get<std::string>()
                   : std::string();
    };
    std::string detail = text("detail");
    if (detail.empty())
        detail =
            fmt::format("the server refused the WebSocket with {} {}", answer.status, reason_phrase(answer.status));
    return error(answer.status == 404 ? Code::not_found : Code::unavailable, "{}", detail).with_hint(text("hint"));
}

Result<WebSocketClient> open_websocket(const ClientOptions& options, std::string head, const WebSocketOptions& wish) {
    TRY(wire, Wire::dial(options));
    const std::string key = websocket_key();
    head += fmt::format(
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n", key);
    if (!wish.protocol.empty()) head += "Sec-WebSocket-Protocol: " + wish.protocol + "\r\n";
    TRY_VOID(wire.write(head + "\r\n", options.timeout));
    TRY(answer, read_response_head(wire, options.timeout));
    if (answer.status != 101) {
        Error refused = read_refusal(wire, answer);
        return fail(std::move(refused).with_reason(fmt::format("http-{}", answer.status)));
    }
    if (answer.headers.value("Sec-WebSocket-Accept") != websocket_accept(key))
        return fail(Code::malformed, "the server answered the WebSocket handshake wrongly");
    auto impl = std::make_unique<WebSocketClient::Impl>(std::move(wire), wish, options.timeout);
    return WebSocketClient(std::move(impl));
}

}  // namespace axle::http
