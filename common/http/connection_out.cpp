// What goes out: answers, streams, time limits, the end.
#include "common/http/connection.hpp"
#include "common/http/server_core.hpp"

namespace axle::http {

static constexpr milliseconds kLingerTime{2'000};

void Connection::write_head(std::string head, bool keep_open) {
    head += core_.date_line();
    head += keep_open ? "\r\n" : "Connection: close\r\n\r\n";
    out_.append(std::move(head));
}

void Connection::answer_now(const Response& response, bool keep_open) {
    keep_open_ = keep_open_ && keep_open;
    Answer answer = to_answer(response, response.body, false);
    this->answer(++serial_, std::move(answer));  // an answer of the handler, if one comes yet, goes nowhere
}

void Connection::answer(std::uint64_t serial, Answer answer) {
    if (serial != serial_ || (phase_ != Phase::busy && phase_ != Phase::reading)) return;
    const auto keep = shared_from_this();
    end_upload(false, Code::internal, "the request is answered already");
    keep_open_ = keep_open_ && !core_.closing;
    write_head(std::move(answer.head), keep_open_);
    out_.append(std::move(answer.body));
    after_answer();
}

void Connection::after_answer() {
    ++serial_;
    stream_ = nullptr;
    phase_ = keep_open_ ? Phase::reading : Phase::closing;
    waiting_ = Wait::nothing;
    advance();
    settle();
}

void Connection::begin_stream(std::uint64_t serial, const ResponseStart& start) {
    if (serial != serial_ || phase_ != Phase::busy) return start.queue->ended("the request was over already");
    const auto keep = shared_from_this();
    end_upload(false, Code::internal, "the request is answered already");
    keep_open_ = keep_open_ && !core_.closing;
    write_head(start.head, keep_open_);
    if (start.is_head_request) {
        after_answer();
        return start.queue->ended({});
    }
    phase_ = Phase::streaming;
    stream_ = start.queue;
    stream_start_ = start;
    stream_left_ = start.length.value_or(0);
    if (eof_ && start.endless) return kill("the client went away");
    if (core_.closing && start.endless) return close_when_idle();
    pull_stream(serial, *stream_);
}

// Frames what waits in the queue. Where a length was promised, it is kept: a wrong one would garble the next answer.
void Connection::pull_stream(std::uint64_t serial, StreamQueue& queue) {
    if (phase_ != Phase::streaming || serial != serial_) return queue.ended("the client went away");
    auto taken = queue.take();
    for (auto& piece : taken.pieces) {
        if (stream_start_.length) {
            if (static_cast<std::int64_t>(piece.size()) > stream_left_)
                return kill("the stream is longer than promised");
            stream_left_ -= static_cast<std::int64_t>(piece.size());
            out_.append(std::move(piece));
            continue;
        }
        out_.append(fmt::format("{:x}\r\n", piece.size()));
        out_.append(std::move(piece));
        out_.append("\r\n");
    }
    if (taken.at_end) return end_stream({});
    settle();
}

void Connection::end_stream(const std::string& why) {
    const auto keep = shared_from_this();
    if (stream_left_ > 0) return kill("the stream is shorter than promised");
    if (!stream_start_.length) out_.append("0\r\n\r\n");
    const auto queue = std::exchange(stream_, nullptr);
    after_answer();
    queue->ended(why);
}

void Connection::abort_stream(std::uint64_t serial, const std::string& why) {
    if (phase_ != Phase::streaming || serial != serial_) return;
    core_.stat_cut_off.fetch_add(1, std::memory_order_relaxed);
    kill(why);
}

bool Connection::upgrade(std::uint64_t serial, WsStart& start) {
    if (serial != serial_ || phase_ != Phase::busy || eof_ || core_.closing) return false;
    const auto keep = shared_from_this();
    start.head += core_.date_line() + "\r\n";
    phase_ = Phase::dead;
    watch_.reset();
    timer_.stop();
    core_.hold(std::exchange(held_, 0), 0);
    const WebSocketOptions options = start.options;
    auto over = [&core = core_, id = id_, ip = ip_] { core.left(id, ip); };
    auto session = std::make_shared<WsSession>(core_.loop, std::move(transport_), WsFramer(true, options.message_max),
                                               std::move(start), std::move(over));
    core_.keep_session(id_, ip_, session);
    session->begin(framer_.take_rest());
    return true;
}

void Connection::set_deadline(std::uint64_t serial, milliseconds time) {
    if (serial != serial_ || phase_ != Phase::busy) return;
    reply_time_ = time;
    waiting_ = Wait::nothing;
    arm();
}

void Connection::settle() {
    if (phase_ == Phase::dead || phase_ == Phase::handshake) return;
    do {
        if (held_back_) advance();  // what was asked meanwhile; it holds back again if that is too much
        if (phase_ == Phase::dead) return;
        const std::size_t before = out_.size();
        if (!out_.flush(transport_)) return kill("the client went away");
        if (out_.size() < before && waiting_ == Wait::drain)
            waiting_ = Wait::nothing;  // it moves: the timer begins anew
        if (phase_ == Phase::dead) return;
    } while (held_back_ && out_.size() < kAheadMax);
    if (stream_) stream_->sent(out_.size());
    if (phase_ == Phase::closing && out_.empty()) {
        transport_.end_writing();
        if (eof_) return kill({});
        phase_ = Phase::lingering;  // closing with unread bytes would reset the connection and lose the answer
    }
    watch_->want(should_read(), !out_.empty());
    arm();
    tell_held();
}

// Last: it may be this very connection that is shed.
void Connection::tell_held() {
    const std::size_t before = std::exchange(held_, framer_.held() + out_.size());
    if (held_ != before) core_.hold(before, held_);
}

void Connection::shed(const std::string& why) {
    if (phase_ == Phase::dead) return;
    const auto keep = shared_from_this();
    const bool listens = phase_ == Phase::reading && out_.empty();
    framer_.abandon();
    if (!listens) return kill(why);
    answer_now(no_room(why), false);
}

bool Connection::waits_for_a_request() const {
    return phase_ == Phase::handshake || (phase_ == Phase::reading && framer_.in_head() && out_.empty());
}

Connection::Wait Connection::due() const {
    switch (phase_) {
        case Phase::handshake:
            return Wait::handshake;
        case Phase::reading:
            if (!out_.empty()) return Wait::drain;
            if (framer_.idle()) return Wait::idle;
            return framer_.in_head() ? Wait::head : Wait::body;
        case Phase::busy:
            if (upload_) return upload_paused_ ? Wait::nothing : Wait::upload;
            return Wait::reply;
        case Phase::streaming:
            return out_.empty() ? Wait::nothing : Wait::drain;
        case Phase::closing:
            return Wait::drain;
        case Phase::lingering:
            return Wait::linger;
        case Phase::dead:
            break;
    }
    return Wait::nothing;
}

void Connection::arm() {
    const Wait wait = due();
    if (wait == waiting_) return;
    waiting_ = wait;
    const ServerOptions& o = core_.options;
    switch (wait) {
        case Wait::nothing:
            return timer_.stop();
        case Wait::handshake:
            return timer_.start(o.handshake_time);
        case Wait::idle:
            return timer_.start(o.idle_time);
        case Wait::head:
            return timer_.start(o.head_time);
        case Wait::body:
            return timer_.start(o.body_time);
        case Wait::upload:
            return timer_.start(o.upload_stall_time);
        case Wait::reply:
            return timer_.start(reply_time_);
        case Wait::drain:
            return timer_.start(o.write_stall_time);
        case Wait::linger:
            return timer_.start(kLingerTime);
    }
}

void Connection::late() {
    const auto keep = shared_from_this();
    const auto seconds = [](milliseconds time) { return static_cast<double>(time.count()) / 1000.; };
    switch (std::exchange(waiting_, Wait::nothing)) {
        case Wait::head:
            return answer_now(
                problem(408, "timeout",
                        fmt::format("the head of the request took longer than {} s", seconds(core_.options.head_time))),
                false);
        case Wait::body:
            return answer_now(
                problem(408, "timeout",
                        fmt::format("the body of the request took longer than {} s", seconds(core_.options.body_time))),
                false);
        case Wait::upload:
            end_upload(false, Code::timeout,
                       fmt::format("nothing came for {} s", seconds(core_.options.upload_stall_time)));
            return settle();
        case Wait::reply:
            return answer_now(
                problem(504, "timeout",
                        fmt::format("no answer within {} s; the outcome is unknown", seconds(reply_time_)),
                        "look at the object before you repeat the request"),
                false);
        case Wait::drain:
            core_.stat_cut_off.fetch_add(1, std::memory_order_relaxed);
            return kill("too slow");
        default:
            return kill({});
    }
}

void Connection::close_when_idle() {
    if ((phase_ == Phase::reading && framer_.idle() && out_.empty()) || phase_ == Phase::handshake) return kill({});
    if (phase_ != Phase::streaming || !stream_start_.endless) return;  // they close after their answer
    keep_open_ = false;
    end_stream("the server stops");
}

void Connection::kill(const std::string& why) {
    if (phase_ == Phase::dead) return;
    const auto keep = shared_from_this();
    phase_ = Phase::dead;
    watch_.reset();
    timer_.stop();
    end_upload(false, Code::malformed, why.empty() ? "the connection was closed" : why);
    if (const auto stream = std::exchange(stream_, nullptr))
        stream->ended(why.empty() ? "the connection was closed" : why);
    core_.loop.post([keep] {});  // callers further up still use it
    core_.hold(std::exchange(held_, 0), 0);
    core_.left(id_, ip_);
}

}  // namespace axle::http
