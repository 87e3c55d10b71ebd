#include "common/http/transport.hpp"

#include <cerrno>
#include <sys/socket.h>

#include <climits>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "common/base/ensure.hpp"
#include "common/base/now.hpp"
#include "common/base/units.hpp"
#include "common/http/server.hpp"
#include "common/http/tls.hpp"

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

// Where a session keeps why the peer's certificate was not believed. OpenSSL's own result may be overwritten by what is
// checked after it.
static int problem_slot() {
    static const int slot = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return slot;
}

// A certificate that does not pass ends no handshake: whoever needs one says in words why it is not taken.
static int note_problem(int passed, X509_STORE_CTX* check) {
    if (passed == 1) return 1;
    auto* const ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(check, SSL_get_ex_data_X509_STORE_CTX_idx()));
    if (SSL_get_ex_data(ssl, problem_slot()) == nullptr)
        SSL_set_ex_data(ssl, problem_slot(),
                        reinterpret_cast<void*>(static_cast<std::intptr_t>(X509_STORE_CTX_get_error(check))));
    return 1;
}

static long problem_of(const SSL* ssl) {
    const auto noted = reinterpret_cast<std::intptr_t>(SSL_get_ex_data(ssl, problem_slot()));
    return noted != 0 ? static_cast<long>(noted) : SSL_get_verify_result(ssl);
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
    SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, note_problem);
    // A resumed session would bring back a certificate without any check.
    SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(raw, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(raw, 0);
    SSL_CTX_set_client_CA_list(raw, SSL_load_client_CA_file(files.client_authority.c_str()));
    return context;
}

Result<TlsContext> client_context(const std::string& certificate, const std::string& key, bool tls13_only) {
    auto context = new_context(TLS_client_method());
    if (tls13_only) SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
    if (certificate.empty()) return context;
    ERR_clear_error();
    BIO* const cert_bio = BIO_new_mem_buf(certificate.data(), static_cast<int>(certificate.size()));
    BIO* const key_bio = BIO_new_mem_buf(key.data(), static_cast<int>(key.size()));
    X509* const x509 = PEM_read_bio_X509(cert_bio, nullptr, nullptr, nullptr);
    EVP_PKEY* const private_key = PEM_read_bio_PrivateKey(key_bio, nullptr, nullptr, nullptr);
    bool good = x509 != nullptr && private_key != nullptr && SSL_CTX_use_certificate(context.get(), x509) == 1 &&
                SSL_CTX_use_PrivateKey(context.get(), private_key) == 1;
    // What leads to an authority that the server knows, if it does not know the one that signed. An authority's own
    // word for itself convinces nobody, and a server would keep it in memory for each of ten thousand connections.
    while (X509* const next = good ? PEM_read_bio_X509(cert_bio, nullptr, nullptr, nullptr) : nullptr) {
        if (X509_self_signed(next, 0) == 1)
            X509_free(next);
        else
            good = SSL_CTX_add0_chain_cert(context.get(), next) == 1;
    }
    X509_free(x509);
    EVP_PKEY_free(private_key);
    BIO_free(cert_bio);
    BIO_free(key_bio);
    if (!good) return fail(Code::invalid, "{}", tls_error("the client certificate and its key can't be used"));
    ERR_clear_error();  // the end of the text
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

bool is_tls13(const ssl_st* ssl) {
    return ssl != nullptr && SSL_version(ssl) >= TLS1_3_VERSION;
}

static std::string pem_of(X509* x509) {
    BIO* const bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, x509);
    char* text = nullptr;
    const long size = BIO_get_mem_data(bio, &text);
    std::string pem(text, static_cast<std::size_t>(size));
    BIO_free(bio);
    return pem;
}

// Its own time comes first: what signed it may have gone as well, and be no news to who has been away.
static std::string problem_text(long number, const CertificateInfo& info) {
    const WallTime now = wall_now();
    if (info.not_after <= now)
        return fmt::format("it ended at {}, and the clock here says {}", format_time(info.not_after), format_time(now));
    if (now < info.not_before)
        return fmt::format("it is valid from {} on, and the clock here says {}", format_time(info.not_before),
                           format_time(now));
    return fmt::format("{} (issued by \"{}\")", X509_verify_cert_error_string(number), info.issuer);
}

PeerCertificate peer_certificate(ssl_st* ssl) {
    PeerCertificate told;
    X509* const x509 = ssl == nullptr ? nullptr : SSL_get1_peer_certificate(ssl);
    if (x509 == nullptr) return told;
    const auto info = read_certificate(pem_of(x509));
    const long problem = problem_of(ssl);
    if (!info) {
        told.problem = info.error().message;
    } else if (problem != X509_V_OK) {
        told.problem = problem_text(problem, *info);
    } else {
        told.uris = info->uris;
        told.fingerprint = info->fingerprint;
        told.not_before_ms = info->not_before.ms;
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
    }
    X509_free(x509);
    return told;
}

}  // namespace axle::http
