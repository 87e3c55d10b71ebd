#include "common/http/transport.hpp"

#include <cerrno>
#include <sys/socket.h>

#include <climits>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "common/base/digest.hpp"
#include "common/base/ensure.hpp"
#include "common/http/server.hpp"

namespace axle::http {

std::string tls_error(std::string_view subject) {
    char words[256] = "no reason given";
    if (const unsigned long number = ERR_peek_last_error(); number != 0)
        ERR_error_string_n(number, words, sizeof words);
    ERR_clear_error();
    return fmt::format("{}: {}", subject, words);
}

static TlsContext new_context(const SSL_METHOD* method) {
    TlsContext context(SSL_CTX_new(method), SSL_CTX_free);
    ENSURE(context != nullptr, "OpenSSL gives a context");
    SSL_CTX* const raw = context.get();
    SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
    SSL_CTX_set_mode(raw,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION);
    return context;
}

Result<TlsContext> server_context(const TlsFiles& files) {
    auto context = new_context(TLS_server_method());
    SSL_CTX* const raw = context.get();
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(raw, files.certificate.c_str()) != 1)
        return fail(Code::invalid, "{}", tls_error("certificate " + files.certificate + " can't be used"));
    if (SSL_CTX_use_PrivateKey_file(raw, files.key.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(raw) != 1)
        return fail(Code::invalid, "{}", tls_error("key " + files.key + " can't be used with " + files.certificate));
    SSL_CTX_set_session_id_context(raw, reinterpret_cast<const unsigned char*>("axle"), 4);
    if (files.client_authority.empty()) return context;
    if (SSL_CTX_load_verify_locations(raw, files.client_authority.c_str(), nullptr) != 1)
        return fail(Code::invalid, "{}", tls_error("client authority " + files.client_authority + " can't be used"));
    // Asked for, verified when given, not demanded: the handler decides what needs one.
    SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_client_CA_list(raw, SSL_load_client_CA_file(files.client_authority.c_str()));
    return context;
}

Result<TlsContext> client_context(const std::string& certificate, const std::string& key) {
    auto context = new_context(TLS_client_method());
    if (certificate.empty()) return context;
    ERR_clear_error();
    BIO* const cert_bio = BIO_new_mem_buf(certificate.data(), static_cast<int>(certificate.size()));
    BIO* const key_bio = BIO_new_mem_buf(key.data(), static_cast<int>(key.size()));
    X509* const x509 = PEM_read_bio_X509(cert_bio, nullptr, nullptr, nullptr);
    EVP_PKEY* const private_key = PEM_read_bio_PrivateKey(key_bio, nullptr, nullptr, nullptr);
    const bool good = x509 != nullptr && private_key != nullptr && SSL_CTX_use_certificate(context.get(), x509) == 1 &&
                      SSL_CTX_use_PrivateKey(context.get(), private_key) == 1;
    X509_free(x509);
    EVP_PKEY_free(private_key);
    BIO_free(cert_bio);
    BIO_free(key_bio);
    if (!good) return fail(Code::invalid, "{}", tls_error("the client certificate and its key can't be used"));
    return context;
}

Transport::Transport(Fd fd) : fd_(std::move(fd)) {}

Transport::Transport(Fd fd, const TlsContext& context, bool server) : fd_(std::move(fd)), ssl_(SSL_new(context.get())) {
    ENSURE(ssl_ != nullptr && SSL_set_fd(ssl_, fd_.get()) == 1, "OpenSSL gives a session");
    if (server)
        SSL_set_accept_state(ssl_);
    else
        SSL_set_connect_state(ssl_);
}

Transport::Transport(Transport&& other) noexcept
    : fd_(std::move(other.fd_)), ssl_(std::exchange(other.ssl_, nullptr)) {}

Transport::~Transport() {
    if (ssl_ != nullptr) SSL_free(ssl_);
}

Transport::Handshake Transport::handshake() {
    if (ssl_ == nullptr) return Handshake::done;
    ERR_clear_error();
    const int done = SSL_do_handshake(ssl_);
    if (done == 1) return Handshake::done;
    switch (SSL_get_error(ssl_, done)) {
        case SSL_ERROR_WANT_READ:
            return Handshake::want_read;
        case SSL_ERROR_WANT_WRITE:
            return Handshake::want_write;
        default:
            return Handshake::failed;
    }
}

int Transport::read(char* to, std::size_t room) {
    if (ssl_ == nullptr) {
        const ssize_t got = recv(fd_.get(), to, room, 0);
        if (got > 0) return static_cast<int>(got);
        if (got == 0) return kEnd;
        return errno == EAGAIN || errno == EINTR ? 0 : kBroken;
    }
    ERR_clear_error();
    const int got = SSL_read(ssl_, to, static_cast<int>(std::min<std::size_t>(room, INT_MAX)));
    if (got > 0) return got;
    switch (SSL_get_error(ssl_, got)) {
        case SSL_ERROR_WANT_READ:
        case SSL_ERROR_WANT_WRITE:
            return 0;
        case SSL_ERROR_ZERO_RETURN:
            return kEnd;
        default:
            return kBroken;
    }
}

int Transport::write(std::string_view bytes) {
    if (ssl_ == nullptr) {
        const ssize_t sent = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent >= 0) return static_cast<int>(sent);
        return errno == EAGAIN || errno == EINTR ? 0 : kBroken;
    }
    ERR_clear_error();
    const int sent = SSL_write(ssl_, bytes.data(), static_cast<int>(std::min<std::size_t>(bytes.size(), 65536)));
    if (sent > 0) return sent;
    const int why = SSL_get_error(ssl_, sent);
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : kBroken;
}

void Transport::end_writing() {
    if (ssl_ != nullptr) {
        ERR_clear_error();
        SSL_shutdown(ssl_);
    }
    shutdown(fd_.get(), SHUT_WR);
}

PeerCertificate peer_certificate(ssl_st* ssl) {
    PeerCertificate told;
    X509* const x509 = ssl == nullptr ? nullptr : SSL_get1_peer_certificate(ssl);
    if (x509 == nullptr) return told;
    if (SSL_get_verify_result(ssl) == X509_V_OK) {
        const int at = X509_NAME_get_index_by_NID(X509_get_subject_name(x509), NID_commonName, -1);
        if (at >= 0) {
            const ASN1_STRING* const name =
                X509_NAME_ENTRY_get_data(X509_NAME_get_entry(X509_get_subject_name(x509), at));
            unsigned char* text = nullptr;
            // Length and all: a name with an embedded NUL must not pass for its beginning.
            if (const int size = ASN1_STRING_to_UTF8(&text, name); size >= 0)
                told.name.assign(reinterpret_cast<const char*>(text), static_cast<std::size_t>(size));
            OPENSSL_free(text);
        }
        unsigned char* der = nullptr;
        if (const int size = i2d_X509(x509, &der); size > 0)
            told.fingerprint = sha256_hex({reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)});
        OPENSSL_free(der);
    }
    X509_free(x509);
    return told;
}

}  // namespace axle::http
