#include "common/http/client_wire.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "common/base/digest.hpp"
#include "common/base/now.hpp"
#include "common/base/units.hpp"
#include "common/base/unix_address.hpp"
#include "common/http/tls.hpp"

namespace axle::http {

bool wait_for(int fd, short events, milliseconds wait, const std::function<bool()>& give_up) {
    pollfd watched{fd, events, 0};
    const int time = wait.count() == 0 ? -1 : wait.count() < 0 ? 0 : static_cast<int>(wait.count());
    for (;;) {
        const int ready = poll(&watched, 1, time);
        if (ready > 0) return true;
        if (ready == 0 || errno != EINTR || (give_up && give_up())) return false;
    }
}

// Non-blocking connect with a limit. 0, or errno.
static int connect_within(int fd, const sockaddr* to, socklen_t size, milliseconds limit) {
    if (connect(fd, to, size) == 0) return 0;
    if (errno != EINPROGRESS) return errno;
    if (!wait_for(fd, POLLOUT, limit)) return ETIMEDOUT;
    int problem = 0;
    socklen_t problem_size = sizeof problem;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &problem_size);
    return problem;
}

static Error nobody_there(const Endpoint& endpoint, const char* why) {
    auto e = error(Code::unavailable, "can't reach {}: {}", endpoint.str(), why);
    return std::move(e).with_hint(endpoint.kind == Endpoint::Kind::unix_socket
                                      ? "is it running? `systemctl status axle-orchestrator` tells"
                                      : "is the address right, the server running, the port open in the firewall?");
}

static Result<Fd> connect_unix(const Endpoint& endpoint, milliseconds limit) {
    TRY(at, unix_address(endpoint.path));
    Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int problem = connect_within(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at, limit);
    if (problem == EACCES)
        return fail(
            error(Code::forbidden, "the socket {} is not open to this user", endpoint.path)
                .with_hint("become root, or a member of group axle: `usermod -aG axle USER`, then log in again"));
    if (problem != 0) return fail(nobody_there(endpoint, std::strerror(problem)));
    return fd;
}

static Result<Fd> connect_tcp(const Endpoint& endpoint, milliseconds limit) {
    addrinfo wish{}, *found = nullptr;
    wish.ai_socktype = SOCK_STREAM;
    wish.ai_flags = AI_NUMERICSERV;
    if (const int no = getaddrinfo(endpoint.host.c_str(), std::to_string(endpoint.port).c_str(), &wish, &found);
        no != 0)
        return fail(nobody_there(endpoint, gai_strerror(no)));
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> all(found, freeaddrinfo);
    int problem = ENOENT;
    for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
        Fd fd(socket(one->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        if (!fd) continue;
        problem = connect_within(fd.get(), one->ai_addr, one->ai_addrlen, limit);
        if (problem == 0) return fd;
    }
    return fail(nobody_there(endpoint, std::strerror(problem)));
}

static Result<> shake_hands(Transport& transport, const Endpoint& endpoint, milliseconds limit) {
    for (;;) {
        const auto step = transport.handshake();
        if (step == Transport::Handshake::done) return {};
        if (step == Transport::Handshake::failed)
            return fail(Code::unavailable, "{}", tls_error("no TLS with " + endpoint.str()));
        if (!wait_for(transport.fd(), step == Transport::Handshake::want_read ? POLLIN : POLLOUT, limit))
            return fail(nobody_there(endpoint, "no answer to the TLS handshake"));
    }
}

static Result<Transport> open_transport(const ClientOptions& options) {
    const Endpoint& endpoint = options.endpoint;
    if (endpoint.kind == Endpoint::Kind::unix_socket) {
        TRY(fd, connect_unix(endpoint, options.connect_time));
        return Transport(std::move(fd));
    }
    TRY(fd, connect_tcp(endpoint, options.connect_time));
    if (endpoint.kind == Endpoint::Kind::http) return Transport(std::move(fd));
    TRY(context, client_context(options.certificate, options.key, options.tls13_only));
    Transport transport(std::move(fd), context, false);
    SSL_set_tlsext_host_name(transport.ssl(), endpoint.host.c_str());
    TRY_VOID(shake_hands(transport, endpoint, options.connect_time));
    return transport;
}

Result<Wire> Wire::dial_unverified(const Endpoint& endpoint, milliseconds connect_time) {
    ClientOptions options;
    options.endpoint = endpoint;
    options.connect_time = connect_time;
    TRY(transport, open_transport(options));
    return Wire(std::move(transport));
}

Result<Wire> Wire::dial(const ClientOptions& options) {
    TRY(transport, open_transport(options));
    if (options.endpoint.kind == Endpoint::Kind::https) TRY_VOID(verify_server(transport.ssl(), options));
    return Wire(std::move(transport));
}

Result<> Wire::write(std::string_view bytes, milliseconds wait, bool stop_if_answered) {
    while (!bytes.empty()) {
        if (stop_if_answered && is_answered()) return {};
        const int sent = transport.write(bytes);
        if (sent < 0) return fail(Code::unavailable, "the server closed the connection");
        bytes.remove_prefix(static_cast<std::size_t>(sent));
        if (sent == 0 &&
            !wait_for(transport.fd(), static_cast<short>(stop_if_answered ? POLLIN | POLLOUT : POLLOUT), wait))
            return fail(Code::timeout, "the server took nothing for {} s; the outcome is unknown", wait.count() / 1000);
    }
    return {};
}

Result<bool> Wire::fill(milliseconds wait) {
    std::array<char, 65536> bytes;
    for (;;) {
        const int got = transport.read(bytes.data(), bytes.size());
        if (got == Transport::kEnd) return false;
        if (got == Transport::kBroken) return fail(Code::unavailable, "the connection to the server was lost");
        if (got > 0) {
            in.append(bytes.data(), static_cast<std::size_t>(got));
            return true;
        }
        if (!wait_for(transport.fd(), POLLIN, wait, give_up))
            return fail(Code::timeout, "the server said nothing for {} s; the outcome is unknown", wait.count() / 1000);
    }
}

bool Wire::is_answered() {
    if (!in.empty()) return true;
    if (!is_readable()) return false;
    std::array<char, 16384> bytes;
    const int got = transport.read(bytes.data(), bytes.size());
    if (got > 0) in.append(bytes.data(), static_cast<std::size_t>(got));
    return got != 0;  // the end will show again when the answer is read
}

bool Wire::is_readable() const {
    return wait_for(transport.fd(), POLLIN, milliseconds{-1});
}

static std::string fingerprint(X509* x509) {
    unsigned char* der = nullptr;
    const int size = i2d_X509(x509, &der);
    std::string told = size > 0 ? sha256_hex({reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)}) : "";
    OPENSSL_free(der);
    return told;
}

// Adds what is trusted; false when the pinned fingerprint is nowhere in the chain.
static bool add_trusted(X509_STORE* store, STACK_OF(X509) * chain, const ClientOptions& options) {
    if (!options.fingerprint.empty()) {
        bool found = false;
        for (int i = 0; i < sk_X509_num(chain); ++i) {
            if (fingerprint(sk_X509_value(chain, i)) != options.fingerprint) continue;
            X509_STORE_add_cert(store, sk_X509_value(chain, i));
            found = true;
        }
        return found;
    }
    BIO* const bio = BIO_new_mem_buf(options.authority.data(), static_cast<int>(options.authority.size()));
    while (X509* const x509 = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr)) {
        X509_STORE_add_cert(store, x509);
        X509_free(x509);
    }
    BIO_free(bio);
    ERR_clear_error();
    return true;
}

static Result<CertificateInfo> info_of(X509* x509) {
    BIO* const bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, x509);
    char* text = nullptr;
    const long size = BIO_get_mem_data(bio, &text);
    auto info = read_certificate({text, static_cast<std::size_t>(size)});
    BIO_free(bio);
    return info;
}

static Result<> check_uri(X509* own, const ClientOptions& options) {
    if (options.expected_uri.empty()) return {};
    TRY(info, info_of(own));
    if (std::ranges::find(info.uris, options.expected_uri) != info.uris.end()) return {};
    return fail(Code::unauthenticated, "the certificate of {} is not one for {}: it stands for \"{}\"",
                options.endpoint.str(), options.expected_uri, fmt::join(info.uris, ", "));
}

// Most certificates that are out of date are not: the clock is. at: the one in the chain that does not pass.
static std::string clock_words(int why, X509* at, bool is_own) {
    const auto info = info_of(at);
    if (!info || (why != X509_V_ERR_CERT_NOT_YET_VALID && why != X509_V_ERR_CERT_HAS_EXPIRED)) return {};
    return fmt::format(" ({}valid from {} to {}; the clock here says {})", is_own ? "" : "its authority is ",
                       format_time(info->not_before), format_time(info->not_after), format_time(wall_now()));
}

Result<> verify_server(ssl_st* ssl, const ClientOptions& options) {
    const std::string where = options.endpoint.str();
    if (options.fingerprint.empty() && options.authority.empty())
        return fail(error(Code::unauthenticated, "nothing is known by which {} could be recognised", where)
                        .with_hint("`axle login " + where + "` shows its fingerprint and pins it"));
    STACK_OF(X509)* const chain = SSL_get_peer_cert_chain(ssl);  // the server's own first
    if (chain == nullptr || sk_X509_num(chain) == 0)
        return fail(Code::unauthenticated, "{} shows no certificate", where);
    X509* const own = sk_X509_value(chain, 0);
    if (!options.fingerprint.empty() && fingerprint(own) == options.fingerprint) return {};
    const std::unique_ptr<X509_STORE, decltype(&X509_STORE_free)> store(X509_STORE_new(), X509_STORE_free);
    if (!add_trusted(store.get(), chain, options))
        return fail(
            error(Code::unauthenticated, "{} is not the server that was pinned: it shows {}, pinned is {}", where,
                  fingerprint(sk_X509_value(chain, sk_X509_num(chain) - 1)), options.fingerprint)
                .with_hint("if it was set up anew, log in again with `axle login`; if not, somebody is in between"));
    const std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> check(X509_STORE_CTX_new(),
                                                                                X509_STORE_CTX_free);
    X509_STORE_CTX_init(check.get(), store.get(), own, chain);
    X509_VERIFY_PARAM* const rules = X509_STORE_CTX_get0_param(check.get());
    X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_PARTIAL_CHAIN);
    X509_VERIFY_PARAM_set_purpose(rules, X509_PURPOSE_SSL_SERVER);
    if (options.expected_uri.empty() && X509_VERIFY_PARAM_set1_ip_asc(rules, options.endpoint.host.c_str()) != 1)
        X509_VERIFY_PARAM_set1_host(rules, options.endpoint.host.data(), options.endpoint.host.size());
    if (X509_verify_cert(check.get()) == 1) return check_uri(own, options);
    const int why = X509_STORE_CTX_get_error(check.get());
    X509* const shown = X509_STORE_CTX_get_current_cert(check.get());
    X509* const at = shown != nullptr ? shown : own;
    ERR_clear_error();
    return fail(error(Code::unauthenticated, "the certificate of {} does not pass: {}{}", where,
                      X509_verify_cert_error_string(why), clock_words(why, at, X509_cmp(at, own) == 0))
                    .with_hint(why == X509_V_ERR_HOSTNAME_MISMATCH || why == X509_V_ERR_IP_ADDRESS_MISMATCH
                                   ? "reach it by a name or address that stands in its certificate"
                                   : "check the clock of both machines, and the pinned authority"));
}

Result<ShownCertificate> fetch_certificate(const Endpoint& endpoint, milliseconds connect_time) {
    if (endpoint.kind != Endpoint::Kind::https)
        return fail(Code::invalid, "{} has no certificate: only https has", endpoint.str());
    TRY(wire, Wire::dial_unverified(endpoint, connect_time));
    STACK_OF(X509)* const chain = SSL_get_peer_cert_chain(wire.transport.ssl());
    if (chain == nullptr || sk_X509_num(chain) == 0)
        return fail(Code::unauthenticated, "{} shows no certificate", endpoint.str());
    X509 *const own = sk_X509_value(chain, 0), *const last = sk_X509_value(chain, sk_X509_num(chain) - 1);
    ShownCertificate shown{fingerprint(own), fingerprint(last), {}, {}};
    BIO* const bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, last);
    char* text = nullptr;
    const long size = BIO_get_mem_data(bio, &text);
    shown.authority.assign(text, static_cast<std::size_t>(size));
    BIO_free(bio);
    char* const subject = X509_NAME_oneline(X509_get_subject_name(own), nullptr, 0);
    shown.subject = subject != nullptr ? subject : "";
    OPENSSL_free(subject);
    return shown;
}

}  // namespace axle::http
