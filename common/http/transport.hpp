// Inside of common/http: a connected, non-blocking socket, plain or TLS.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/file.hpp"
#include "common/base/result.hpp"

struct ssl_st;
struct ssl_ctx_st;

namespace axle::http {

using TlsContext = std::shared_ptr<ssl_ctx_st>;

struct TlsFiles;

// A server's context: certificate with chain, optional client authority. TLS 1.2 and later.
Result<TlsContext> server_context(const TlsFiles& files);
// A client's, which verifies nothing by itself; certificate (with its chain) and key: PEM of our own, or empty.
Result<TlsContext> client_context(const std::string& certificate, const std::string& key, bool tls13_only);

std::string tls_error(std::string_view subject);  // with what OpenSSL's queue says; empties it

class Transport {
  public:
    enum class Handshake { done, want_read, want_write, failed };

    explicit Transport(Fd fd);
    Transport(Fd fd, const TlsContext& context, bool server);
    ~Transport();
    Transport(Transport&& other) noexcept;
    Transport& operator=(Transport&& other) = delete;

    int fd() const { return fd_.get(); }
    bool is_tls() const { return ssl_ != nullptr; }
    ssl_st* ssl() const { return ssl_; }
    Handshake handshake();  // done at once when plain

    // > 0: bytes. 0: none now. kEnd: the peer has ended properly. kBroken: the connection is lost. With TLS a call with
    // room for 16 KiB leaves nothing behind that poll(2) would not show.
    static constexpr int kEnd = -1, kBroken = -2;
    int read(char* to, std::size_t room);
    int write(std::string_view bytes);  // > 0, 0 or kBroken
    void end_writing();                 // close_notify where TLS, then FIN

  private:
    Fd fd_;
    ssl_st* ssl_ = nullptr;
};

// Of the peer's certificate, if there is one; all empty otherwise.
struct PeerCertificate {
    std::string name, fingerprint;
    std::vector<std::string> uris;
    std::int64_t not_before_ms = 0;
    // Why it is not believed; then all of the above is empty. Empty as well when there is none.
    std::string problem;
};
PeerCertificate peer_certificate(ssl_st* ssl);
bool is_tls13(const ssl_st* ssl);

}  // namespace axle::http
