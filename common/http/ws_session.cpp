#include "common/http/ws_session.hpp"

#include <algorithm>
#include <array>

#include "common/base/ensure.hpp"

namespace axle::http {

static constexpr milliseconds kCloseTime{5'000};  // for the peer's half of the closing handshake

bool WebSocket::send_text(std::string data) {
    return state_ && state_->link->send(std::move(data), false);
}
bool WebSocket::send_binary(std::string data) {
    return state_ && state_->link->send(std::move(data), true);
}
void WebSocket::close(int code, std::string reason) {
    if (state_) state_->link->close(code, std::move(reason));
}
void WebSocket::pause_reading(bool paused) {
    if (state_) state_->link->pause(paused);
}
bool WebSocket::is_open() const {
    return state_ && state_->link->is_open();
}
std::size_t WebSocket::queued() const {
    return state_ ? state_->link->queued() : 0;
}

void WsLink::wake(std::unique_lock<std::mutex>& lock) {
    if (woken_ || !attached_) return;  // begin() pulls what was sent before it
    woken_ = true;
    lock.unlock();
    loop_.post([self = shared_from_this()] {
        if (const auto session = self->session_.lock()) session->pull();
    });
}

bool WsLink::send(std::string data, bool binary) {
    std::unique_lock lock(mutex_);
    if (!open_) return false;
    if (queued_ + unsent_ > 0 && queued_ + unsent_ + data.size() > limit_) {
        open_ = false;
        next_.too_slow = true;
        wake(lock);
        return false;
    }
    queued_ += data.size();
    next_.messages.push_back({std::move(data), binary});
    wake(lock);
    return true;
}

void WsLink::close(int code, std::string reason) {
    std::unique_lock lock(mutex_);
    if (!open_) return;
    open_ = false;
    next_.closing = true;
    next_.code = code;
    next_.reason = std::move(reason);
    wake(lock);
}

void WsLink::pause(bool paused) {
    std::unique_lock lock(mutex_);
    if (next_.paused == paused) return;
    next_.paused = paused;
    wake(lock);
}

bool WsLink::is_open() const {
    const std::lock_guard lock(mutex_);
    return open_;
}

std::size_t WsLink::queued() const {
    const std::lock_guard lock(mutex_);
    return queued_ + unsent_;
}

void WsLink::attach(std::weak_ptr<WsSession> session) {
    const std::lock_guard lock(mutex_);
    session_ = std::move(session);
    attached_ = true;
}

WsLink::Taken WsLink::take() {
    const std::lock_guard lock(mutex_);
    woken_ = false;
    unsent_ += queued_;
    queued_ = 0;
    Taken taken = std::move(next_);
    next_ = {};
    next_.paused = taken.paused;
    return taken;
}

void WsLink::sent(std::size_t still_unsent) {
    const std::lock_guard lock(mutex_);
    unsent_ = still_unsent;
}

void WsLink::ended() {
    const std::lock_guard lock(mutex_);
    open_ = false;
    next_.messages.clear();
    queued_ = unsent_ = 0;
}

void tell_closed(WebSocketHandlers& handlers, WsLink& link, int code, const std::string& reason) {
    link.ended();
    // They may own the handle of this very WebSocket: they go before anything can be told twice.
    const WebSocketHandlers last = std::exchange(handlers, {});
    if (last.on_closed) last.on_closed(code, reason);
}

WsSession::WsSession(Loop& loop, Transport transport, WsFramer framer, WsStart start, std::function<void()> over)
    : loop_(loop),
      transport_(std::move(transport)),
      framer_(std::move(framer)),
      link_(std::move(start.link)),
      handlers_(std::move(start.handlers)),
      options_(std::move(start.options)),
      over_(std::move(over)),
      socket_(std::move(start.socket)),
      heard_(loop.boot()),
      spoke_(heard_),
      pinged_(heard_),
      watch_(loop, "websocket", transport_.fd(), false, false, [this](bool r, bool w) { ready(r, w); }),
      ping_(loop, "websocket ping", [this] { keep_alive(); }),
      closing_(loop, "websocket close", [this] { cut(1006, "no answer to the close frame"); }) {
    out_.append(std::move(start.head));
}

void WsSession::give(std::vector<WsMessage> messages) {
    for (auto& message : messages)
        if (!ended_ && handlers_.on_message) handlers_.on_message(std::move(message.data), message.binary);
}

void WsSession::begin(const std::string& first_in, std::vector<WsMessage> earlier) {
    link_->attach(weak_from_this());
    ping_.repeat(options_.ping_every);
    WebSocket socket = std::exchange(socket_, {});
    if (handlers_.on_open) handlers_.on_open(std::move(socket));
    if (!first_in.empty()) framer_.feed(first_in, earlier);
    give(std::move(earlier));
    pull();
}

void WsSession::pull() {
    if (ended_) return;
    auto taken = link_->take();
    if (paused_ && !taken.paused) heard_ = loop_.boot();  // what came meanwhile is read now
    paused_ = taken.paused;
    if (taken.too_slow) return cut(1008, "too slow");
    for (const auto& message : taken.messages) framer_.send(message.data, message.binary);
    // What is sent anyway takes a ping along, so that none has to be sent for itself.
    const milliseconds silent = loop_.boot() - std::max(heard_, pinged_);
    if (!taken.messages.empty() && silent > options_.ping_every / 2) ping();
    if (taken.closing) framer_.close(taken.code, taken.reason);
    settle();
}

void WsSession::close(int code, const std::string& reason) {
    if (ended_) return;
    framer_.close(code, reason);
    settle();
}

void WsSession::cut(int code, const std::string& reason) {
    if (std::exchange(ended_, true)) return;
    const auto keep = shared_from_this();
    watch_.want(false, false);
    ping_.stop();
    closing_.stop();
    tell_closed(handlers_, *link_, code, reason);
    std::exchange(over_, {})();
}

void WsSession::ready(bool readable, bool) {
    const auto keep = shared_from_this();
    if (readable && !ended_) receive();
    if (!ended_) settle();
}

void WsSession::receive() {
    std::array<char, 16384> bytes;
    for (int round = 0; round < 4 && !ended_ && !paused_; ++round) {
        const int got = transport_.read(bytes.data(), bytes.size());
        if (got == 0) return;
        if (got < 0) {
            settle();  // what the peer's close frame has set going
            return cut(framer_.received_close() != 0 ? framer_.received_close() : 1006, framer_.close_reason());
        }
        heard_ = loop_.boot();
        std::vector<WsMessage> messages;
        framer_.feed({bytes.data(), static_cast<std::size_t>(got)}, messages);  // a violation shows as a close frame
        give(std::move(messages));
    }
}

void WsSession::settle() {
    if (ended_) return;
    std::string more = framer_.take_output();
    if (!more.empty()) spoke_ = loop_.boot();
    out_.append(std::move(more));
    if (!out_.flush(transport_)) return cut(1006, "the connection was lost");
    link_->sent(out_.size());
    if (framer_.is_finished() && out_.empty()) {
        transport_.end_writing();
        const int code = framer_.received_close() != 0 ? framer_.received_close() : framer_.sent_close();
        return cut(code, framer_.close_reason());
    }
    if (framer_.is_closing() && !closing_.active()) closing_.start(kCloseTime);
    watch_.want(!paused_, !out_.empty());
}

// Who speaks is alive, and who is spoken to knows that we are: neither needs a ping.
void WsSession::keep_alive() {
    const milliseconds silent = loop_.boot() - heard_;
    if (!paused_ && silent > 3 * options_.ping_every) return cut(1006, "no answer to pings");
    if (silent < options_.ping_every && loop_.boot() - spoke_ < options_.ping_every) return;
    ping();
    settle();
}

void WsSession::ping() {
    pinged_ = loop_.boot();
    framer_.ping();
}

}  // namespace axle::http
