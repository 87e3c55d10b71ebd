// The HTTP server: connections are small objects on a loop, requests run on workers, answers come from any thread.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/http/message.hpp"
#include "common/http/reply.hpp"

namespace axle {
class Loop;
class Workers;
}  // namespace axle

namespace axle::http {

// Method and raw path (not decoded, without the query). Called on the loop's thread: pure and quick.
using RouteSize = std::function<std::int64_t(std::string_view method, std::string_view path)>;
using RouteTest = std::function<bool(std::string_view method, std::string_view path)>;

struct ServerOptions {
    // At most; and no more than seven eighths of the files that the process may open. Then idle ones of the address
    // that has most are closed for newcomers.
    std::size_t connections_max = 20'000;
    std::size_t connections_per_address_max = 1'000;  // TCP only
    // Bytes of requests that are not whole yet, or are worked on, and of answers that nobody has taken yet, of all
    // connections together. Beyond it who holds most is cut off, so that small requests go on.
    std::size_t held_max = std::size_t{256} << 20;
    RouteSize body_limit = {};   // bytes; empty: 1 MiB everywhere. Not for streamed bodies
    RouteTest is_streamed = {};  // requests whose body is handed over as a BodyStream
    int uploads_max = 8;         // streamed requests handled at once; others wait unread
    milliseconds handshake_time{10'000};
    milliseconds head_time{10'000};          // from the first byte of a request to the end of its head, else 408
    milliseconds body_time{60'000};          // for the whole body of a request that isn't streamed, else 408
    milliseconds idle_time{60'000};          // between requests
    milliseconds reply_time{60'000};         // default of Reply::set_deadline, from the end of the request
    milliseconds write_stall_time{60'000};   // a client that takes nothing for so long is cut off
    milliseconds upload_stall_time{60'000};  // a streamed body of which nothing comes for so long is given up
};

struct TlsFiles {
    std::string certificate;       // PEM, with its chain
    std::string key;               // PEM
    std::string client_authority;  // PEM; empty: client certificates are not asked for. None is needed in any case
};

struct ServerStats {
    std::uint64_t connections = 0;  // open now
    // refused: what was no proper request. cut_off: took nothing for too long. shed: closed for lack of room.
    std::uint64_t accepted = 0, turned_away = 0, requests = 0, refused = 0, cut_off = 0, shed = 0;
    std::uint64_t held = 0;  // bytes, now
};

// Called on a worker, which it may block for a while; exceptions become a 500. It is called for every path and method.
using Handler = std::function<void(Request request, Reply reply)>;

// Methods from any thread, unless said otherwise. Loop and Workers must outlive it; stop the Workers only after it.
class Server {
  public:
    Server(Loop& loop, Workers& workers, Handler handler, ServerOptions options = {});
    ~Server();  // stop(0) if that has not been done
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // address: numeric IPv4 or IPv6; "" or "::": all, of both families. port 0: the kernel chooses. Returns the port.
    // Code::conflict when the port is taken.
    Result<int> listen_plain(const std::string& address, int port);
    Result<int> listen_tls(const std::string& address, int port, const TlsFiles& files);
    // A left-over socket file is replaced; one that somebody serves is refused (Code::conflict), and so is a file that
    // is no socket. group: -1 leaves it. The file is removed by stop().
    Result<> listen_unix(const std::string& path, unsigned mode = 0600, int group = -1);
    // Reads certificates and keys again, for connections to come. On failure the old ones stay in use.
    Result<> reload_certificates();

    // Accepts no more, closes what is idle, lets running requests finish within `grace`, closes streams and
    // WebSockets (1001), cuts off the rest. Returns when no connection is left. Idempotent. Not on the loop's thread
    // while it runs, nor on a worker.
    void stop(milliseconds grace);

    ServerStats stats() const;

  private:
    struct Core;
    std::shared_ptr<Core> core_;
};

}  // namespace axle::http
