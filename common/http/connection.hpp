// Inside of common/http: one client connection on the loop. Only the loop's thread touches it.
//
//   handshake -> reading -> busy -> reading ...           a request is with a worker, its answer comes by serial number
//                           busy -> streaming -> reading  the answer comes in pieces
//                           busy -> (WsSession)           the connection is handed over
//   any -> closing -> lingering -> dead                   the answer is flushed; then the client may read it to its end
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "common/http/framing.hpp"
#include "common/http/out_queue.hpp"
#include "common/http/reply_state.hpp"
#include "common/http/transport.hpp"
#include "common/loop/loop.hpp"

namespace axle::http {

struct ServerCore;
struct WsStart;

// Bytes of later requests that are taken while one is answered, and of answers that wait for the client before the
// next request is begun.
constexpr std::size_t kAheadMax = 64 << 10;

struct ResponseStart {
    std::string head;
    std::shared_ptr<StreamQueue> queue;
    std::optional<std::int64_t> length = {};
    bool is_head_request = false;
    bool endless = false;  // StreamHead: the client's end of file means that it left
};

class Connection : public std::enable_shared_from_this<Connection> {
  public:
    Connection(ServerCore& core, std::uint64_t id, Transport transport, Peer peer);
    ~Connection();
    void begin();

    // From Reply and its streams. A serial number that is not the current one is of a request that is over.
    void answer(std::uint64_t serial, Answer answer);
    void begin_stream(std::uint64_t serial, const ResponseStart& start);
    void pull_stream(std::uint64_t serial, StreamQueue& queue);
    void abort_stream(std::uint64_t serial, const std::string& why);
    bool upgrade(std::uint64_t serial, WsStart& start);  // false: too late
    void set_deadline(std::uint64_t serial, milliseconds time);
    void want_upload(std::uint64_t serial);
    void drop_upload(std::uint64_t serial);

    void close_when_idle();  // the server stops
    void kill(const std::string& why);
    const std::string& ip() const { return ip_; }
    std::size_t held() const { return held_; }  // bytes, as the server knows
    void shed(const std::string& why);          // its bytes are needed: it is refused in words if it still listens
    bool waits_for_a_request() const;           // nothing of one has come, or not all of its head

  private:
    enum class Phase { handshake, reading, busy, streaming, closing, lingering, dead };
    // What the one timer is waiting for.
    enum class Wait { nothing, handshake, idle, head, body, upload, reply, drain, linger };

    void ready(bool readable);
    void shake_hands();
    void receive();
    void advance();
    void starved();
    void refused();
    void begin_upload();
    void end_upload(bool whole, Code code, const std::string& why);
    void dispatch();
    static Response no_room(const std::string& why);
    std::unique_ptr<Reply::State> next_reply(const RequestHead& head);
    Request to_request(RequestHead head);

    void write_head(std::string head, bool keep_open);
    void answer_now(const Response& response, bool keep_open);
    void after_answer();
    void end_stream(const std::string& why);
    void settle();
    void tell_held();
    bool should_read() const;
    Wait due() const;
    void arm();
    void late();

    ServerCore& core_;
    const std::uint64_t id_;
    Transport transport_;
    std::shared_ptr<const Peer> peer_;
    const std::string ip_;
    Phase phase_;
    Framer framer_;
    OutQueue out_;
    bool eof_ = false;
    bool keep_open_ = true;  // as the current request and what became of its body allow
    std::uint64_t serial_ = 0;
    milliseconds reply_time_;
    std::shared_ptr<UploadQueue> upload_;
    bool upload_paused_ = false;
    bool held_back_ = false;  // a request may be there, and waits until the client has taken earlier answers
    std::shared_ptr<StreamQueue> stream_;
    ResponseStart stream_start_;
    std::int64_t stream_left_ = 0;
    std::size_t held_ = 0;
    Wait waiting_ = Wait::nothing;
    std::unique_ptr<IoWatch> watch_;
    Timer timer_;
};

}  // namespace axle::http
