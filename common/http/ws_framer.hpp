// Inside of common/http: WebSocket frames by wslay, without I/O.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace axle::http {

struct WsMessage {
    std::string data;
    bool binary = false;
};

// The Sec-WebSocket-Accept that belongs to a Sec-WebSocket-Key.
std::string websocket_accept(std::string_view key);
std::string websocket_key();  // 16 random bytes in base64

class WsFramer {
  public:
    WsFramer(bool server, std::size_t message_max);
    ~WsFramer();
    WsFramer(WsFramer&&) noexcept;

    // Whole messages in `bytes` and what came before. False: a violation; wslay has queued the fitting close frame.
    bool feed(std::string_view bytes, std::vector<WsMessage>& messages);
    bool send(std::string_view data, bool binary);  // false: closing already
    void ping();
    void close(int code, std::string_view reason);  // idempotent
    std::string take_output();

    bool is_closing() const;                  // a close frame was sent or is queued
    bool is_finished() const;                 // nothing more is to be read or sent
    int received_close() const;               // code of the peer's close frame, 1005 without a code; 0: none came
    int sent_close() const;                   // 0: none
    const std::string& close_reason() const;  // of the peer

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace axle::http
