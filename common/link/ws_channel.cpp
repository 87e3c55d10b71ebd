#include "common/link/ws_channel.hpp"

#include <list>
#include <mutex>
#include <utility>

namespace axle {
namespace {

constexpr int kAtOnce = 16;  // messages that one job of a worker takes
constexpr milliseconds kWorkersFull{50};
// Bytes of a text that the loop reads itself: a heartbeat costs less than its way to a worker.
constexpr std::size_t kSmall = 256;

// On either end, whichever found it.
std::string closed_text(int code, const std::string& reason) {
    if (!reason.empty()) return reason;
    switch (code) {
        case 1006:
            return "the connection was cut";
        case 1002:
            return "what came is no WebSocket";
        case 1007:
            return "a text came that is no UTF-8";
        case 1009:
            return "a message came that is too large";
        default:
            break;
    }
    return fmt::format("the other end closed the connection ({})", code);
}

}  // namespace

// Three threads meet here: the loop brings texts and the end, workers turn texts into messages and back, the owner
// takes messages. What the owner alone touches stands apart; the rest is under the mutex, and nobody is called with it
// held but the socket, which only queues.
class WsChannelState : public std::enable_shared_from_this<WsChannelState> {
  public:
    WsChannelState(Loop& io, Workers& workers, Executor& owner, WsChannelOptions options)
        : io_(io), workers_(workers), owner_(&owner), options_(std::move(options)) {}

    // Loop.
    void received(std::string text);
    void socket_closed(int code, const std::string& reason);

    // Any thread.
    void open(http::WebSocket socket);
    void send(Message message);
    void close(std::string why);
    void end(std::string why);
    void abandon();

    // Owner.
    bool open_for_owner = true;
    std::function<void(Message)> told_message;
    std::function<void(std::string)> told_closed;

  private:
    void work(void (WsChannelState::*job)());
    void read_some();
    void write_some();
    bool read_one(const std::string& text);
    void deliver(Message message, std::size_t bytes);
    void handled(std::size_t bytes);
    void tell_owner(std::function<void(WsChannelState&)> job);
    void expect_first();

    Loop& io_;
    Workers& workers_;
    std::mutex owner_mutex_;
    // null: the channel is gone. Under a mutex of its own, which is held while it is posted to, so that it is still
    // there: who is woken by the post would wait for the other one at once.
    Executor* owner_;
    std::mutex mutex_;  // of the rest
    const WsChannelOptions options_;
    http::WebSocket socket_;
    std::list<std::string> in_;  // lists, not deques, which hold half a KiB each when they are empty, as most are
    std::list<Message> out_;
    std::size_t unhandled_ = 0;  // bytes
    bool reading_ = false, writing_ = false, paused_ = false, closing_ = false, ended_ = false, heard_ = false;
    std::string bye_;                 // what the peer said before it closed
    std::optional<std::string> cut_;  // the socket is over, and why
};

// ---- in

void WsChannelState::received(std::string text) {
    bool begin = false;
    const bool small = text.size() <= kSmall;
    {
        const std::lock_guard lock(mutex_);
        if (ended_) return;
        heard_ = true;
        unhandled_ += text.size();
        in_.push_back(std::move(text));
        begin = !std::exchange(reading_, true);
        if (unhandled_ > options_.unhandled_max && !std::exchange(paused_, true)) socket_.pause_reading(true);
    }
    if (!begin) return;
    if (small) return read_some();
    work(&WsChannelState::read_some);
}

void WsChannelState::read_some() {
    std::optional<std::string> why;
    for (int i = 0; i < kAtOnce; ++i) {
        std::string text;
        {
            const std::lock_guard lock(mutex_);
            if (in_.empty() || ended_) {
                reading_ = false;
                if (cut_) why = bye_.empty() ? *cut_ : bye_;
                break;
            }
            text = std::move(in_.front());
            in_.pop_front();
        }
        if (!read_one(text)) return;
        if (i + 1 == kAtOnce) return work(&WsChannelState::read_some);  // others' turn first
    }
    if (why) end(std::move(*why));
}

bool WsChannelState::read_one(const std::string& text) {
    auto message = decode(text);
    if (!message) {
        close("a message that can't be read: " + message.error().message);
        return false;
    }
    if (!*message) return handled(text.size()), true;  // a type of a later release
    if (const auto* bye = std::get_if<Bye>(&**message)) {
        {
            const std::lock_guard lock(mutex_);
            bye_ = bye->why.substr(0, 4096);
        }
        return handled(text.size()), true;
    }
    if (options_.intercept) {
        auto taken = options_.intercept(**message);
        if (!taken) {
            close(taken.error().message);
            return false;
        }
        if (*taken) return handled(text.size()), true;
    }
    deliver(std::move(**message), text.size());
    return true;
}

void WsChannelState::deliver(Message message, std::size_t bytes) {
    tell_owner([message = std::move(message), bytes](WsChannelState& self) mutable {
        self.handled(bytes);
        if (!self.open_for_owner) return;
        const auto told = self.told_message;  // it may replace or destroy the channel
        if (told) told(std::move(message));
    });
}

void WsChannelState::handled(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    unhandled_ -= bytes;
    if (paused_ && unhandled_ < options_.unhandled_max / 2) {
        paused_ = false;
        socket_.pause_reading(false);
    }
}

// ---- out

void WsChannelState::send(Message message) {
    bool begin = false, full = false;
    {
        const std::lock_guard lock(mutex_);
        if (closing_ || ended_) return;
        full = out_.size() >= options_.unsent_messages_max;
        if (!full) out_.push_back(std::move(message));
        begin = !full && socket_.is_open() && !std::exchange(writing_, true);
    }
    if (full) end("the other end does not keep up");
    if (begin) work(&WsChannelState::write_some);
}

void WsChannelState::open(http::WebSocket socket) {
    bool begin = false;
    {
        const std::lock_guard lock(mutex_);
        socket_ = std::move(socket);
        if (paused_) socket_.pause_reading(true);
        begin = !out_.empty() && !std::exchange(writing_, true);
        if (closing_ && !begin) socket_.close();
    }
    if (begin) work(&WsChannelState::write_some);
    if (options_.first_message.count() > 0) expect_first();
}

void WsChannelState::expect_first() {
    io_.post([weak = weak_from_this()] {
        const auto self = weak.lock();
        if (!self) return;
        self->io_.after(self->options_.first_message, [weak] {
            const auto later = weak.lock();
            if (!later) return;
            {
                const std::lock_guard lock(later->mutex_);
                if (later->heard_) return;
            }
            later->close(fmt::format("no hello came within {} s", later->options_.first_message.count() / 1000));
        });
    });
}

void WsChannelState::write_some() {
    for (int i = 0; i < kAtOnce; ++i) {
        std::optional<Message> message;
        http::WebSocket socket;
        {
            const std::lock_guard lock(mutex_);
            if (out_.empty()) {
                writing_ = false;
                if (closing_) socket_.close();
                return;
            }
            message = std::move(out_.front());
            out_.pop_front();
            socket = socket_;
        }
        socket.send_text(encode(*message));  // false: it is closed, and says so
    }
    work(&WsChannelState::write_some);
}

// ---- the end

// Says why, sends what waits, then closes. The owner hears of it too, never inside this call.
void WsChannelState::close(std::string why) {
    send(Bye{why});
    {
        const std::lock_guard lock(mutex_);
        if (std::exchange(closing_, true)) return;
        if (!writing_) socket_.close();
    }
    end(std::move(why));
}

void WsChannelState::end(std::string why) {
    {
        const std::lock_guard lock(mutex_);
        if (std::exchange(ended_, true)) return;
        in_.clear();
        if (!closing_) socket_.close();
        closing_ = true;
    }
    if (options_.ended) options_.ended(why);
    tell_owner([why = std::move(why)](WsChannelState& self) {
        if (!std::exchange(self.open_for_owner, false)) return;
        const auto told = self.told_closed;
        if (told) told(why);
    });
}

// What came before the end is read before it is told.
void WsChannelState::socket_closed(int code, const std::string& reason) {
    std::string why = closed_text(code, reason);
    {
        const std::lock_guard lock(mutex_);
        cut_ = why;
        if (reading_) return;
        if (!bye_.empty()) why = bye_;
    }
    end(std::move(why));
}

// The channel is destroyed: its owner's thread and all that it told may be gone.
void WsChannelState::abandon() {
    {
        const std::lock_guard lock(owner_mutex_);
        owner_ = nullptr;
    }
    open_for_owner = false;
    told_message = {};
    told_closed = {};
    close("the other end is gone");
}

// ---- threads

void WsChannelState::work(void (WsChannelState::*job)()) {
    if (workers_.submit([self = shared_from_this(), job] { (self.get()->*job)(); })) return;
    io_.post([self = shared_from_this(), job] { self->io_.after(kWorkersFull, [self, job] { self->work(job); }); });
}

void WsChannelState::tell_owner(std::function<void(WsChannelState&)> job) {
    const std::lock_guard lock(owner_mutex_);
    if (owner_ == nullptr) return;
    owner_->post([weak = weak_from_this(), job = std::move(job)] {
        const auto self = weak.lock();
        if (self) job(*self);
    });
}

namespace {

class WsChannel final : public Channel {
  public:
    explicit WsChannel(std::shared_ptr<WsChannelState> state) : state_(std::move(state)) {}
    ~WsChannel() override { state_->abandon(); }
    void send(Message message) override {
        if (state_->open_for_owner) state_->send(std::move(message));
    }
    void on_message(std::function<void(Message)> told) override { state_->told_message = std::move(told); }
    void on_closed(std::function<void(std::string)> told) override { state_->told_closed = std::move(told); }
    void close(std::string why) override { state_->close(std::move(why)); }

  private:
    std::shared_ptr<WsChannelState> state_;
};

}  // namespace

std::shared_ptr<WsChannelState> make_ws_state(Loop& io, Workers& workers, Executor& owner, WsChannelOptions options) {
    return std::make_shared<WsChannelState>(io, workers, owner, std::move(options));
}

http::WebSocketHandlers handlers_of(const std::shared_ptr<WsChannelState>& state) {
    return {.on_message = [state](std::string data, bool) { state->received(std::move(data)); },
            .on_closed = [state](int code, const std::string& reason) { state->socket_closed(code, reason); }};
}

std::unique_ptr<Channel> open_ws_channel(const std::shared_ptr<WsChannelState>& state, http::WebSocket socket) {
    state->open(std::move(socket));
    return std::make_unique<WsChannel>(state);
}

void send_on(WsChannelState& state, Message message) {
    state.send(std::move(message));
}

}  // namespace axle
