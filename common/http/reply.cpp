#include "common/http/reply.hpp"

#include <algorithm>

#include "common/base/base64.hpp"
#include "common/base/ensure.hpp"
#include "common/http/connection.hpp"
#include "common/http/reply_state.hpp"
#include "common/http/ws_session.hpp"

namespace axle::http {

namespace {

bool has_no_body(int status) {
    return status < 200 || status == 204 || status == 304;
}
bool is_safe_value(std::string_view value) {
    return std::ranges::none_of(value, [](char c) { return c == '\r' || c == '\n' || c == 0; });
}

std::string head_of(int status, const Headers& headers) {
    std::string head = fmt::format("HTTP/1.1 {} {}\r\n", status, reason_phrase(status));
    for (const auto& [name, value] : headers) {
        ENSURE(is_safe_value(name) && is_safe_value(value),
               "a response header has no line break: it would split the response");
        head += name;
        head += ": ";
        head += value;
        head += "\r\n";
    }
    head += "X-Content-Type-Options: nosniff\r\nServer: axle\r\n";
    return head;
}

// What a handler does to the connection happens on the loop's thread, if the connection is still there.
template <class Job>
void to_connection(const Target& target, Job job) {
    target.loop->post([connection = target.connection, serial = target.serial, job = std::move(job)]() mutable {
        if (const auto found = connection.lock()) job(*found, serial);
    });
}

}  // namespace

Answer to_answer(const Response& response, std::string body, bool is_head_request) {
    Answer answer{head_of(response.status, response.headers), {}};
    if (has_no_body(response.status)) return answer;
    answer.head += fmt::format("Content-Length: {}\r\n", body.size());
    if (!is_head_request) answer.body = std::move(body);
    return answer;
}

Reply::Reply(std::unique_ptr<State> state) : state_(std::move(state)) {}
Reply::Reply(Reply&&) noexcept = default;

Reply& Reply::operator=(Reply&& other) noexcept {
    Reply old(std::move(*this));  // unanswered, it answers now
    state_ = std::move(other.state_);
    return *this;
}

Reply::~Reply() {
    if (state_) send(problem(500, "internal", "the request was given up without an answer; its outcome is unknown"));
}

void Reply::send(Response response) {
    ENSURE(state_ != nullptr, "a request is answered once");
    const auto state = std::move(state_);
    auto answer = std::make_shared<Answer>(to_answer(response, std::move(response.body), state->is_head_request));
    to_connection(state->target,
                  [answer](Connection& c, std::uint64_t serial) { c.answer(serial, std::move(*answer)); });
}

Stream Reply::stream(StreamHead head) {
    ENSURE(state_ != nullptr, "a request is answered once");
    const auto state = std::move(state_);
    auto queue = std::make_shared<StreamQueue>(state->target, head.queue_max);
    ResponseStart start{head_of(head.status, head.headers), queue, head.length, state->is_head_request};
    start.head += head.length ? fmt::format("Content-Length: {}\r\n", *head.length) : "Transfer-Encoding: chunked\r\n";
    start.endless = head.endless;
    to_connection(state->target,
                  [start = std::move(start)](Connection& c, std::uint64_t serial) { c.begin_stream(serial, start); });
    // A connection that is gone leaves nobody to tell the queue: the job above finds out, or the queue's own wake-up.
    return Stream(std::make_shared<Stream::State>(std::move(queue)));
}

Stream Reply::event_stream(std::size_t queue_max) {
    return stream({200, {{"Content-Type", "text/event-stream"}, {"Cache-Control", "no-store"}}, {}, queue_max, true});
}

Result<WebSocket> Reply::websocket(WebSocketHandlers handlers, WebSocketOptions options) {
    ENSURE(state_ != nullptr, "a request is answered once");
    if (!state_->websocket_refusal.empty()) {
        const std::string why = state_->websocket_refusal;
        Response refusal = problem(state_->wants_websocket ? 400 : 426, "websocket-needed", why);
        if (!state_->wants_websocket) refusal.headers.add("Upgrade", "websocket");
        refusal.headers.add("Sec-WebSocket-Version", "13");
        send(std::move(refusal));
        return fail(Code::malformed, "{}", why);
    }
    const auto state = std::move(state_);
    std::string head = head_of(101, {{"Upgrade", "websocket"},
                                     {"Connection", "Upgrade"},
                                     {"Sec-WebSocket-Accept", websocket_accept(state->websocket_key)}});
    if (!options.protocol.empty()) head += "Sec-WebSocket-Protocol: " + options.protocol + "\r\n";
    auto link = std::make_shared<WsLink>(*state->target.loop, options.queue_max);
    const WebSocket socket(std::make_shared<WebSocket::State>(link));
    auto wish = std::make_shared<WsStart>(WsStart{std::move(head), link, std::move(handlers), options, socket});
    state->target.loop->post([wish, connection = state->target.connection, serial = state->target.serial] {
        if (const auto found = connection.lock(); !found || !found->upgrade(serial, *wish))
            tell_closed(wish->handlers, *wish->link, 1006, "the client had gone before the handshake was done");
    });
    return socket;
}

void Reply::set_deadline(milliseconds from_now) {
    ENSURE(state_ != nullptr, "only an open request has a deadline");
    const milliseconds time = std::clamp(from_now, milliseconds{1}, milliseconds{600'000});
    to_connection(state_->target, [time](Connection& c, std::uint64_t serial) { c.set_deadline(serial, time); });
}

bool Stream::write(std::string bytes) {
    return state_ && state_->queue->write(std::move(bytes));
}
bool Stream::write_when_room(std::string bytes) {
    return state_ && state_->queue->write_when_room(std::move(bytes));
}
void Stream::close() {
    if (state_) state_->queue->close();
}
void Stream::abort(std::string why) {
    if (state_) state_->queue->abort(std::move(why));
}
void Stream::on_closed(std::function<void(std::string)> told) {
    ENSURE(state_ != nullptr, "a default-made stream has no end to be told");
    state_->queue->on_closed(std::move(told));
}
bool Stream::is_open() const {
    return state_ && state_->queue->is_open();
}
std::size_t Stream::queued() const {
    return state_ ? state_->queue->queued() : 0;
}

bool StreamQueue::push(std::string bytes, std::unique_lock<std::mutex>& lock) {
    queued_ += bytes.size();
    waiting_.push_back(std::move(bytes));
    wake(lock);
    return true;
}

void StreamQueue::wake(std::unique_lock<std::mutex>& lock) {
    if (woken_) return;
    woken_ = true;
    lock.unlock();
    target_.loop->post([self = shared_from_this()] {
        if (const auto connection = self->target_.connection.lock())
            connection->pull_stream(self->target_.serial, *self);
        else
            self->ended("the client went away");
    });
}

bool StreamQueue::write(std::string bytes) {
    std::unique_lock lock(mutex_);
    if (!open_) return false;
    if (bytes.empty()) return true;
    if (queued_ + unsent_ > 0 && queued_ + unsent_ + bytes.size() > limit_) {
        lock.unlock();
        abort("too slow");
        return false;
    }
    return push(std::move(bytes), lock);
}

bool StreamQueue::write_when_room(std::string bytes) {
    std::unique_lock lock(mutex_);
    if (bytes.empty()) return open_;
    const auto may_go = [&] { return !open_ || queued_ + unsent_ == 0 || queued_ + unsent_ + bytes.size() <= limit_; };
    while (!may_go()) {
        const std::size_t before = queued_ + unsent_;
        if (room_.wait_for(lock, target_.stall_time, may_go) || queued_ + unsent_ < before) continue;
        lock.unlock();
        abort("too slow");
        return false;
    }
    return open_ && push(std::move(bytes), lock);
}

void StreamQueue::close() {
    std::unique_lock lock(mutex_);
    if (!open_) return;
    open_ = false;
    at_end_ = true;
    room_.notify_all();
    wake(lock);
}

void StreamQueue::abort(std::string why) {
    std::unique_lock lock(mutex_);
    if (over_ || (!open_ && !why_.empty())) return;
    open_ = false;
    why_ = std::move(why);
    room_.notify_all();
    lock.unlock();
    target_.loop->post([self = shared_from_this()] {
        if (const auto connection = self->target_.connection.lock())
            connection->abort_stream(self->target_.serial, self->why_);
        self->ended(self->why_);
    });
}

void StreamQueue::on_closed(std::function<void(std::string)> told) {
    std::unique_lock lock(mutex_);
    if (!over_) {
        told_ = std::move(told);
        return;
    }
    lock.unlock();
    target_.loop->post([told = std::move(told), why = why_] { told(why); });
}

bool StreamQueue::is_open() const {
    const std::lock_guard lock(mutex_);
    return open_;
}

std::size_t StreamQueue::queued() const {
    const std::lock_guard lock(mutex_);
    return queued_ + unsent_;
}

StreamQueue::Taken StreamQueue::take() {
    const std::lock_guard lock(mutex_);
    woken_ = false;
    unsent_ += queued_;
    queued_ = 0;
    return {std::exchange(waiting_, {}), at_end_};
}

void StreamQueue::sent(std::size_t still_unsent) {
    const std::lock_guard lock(mutex_);
    unsent_ = still_unsent;
    room_.notify_all();
}

void StreamQueue::ended(const std::string& why) {
    std::function<void(std::string)> told;
    {
        const std::lock_guard lock(mutex_);
        if (over_) return;
        over_ = true;
        open_ = false;
        if (why_.empty()) why_ = why;
        waiting_.clear();
        queued_ = unsent_ = 0;
        told.swap(told_);
        room_.notify_all();
    }
    if (told) told(why_);
}

BodyStream::BodyStream(std::shared_ptr<State> state) : state_(std::move(state)) {}
BodyStream::~BodyStream() {
    state_->queue->drop();
}
Result<std::string> BodyStream::read() {
    return state_->queue->read();
}
std::optional<std::int64_t> BodyStream::length() const {
    return state_->queue->length();
}

Result<std::string> UploadQueue::read() {
    std::unique_lock lock(mutex_);
    for (;;) {
        if (!waiting_.empty()) break;
        if (error_) return fail(*error_);
        if (finished_) return std::string();
        if (std::exchange(paused_, false)) {
            lock.unlock();
            to_connection(target_, [](Connection& c, std::uint64_t serial) { c.want_upload(serial); });
            lock.lock();
            continue;
        }
        told_.wait(lock);  // the connection's stall timer ends this
    }
    std::string piece = std::move(waiting_.front());
    waiting_.pop_front();
    queued_ -= piece.size();
    if (queued_ <= kLow && std::exchange(paused_, false)) {
        lock.unlock();
        to_connection(target_, [](Connection& c, std::uint64_t serial) { c.want_upload(serial); });
    }
    return piece;
}

void UploadQueue::drop() {
    {
        const std::lock_guard lock(mutex_);
        dropped_ = true;
        waiting_.clear();
        queued_ = 0;
        if (finished_ || error_) return;
    }
    to_connection(target_, [](Connection& c, std::uint64_t serial) { c.drop_upload(serial); });
}

bool UploadQueue::give(std::string piece) {
    const std::lock_guard lock(mutex_);
    if (dropped_) return true;
    queued_ += piece.size();
    waiting_.push_back(std::move(piece));
    told_.notify_one();
    if (queued_ >= kHigh) paused_ = true;
    return !paused_;
}

void UploadQueue::finish() {
    const std::lock_guard lock(mutex_);
    finished_ = true;
    told_.notify_one();
}

void UploadQueue::abort(Code code, std::string why) {
    const std::lock_guard lock(mutex_);
    if (finished_ || error_) return;
    error_ = error(code, "the upload was broken off: {}", why).with_reason("upload-aborted");
    told_.notify_one();
}

}  // namespace axle::http
