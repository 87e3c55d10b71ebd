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

struct WsFramer::Impl {
    Impl(bool server, std::size_t message_max);
    ~Impl() { wslay_event_context_free(context); }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;
    void took(const wslay_event_on_msg_recv_arg& message);

    wslay_event_context_ptr context = nullptr;
    std::string_view in;
    std::string out;
    std::vector<WsMessage>* messages = nullptr;
    std::string reason;
    int sent_code = 0;
};

void WsFramer::Impl::took(const wslay_event_on_msg_recv_arg& message) {
    std::string data(reinterpret_cast<const char*>(message.msg), message.msg_length);
    if (message.opcode == WSLAY_TEXT_FRAME || message.opcode == WSLAY_BINARY_FRAME)
        messages->push_back({std::move(data), message.opcode == WSLAY_BINARY_FRAME});
    else if (message.opcode == WSLAY_CONNECTION_CLOSE && data.size() > 2)
        reason = data.substr(2);
}

WsFramer::Impl::Impl(bool server, std::size_t message_max) {
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
    calls.on_msg_recv_callback = [](wslay_event_context_ptr, const wslay_event_on_msg_recv_arg* message, void* user) {
        static_cast<Impl*>(user)->took(*message);
    };
    const int made = server ? wslay_event_context_server_init(&context, &calls, this)
                            : wslay_event_context_client_init(&context, &calls, this);
    ENSURE(made == 0, "wslay gives a context");
    wslay_event_config_set_max_recv_msg_length(context, message_max);
}

WsFramer::WsFramer(bool server, std::size_t message_max) : impl_(std::make_unique<Impl>(server, message_max)) {}
WsFramer::~WsFramer() = default;
WsFramer::WsFramer(WsFramer&&) noexcept = default;

bool WsFramer::feed(std::string_view bytes, std::vector<WsMessage>& messages) {
    impl_->in = bytes;
    impl_->messages = &messages;
    const int result = wslay_event_recv(impl_->context);
    impl_->messages = nullptr;
    impl_->in = {};
    return result == 0;
}

bool WsFramer::send(std::string_view data, bool binary) {
    const wslay_event_msg message{static_cast<uint8_t>(binary ? WSLAY_BINARY_FRAME : WSLAY_TEXT_FRAME),
                                  reinterpret_cast<const uint8_t*>(data.data()), data.size()};
    return wslay_event_queue_msg(impl_->context, &message) == 0;
}

void WsFramer::ping() {
    const wslay_event_msg message{WSLAY_PING, nullptr, 0};
    wslay_event_queue_msg(impl_->context, &message);
}

void WsFramer::close(int code, std::string_view reason) {
    if (is_closing()) return;
    reason = reason.substr(0, 123);  // a control frame has at most 125 bytes
    // A close frame overtakes the messages that wslay holds, and they would never be sent.
    wslay_event_send(impl_->context);
    impl_->sent_code = code;
    wslay_event_queue_close(impl_->context, static_cast<uint16_t>(code),
                            reinterpret_cast<const uint8_t*>(reason.data()), reason.size());
}

std::string WsFramer::take_output() {
    // Our callback takes everything, so wslay never holds anything back.
    ENSURE(wslay_event_send(impl_->context) == 0, "frames go out whole");
    return std::exchange(impl_->out, {});
}

bool WsFramer::is_closing() const {
    return impl_->sent_code != 0 || wslay_event_get_close_sent(impl_->context) != 0 ||
           wslay_event_get_close_received(impl_->context) != 0;
}

bool WsFramer::is_finished() const {
    return wslay_event_want_read(impl_->context) == 0 && wslay_event_want_write(impl_->context) == 0;
}

int WsFramer::received_close() const {
    if (wslay_event_get_close_received(impl_->context) == 0) return 0;
    return wslay_event_get_status_code_received(impl_->context);
}

int WsFramer::sent_close() const {
    if (impl_->sent_code != 0) return impl_->sent_code;
    return wslay_event_get_close_sent(impl_->context) == 0 ? 0 : wslay_event_get_status_code_sent(impl_->context);
}

const std::string& WsFramer::close_reason() const {
    return impl_->reason;
}

}  // namespace axle::http
