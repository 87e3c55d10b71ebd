// A client of the test's own that offers a stated version of TLS and shows a certificate: one request, its whole
// answer.
#pragma once
#include <arpa/inet.h>
#include <memory>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "common/base/file.hpp"

namespace axle::test {

struct RawTlsAnswer {
    std::string version;  // that was agreed on, "TLSv1.2"; empty: the handshake failed
    std::string text;     // of the HTTP answer, up to the end of the connection
};

// To 127.0.0.1. certificate: PEM, the leaf first; no version above `at_most` is offered.
inline RawTlsAnswer ask_over_tls(int port, const std::string& certificate, const std::string& key, int at_most,
                                 const std::string& request) {
    struct Free {
        void operator()(SSL_CTX* it) const { SSL_CTX_free(it); }
        void operator()(SSL* it) const { SSL_free(it); }
        void operator()(X509* it) const { X509_free(it); }
        void operator()(EVP_PKEY* it) const { EVP_PKEY_free(it); }
        void operator()(BIO* it) const { BIO_free(it); }
    };
    const std::unique_ptr<SSL_CTX, Free> context(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_max_proto_version(context.get(), at_most);
    if (!certificate.empty()) {
        const std::unique_ptr<BIO, Free> leaf(
            BIO_new_mem_buf(certificate.data(), static_cast<int>(certificate.size())));
        const std::unique_ptr<BIO, Free> secret(BIO_new_mem_buf(key.data(), static_cast<int>(key.size())));
        const std::unique_ptr<X509, Free> own(PEM_read_bio_X509(leaf.get(), nullptr, nullptr, nullptr));
        const std::unique_ptr<EVP_PKEY, Free> own_key(PEM_read_bio_PrivateKey(secret.get(), nullptr, nullptr, nullptr));
        SSL_CTX_use_certificate(context.get(), own.get());
        SSL_CTX_use_PrivateKey(context.get(), own_key.get());
    }
    const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) return {};
    const timeval patience{20, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    const std::unique_ptr<SSL, Free> session(SSL_new(context.get()));
    SSL_set_fd(session.get(), fd.get());
    if (SSL_connect(session.get()) != 1) return {};
    RawTlsAnswer answer{.version = SSL_get_version(session.get()), .text = {}};
    SSL_write(session.get(), request.data(), static_cast<int>(request.size()));
    char bytes[4096];
    for (int got = 0; (got = SSL_read(session.get(), bytes, sizeof bytes)) > 0;)
        answer.text.append(bytes, static_cast<std::size_t>(got));
    return answer;
}

}  // namespace axle::test
