#include "common/http/ws_framer.hpp"

#include <algorithm>
#include <cstring>
#include <sys/random.h>
#include <utility>

#include <openssl/evp.h>
#include <wslay/wslay.h>

#include "common/base/base64.hpp"
#include "common/base/ensure.hpp"

namespace axle::http {

std::string websocket_accept(std::string_view key) {
    const std::string salted = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455 4.2.2
    unsigned char digest[20];
    unsigned int size = 0;
    ENSURE(EVP_Digest(salted.data(), salted.size(), digest, &size, EVP_sha1(), nullptr) == 1, "OpenSSL has SHA-1");
    return base64_encode({reinterpret_cast<const char*>(digest), size});
}

static void fill_random(void* to, std::size_t size) {
    ENSURE(getrandom(to, size, 0) == static_cast<ssize_t>(size), "the kernel gives small random numbers whole");
}

std::string websocket_key() {
    char bytes[16];
    fill_random(bytes, sizeof bytes);
    return base64_encode({bytes, sizeof bytes});
}

// wslay's context has 8 KiB of buffers. Ten thousand connections are silent nearly always, so one lives only while a
// frame or a message is under way, or a closing handshake.
struct WsFramer::Impl {
    Impl(bool is_server, std::size_t most) : server(is_server), message_max(most) {}
    ~Impl() { rest(); }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;
    wslay_event_context_ptr awake();
    void rest();
    bool is_idle() const;
    void began(const wslay_event_on_frame_recv_start_arg& frame);
    void took(const wslay_event_on_msg_recv_arg& message);

    const bool server;
    const std::size_t message_max;
    wslay_event_context_ptr context = nullptr;  // null: nothing is under way
    std::string_view in;
    std::string out;
    std::vector<WsMessage>* messages = nullptr;
    std::string reason;
    int sent_code = 0;
    // Of this context: bytes given, and bytes of the frames that began in them. Equal: no frame is cut in two.
    std::uint64_t given = 0, framed = 0;
    bool fragments = false;  // more frames of a message are to come
};

void WsFramer::Impl::rest() {
    if (context != nullptr) wslay_event_context_free(std::exchange(context, nullptr));
    given = framed = 0;
}

bool WsFramer::Impl::is_idle() const {
    return given == framed && !fragments && wslay_event_get_close_sent(context) == 0 &&
           wslay_event_get_close_received(context) == 0 && sent_code == 0 &&
           wslay_event_get_queued_msg_count(context) == 0;
}

void WsFramer::Impl::began(const wslay_event_on_frame_recv_start_arg& frame) {
    // RFC 6455 5.2: what a client sends is masked.
    const std::uint64_t length = frame.payload_length > 65'535 ? 8 : frame.payload_length > 125 ? 2 : 0;
    framed += 2 + length + (server ? 4 : 0) + frame.payload_length;
    if (!wslay_is_ctrl_frame(frame.opcode)) fragments = frame.fin == 0;
}

void WsFramer::Impl::took(const wslay_event_on_msg_recv_arg& message) {
    std::string data(reinterpret_cast<const char*>(message.msg), message.msg_length);
    if (message.opcode == WSLAY_TEXT_FRAME || message.opcode == WSLAY_BINARY_FRAME)
        messages->push_back({std::move(data), message.opcode == WSLAY_BINARY_FRAME});
    else if (message.opcode == WSLAY_CONNECTION_CLOSE && data.size() > 2)
        reason = data.substr(2);
}

wslay_event_context_ptr WsFramer::Impl::awake() {
    if (context != nullptr) return context;
    wslay_event_callbacks calls{};
    calls.recv_callback = [](wslay_event_context_ptr c, uint8_t* to, size_t room, int, void* user) -> ssize_t {
        auto& self = *static_cast<Impl*>(user);
        if (self.in.empty()) {
            wslay_event_set_error(c, WSLAY_ERR_WOULDBLOCK);
            return -1;
        }
        room = std::min(room, self.in.size());
        std::memcpy(to, self.in.data(), room);
        self.in.remove_prefix(room);
        return static_cast<ssize_t>(room);
    };
    calls.send_callback = [](wslay_event_context_ptr, const uint8_t* bytes, size_t size, int, void* user) -> ssize_t {
        static_cast<Impl*>(user)->out.append(reinterpret_cast<const char*>(bytes), size);
        return static_cast<ssize_t>(size);
    };
    calls.genmask_callback = [](wslay_event_context_ptr, uint8_t* to, size_t size, void*) -> int {
        fill_random(to, size);
        return 0;
    };
    calls.on_frame_recv_start_callback = [](wslay_event_context_ptr, const wslay_event_on_frame_recv_start_arg* frame,
                                            void* user) { static_cast<Impl*>(user)->began(*frame); };
    calls.on_msg_recv_callback = [](wslay_event_context_ptr, const wslay_event_on_msg_recv_arg* message, void* user) {
        static_cast<Impl*>(user)->took(*message);
    };
    const int made = server ? wslay_event_context_server_init(&context, &calls, this)
                            : wslay_event_context_client_init(&context, &calls, this);
    ENSURE(made == 0, "wslay gives a context");
    wslay_event_config_set_max_recv_msg_length(context, message_max);
    return context;
}

WsFramer::WsFramer(bool server, std::size_t message_max) : impl_(std::make_unique<Impl>(server, message_max)) {}
WsFramer::~WsFramer() = default;
WsFramer::WsFramer(WsFramer&&) noexcept = default;

bool WsFramer::feed(std::string_view bytes, std::vector<WsMessage>& messages) {
    impl_->in = bytes;
    impl_->messages = &messages;
    impl_->given += bytes.size();
    const int result = wslay_event_recv(impl_->awake());
    impl_->messages = nullptr;
    impl_->in = {};
    return result == 0;
}

bool WsFramer::send(std::string_view data, bool binary) {
    const wslay_event_msg message{static_cast<uint8_t>(binary ? WSLAY_BINARY_FRAME : WSLAY_TEXT_FRAME),
                                  reinterpret_cast<const uint8_t*>(data.data()), data.size()};
    return wslay_event_queue_msg(impl_->awake(), &message) == 0;
}

void WsFramer::ping() {
    const wslay_event_msg message{WSLAY_PING, nullptr, 0};
    wslay_event_queue_msg(impl_->awake(), &message);
}

void WsFramer::close(int code, std::string_view reason) {
    if (is_closing()) return;
    reason = reason.substr(0, 123);  // a control frame has at most 125 bytes
    // A close frame overtakes the messages that wslay holds, and they would never be sent.
    wslay_event_send(impl_->awake());
    impl_->sent_code = code;
    wslay_event_queue_close(impl_->context, static_cast<uint16_t>(code),
                            reinterpret_cast<const uint8_t*>(reason.data()), reason.size());
}

std::string WsFramer::take_output() {
    // Our callback takes everything, so wslay never holds anything back.
    if (impl_->context == nullptr) return {};
    ENSURE(wslay_event_send(impl_->context) == 0, "frames go out whole");
    if (impl_->is_idle()) impl_->rest();
    return std::exchange(impl_->out, {});
}

bool WsFramer::is_closing() const {
    if (impl_->context == nullptr) return false;
    return impl_->sent_code != 0 || wslay_event_get_close_sent(impl_->context) != 0 ||
           wslay_event_get_close_received(impl_->context) != 0;
}

bool WsFramer::is_finished() const {
    return impl_->context != nullptr && wslay_event_want_read(impl_->context) == 0 &&
           wslay_event_want_write(impl_->context) == 0;
}

int WsFramer::received_close() const {
    if (impl_->context == nullptr || wslay_event_get_close_received(impl_->context) == 0) return 0;
    return wslay_event_get_status_code_received(impl_->context);
}

int WsFramer::sent_close() const {
    if (impl_->context == nullptr || impl_->sent_code != 0) return impl_->sent_code;
    return wslay_event_get_close_sent(impl_->context) == 0 ? 0 : wslay_event_get_status_code_sent(impl_->context);
}

const std::string& WsFramer::close_reason() const {
    return impl_->reason;
}

}  // namespace axle::http
