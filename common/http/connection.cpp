// What comes in: handshake, requests, streamed bodies.
#include "common/http/connection.hpp"

#include <array>

#include "common/base/ensure.hpp"
#include "common/http/server_core.hpp"

namespace axle::http {

static BodyRule body_rule(const ServerOptions& options, const RequestHead& head) {
    BodyRule rule;
    if (options.is_streamed && options.is_streamed(head.method, head.path())) rule.streamed = true;
    if (options.body_limit) rule.limit = options.body_limit(head.method, head.path());
    return rule;
}

Connection::Connection(ServerCore& core, std::uint64_t id, Transport transport, Peer peer)
    : core_(core),
      id_(id),
      transport_(std::move(transport)),
      peer_(std::make_shared<Peer>(std::move(peer))),
      ip_(peer_->ip),
      phase_(transport_.is_tls() ? Phase::handshake : Phase::reading),
      framer_([&options = core.options](const RequestHead& head) { return body_rule(options, head); }),
      reply_time_(core.options.reply_time),
      timer_(core.loop, "connection timer", [this] { late(); }) {}

Connection::~Connection() = default;

void Connection::begin() {
    watch_ = std::make_unique<IoWatch>(core_.loop, "connection", transport_.fd(), true, false,
                                       [this](bool readable, bool) { ready(readable); });
    arm();
}

void Connection::ready(bool readable) {
    const auto keep = shared_from_this();
    if (phase_ == Phase::handshake) return shake_hands();
    if (readable) receive();
    if (phase_ == Phase::dead) return;
    advance();
    settle();
}

void Connection::shake_hands() {
    switch (transport_.handshake()) {
        case Transport::Handshake::want_read:
            return watch_->want(true, false);
        case Transport::Handshake::want_write:
            return watch_->want(false, true);
        case Transport::Handshake::failed:
            return kill("the TLS handshake failed");
        case Transport::Handshake::done:
            break;
    }
    Peer peer = *peer_;
    const PeerCertificate shown = peer_certificate(transport_.ssl());
    peer.certificate_name = shown.name;
    peer.certificate_fingerprint = shown.fingerprint;
    peer.certificate_uris = shown.uris;
    peer.certificate_from_ms = shown.not_before_ms;
    peer.certificate_problem = shown.problem;
    peer.tls13 = is_tls13(transport_.ssl());
    peer_ = std::make_shared<Peer>(std::move(peer));
    phase_ = Phase::reading;
    ready(true);
}

void Connection::receive() {
    std::array<char, 16384> bytes;
    for (int round = 0; round < 4 && should_read(); ++round) {
        const int got = transport_.read(bytes.data(), bytes.size());
        if (got == 0) return;
        if (got == Transport::kBroken || (got == Transport::kEnd && phase_ == Phase::lingering))
            return kill("the connection was lost");
        if (got == Transport::kEnd) {
            eof_ = true;  // the other direction may still be open: a half-closed client gets its answer
            if (phase_ == Phase::streaming && stream_start_.endless) kill("the client went away");
            return;
        }
        if (phase_ == Phase::lingering) continue;
        if (upload_) waiting_ = Wait::nothing;  // the stall timer begins anew
        framer_.feed({bytes.data(), static_cast<std::size_t>(got)});
        if (upload_) advance();  // so that a paused worker stops the reading
        if (phase_ == Phase::dead) return;
    }
}

bool Connection::should_read() const {
    switch (phase_) {
        case Phase::handshake:
        case Phase::lingering:
            return true;
        case Phase::reading:
            return !eof_ && out_.size() < kAheadMax;
        case Phase::busy:
            return !eof_ && (upload_ ? !upload_paused_ : framer_.buffered() < kAheadMax);
        case Phase::streaming:
            return !eof_ && framer_.buffered() < kAheadMax;
        case Phase::closing:
        case Phase::dead:
            break;
    }
    return false;
}

void Connection::advance() {
    held_back_ = false;
    while (phase_ == Phase::reading || (phase_ == Phase::busy && upload_ && !upload_paused_)) {
        held_back_ = phase_ == Phase::reading && out_.size() >= kAheadMax;
        if (held_back_) return;
        switch (framer_.next()) {
            case Framer::Event::need_more:
                return starved();
            case Framer::Event::head:
                begin_upload();
                break;
            case Framer::Event::piece:
                upload_paused_ = !upload_->give(framer_.take_piece());
                break;
            case Framer::Event::complete:
                if (upload_)
                    end_upload(true, Code::internal, {});
                else
                    dispatch();
                break;
            case Framer::Event::refused:
                return refused();
        }
    }
}

void Connection::starved() {
    if (!upload_ && !eof_ && framer_.take_wants_continue()) out_.append("HTTP/1.1 100 Continue\r\n\r\n");
    if (!eof_) return;
    if (upload_)
        end_upload(false, Code::malformed, "the client went away");
    else
        phase_ = Phase::closing;
}

void Connection::refused() {
    core_.stat_refused.fetch_add(1, std::memory_order_relaxed);
    const Refusal& refusal = framer_.refusal();
    if (upload_) return end_upload(false, Code::malformed, refusal.why);  // its handler answers
    answer_now(problem(refusal.status, refusal.status == 413 ? "too-large" : "malformed", refusal.why), false);
}

std::unique_ptr<Reply::State> Connection::next_reply(const RequestHead& head) {
    phase_ = Phase::busy;
    keep_open_ = head.keep_alive;
    reply_time_ = core_.options.reply_time;
    core_.stat_requests.fetch_add(1, std::memory_order_relaxed);
    auto reply = std::make_unique<Reply::State>();
    reply->target = {&core_.loop, weak_from_this(), ++serial_, core_.options.write_stall_time};
    reply->is_head_request = head.method == "HEAD";
    const Headers& h = head.headers;
    reply->wants_websocket = h.lists("Upgrade", "websocket") && h.lists("Connection", "upgrade");
    reply->websocket_key = h.value("Sec-WebSocket-Key");
    if (head.method != "GET" || head.has_body() || !reply->wants_websocket)
        reply->websocket_refusal =
            "this address speaks WebSocket: GET with Connection: Upgrade, Upgrade: websocket is needed";
    else if (h.value("Sec-WebSocket-Version") != "13")
        reply->websocket_refusal = "the only Sec-WebSocket-Version spoken is 13";
    else if (reply->websocket_key.size() != 24)
        reply->websocket_refusal = "Sec-WebSocket-Key is not 16 bytes in base64";
    return reply;
}

Request Connection::to_request(RequestHead head) {
    Request request;
    request.method = std::move(head.method);
    request.target = std::move(head.target);
    request.headers = std::move(head.headers);
    request.peer = peer_;
    request.connection = id_;
    return request;
}

void Connection::dispatch() {
    auto reply = next_reply(framer_.head());
    Request request = to_request(framer_.take_head());
    request.body = framer_.take_body();
    if (!core_.has_room_for(request.body.size())) {
        core_.stat_shed.fetch_add(1, std::memory_order_relaxed);
        return answer_now(no_room("too many large requests are being worked on"), false);
    }
    request.room = core_.take_room(request.body.size());
    if (core_.submit(std::move(request), std::move(reply), false)) return;
    Response busy = problem(503, "busy", "too many requests are waiting", "try again in a second");
    busy.headers.add("Retry-After", "1");
    answer_now(busy, false);
}

Response Connection::no_room(const std::string& why) {
    Response busy = problem(503, "busy", why, "try again in a few seconds");
    busy.headers.add("Retry-After", "5");
    return busy;
}

void Connection::begin_upload() {
    auto reply = next_reply(framer_.head());
    std::optional<std::int64_t> length;
    if (!framer_.head().chunked) length = framer_.head().length.value_or(0);
    upload_ = std::make_shared<UploadQueue>(reply->target, length);
    upload_paused_ = true;  // until the worker asks: a refusal comes before the body
    Request request = to_request(framer_.head());
    request.body_stream = std::make_shared<BodyStream>(std::make_shared<BodyStream::State>(BodyStream::State{upload_}));
    if (core_.submit(std::move(request), std::move(reply), true)) return;
    Response busy = problem(503, "busy", "too many uploads are waiting", "try again in a minute");
    busy.headers.add("Retry-After", "60");
    answer_now(busy, false);
}

void Connection::end_upload(bool whole, Code code, const std::string& why) {
    const auto upload = std::exchange(upload_, nullptr);
    if (!upload) return;
    if (whole) return upload->finish();
    upload->abort(code, why);
    keep_open_ = false;  // where the next request would begin is not known
}

void Connection::want_upload(std::uint64_t serial) {
    if (serial != serial_ || !upload_ || phase_ != Phase::busy) return;
    upload_paused_ = false;
    waiting_ = Wait::nothing;
    if (framer_.buffered() == 0 && framer_.take_wants_continue()) out_.append("HTTP/1.1 100 Continue\r\n\r\n");
    advance();
    settle();
}

void Connection::drop_upload(std::uint64_t serial) {
    if (serial != serial_ || !upload_) return;
    end_upload(false, Code::internal, "nobody reads it");
    settle();
}

}  // namespace axle::http
