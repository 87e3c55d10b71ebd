#include "common/http/tls.hpp"

#include <arpa/inet.h>
#include <ctime>
#include <memory>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "common/base/digest.hpp"
#include "common/base/file.hpp"
#include "common/http/transport.hpp"

namespace axle::http {

namespace {

template <auto free_it>
struct Freer {
    template <class T>
    void operator()(T* what) const {
        free_it(what);
    }
};
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freer<X509_free>>;
using CertificateRequest = std::unique_ptr<X509_REQ, Freer<X509_REQ_free>>;
using Name = std::unique_ptr<X509_NAME, Freer<X509_NAME_free>>;
using Bio = std::unique_ptr<BIO, Freer<BIO_free_all>>;

constexpr std::int64_t kDay = 86'400, kAuthorityDays = 3'650;
constexpr std::int64_t kSlack = 3'600;  // for clocks that lag

std::string text_of(const Bio& bio) {
    char* text = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &text);
    return {text, static_cast<std::size_t>(size)};
}
Bio bio_of(std::string_view text) {
    return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}
std::string to_pem(X509* x509) {
    const Bio bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(bio.get(), x509);
    return text_of(bio);
}
std::string to_pem(EVP_PKEY* key) {
    const Bio bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
    return text_of(bio);
}

Result<Certificate> read_x509(std::string_view pem) {
    ERR_clear_error();
    Certificate x509(PEM_read_bio_X509(bio_of(pem).get(), nullptr, nullptr, nullptr));
    if (!x509) return fail(Code::malformed, "{}", tls_error("this is no certificate in PEM"));
    return x509;
}
Result<Key> read_key(std::string_view pem) {
    ERR_clear_error();
    Key key(PEM_read_bio_PrivateKey(bio_of(pem).get(), nullptr, nullptr, nullptr));
    if (!key) return fail(Code::malformed, "{}", tls_error("this is no private key in PEM"));
    return key;
}

std::string common_name(const X509_NAME* name) {
    char text[256] = "";
    X509_NAME_get_text_by_NID(const_cast<X509_NAME*>(name), NID_commonName, text, sizeof text);
    return text;
}

bool set_name(X509_NAME* name, const std::string& text) {
    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(text.data()),
                                      static_cast<int>(text.size()), -1, 0) == 1;
}

bool add_extension(X509* x509, X509* issuer, int kind, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, x509, nullptr, nullptr, 0);
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
    const bool added = extension != nullptr && X509_add_ext(x509, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

bool set_serial(X509* x509) {
    unsigned char bytes[16];
    if (RAND_bytes(bytes, sizeof bytes) != 1) return false;
    bytes[0] &= 0x7f;
    BIGNUM* const number = BN_bin2bn(bytes, sizeof bytes, nullptr);
    const bool set = BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509)) != nullptr;
    BN_free(number);
    return set;
}

bool set_times(X509* x509, WallTime now, std::int64_t days) {
    std::time_t from = now.ms / 1000 - kSlack, to = now.ms / 1000 + days * kDay;
    return X509_time_adj_ex(X509_getm_notBefore(x509), 0, 0, &from) != nullptr &&
           X509_time_adj_ex(X509_getm_notAfter(x509), 0, 0, &to) != nullptr;
}

// "DNS:a,IP:b,URI:c"; refuses what would be read as something else.
Result<std::string> alternative_names(const CertificateWish& wish) {
    std::string text;
    for (const auto& name : wish.dns_names) {
        if (name.empty() || name.find_first_of(",:\\ \n") != std::string::npos)
            return fail(Code::invalid, "\"{}\" is no DNS name for a certificate", name);
        text += (text.empty() ? "DNS:" : ",DNS:") + name;
    }
    for (const auto& address : wish.addresses) {
        in6_addr parsed{};
        if (inet_pton(AF_INET, address.c_str(), &parsed) != 1 && inet_pton(AF_INET6, address.c_str(), &parsed) != 1)
            return fail(Code::invalid, "\"{}\" is no IPv4 or IPv6 address for a certificate", address);
        text += (text.empty() ? "IP:" : ",IP:") + address;
    }
    for (const auto& uri : wish.uris) {
        if (uri.empty() ||
            uri.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/.-_") !=
                std::string::npos)
            return fail(Code::invalid, "\"{}\" is no URI for a certificate of ours", uri);
        text += (text.empty() ? "URI:" : ",URI:") + uri;
    }
    return text;
}

std::string extended_uses(const CertificateWish& wish) {
    if (wish.server && wish.client) return "serverAuth,clientAuth";
    return wish.server ? "serverAuth" : "clientAuth";
}

// What is followed by nothing else is followed by the certificate of who signed it.
std::string with_chain(std::string certificate, const KeyPair& authority, const CertificateWish& wish) {
    return certificate + (wish.followed_by.empty() ? authority.certificate : wish.followed_by);
}

// An authority's certificate, but for its times and its signature: by its own word, or by that of another of its name.
bool fill_authority(X509* x509, X509* issuer, const X509_NAME* name, EVP_PKEY* key) {
    return X509_set_version(x509, X509_VERSION_3) == 1 && set_serial(x509) && X509_set_subject_name(x509, name) == 1 &&
           X509_set_issuer_name(x509, name) == 1 && X509_set_pubkey(x509, key) == 1 &&
           add_extension(x509, issuer, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
           add_extension(x509, issuer, NID_key_usage, "critical,keyCertSign,cRLSign") &&
           add_extension(x509, issuer, NID_subject_key_identifier, "hash") &&
           (issuer == x509 || add_extension(x509, issuer, NID_authority_key_identifier, "keyid:always"));
}

// The certificate of `subject_key`, signed by the authority.
Result<std::string> sign(const KeyPair& authority, EVP_PKEY* subject_key, const CertificateWish& wish, WallTime now) {
    TRY(issuer, read_x509(authority.certificate));
    TRY(issuer_key, read_key(authority.key));
    TRY(names, alternative_names(wish));
    const Certificate x509(X509_new());
    X509_set_version(x509.get(), X509_VERSION_3);
    X509* const raw = x509.get();
    const bool good =
        set_serial(raw) && set_times(raw, now, wish.days) && set_name(X509_get_subject_name(raw), wish.name) &&
        X509_set_issuer_name(raw, X509_get_subject_name(issuer.get())) == 1 && X509_set_pubkey(raw, subject_key) == 1 &&
        add_extension(raw, issuer.get(), NID_basic_constraints, "critical,CA:FALSE") &&
        add_extension(raw, issuer.get(), NID_key_usage, "critical,digitalSignature") &&
        add_extension(raw, issuer.get(), NID_ext_key_usage, extended_uses(wish)) &&
        add_extension(raw, issuer.get(), NID_subject_key_identifier, "hash") &&
        add_extension(raw, issuer.get(), NID_authority_key_identifier, "keyid") &&
        (names.empty() || add_extension(raw, issuer.get(), NID_subject_alt_name, names)) &&
        X509_sign(raw, issuer_key.get(), EVP_sha256()) > 0;
    if (!good) return fail(Code::internal, "{}", tls_error("can't make a certificate for " + wish.name));
    return to_pem(raw);
}

WallTime time_of(const ASN1_TIME* when) {
    std::tm t{};
    if (ASN1_TIME_to_tm(when, &t) != 1) return {};
    return {std::int64_t{timegm(&t)} * 1000};
}

void read_names(X509* x509, CertificateInfo& info) {
    auto* const names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(x509, NID_subject_alt_name, nullptr, nullptr));
    for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names); ++i) {
        const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names, i);
        const unsigned char* const bytes = ASN1_STRING_get0_data(name->d.ia5);
        const int size = ASN1_STRING_length(name->d.ia5);
        char text[INET6_ADDRSTRLEN] = "";
        if (name->type == GEN_DNS)
            info.dns_names.emplace_back(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
        else if (name->type == GEN_URI)
            info.uris.emplace_back(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
        else if (name->type == GEN_IPADD &&
                 inet_ntop(size == 4 ? AF_INET : AF_INET6, bytes, text, sizeof text) != nullptr)
            info.addresses.emplace_back(text);
    }
    GENERAL_NAMES_free(names);
}

}  // namespace

Result<KeyPair> make_authority(const std::string& name, WallTime now) {
    const Key key(EVP_EC_gen("P-256"));
    const Certificate x509(X509_new());
    X509* const raw = x509.get();
    const Name subject(X509_NAME_new());
    const bool good = key && set_name(subject.get(), name) && fill_authority(raw, raw, subject.get(), key.get()) &&
                      set_times(raw, now, kAuthorityDays) && X509_sign(raw, key.get(), EVP_sha256()) > 0;
    if (!good) return fail(Code::internal, "{}", tls_error("can't make the authority " + name));
    return KeyPair{to_pem(raw), to_pem(key.get())};
}

Result<Successor> make_successor(const KeyPair& old, WallTime now) {
    TRY(before, read_x509(old.certificate));
    TRY(old_key, read_key(old.key));
    const Key key(EVP_EC_gen("P-256"));
    const Certificate own(X509_new()), cross(X509_new());
    const X509_NAME* const name = X509_get_subject_name(before.get());
    const ASN1_TIME* const from = X509_get0_notBefore(before.get());
    const bool good =
        key && fill_authority(own.get(), own.get(), name, key.get()) && set_times(own.get(), now, kAuthorityDays) &&
        X509_set1_notBefore(own.get(), from) == 1 && X509_sign(own.get(), key.get(), EVP_sha256()) > 0 &&
        fill_authority(cross.get(), before.get(), name, key.get()) && X509_set1_notBefore(cross.get(), from) == 1 &&
        X509_set1_notAfter(cross.get(), X509_get0_notAfter(before.get())) == 1 &&
        X509_sign(cross.get(), old_key.get(), EVP_sha256()) > 0;
    if (!good) return fail(Code::internal, "{}", tls_error("can't make a successor of " + common_name(name)));
    return Successor{{to_pem(own.get()), to_pem(key.get())}, to_pem(cross.get())};
}

Result<KeyPair> issue_certificate(const KeyPair& authority, const CertificateWish& wish, WallTime now) {
    const Key key(EVP_EC_gen("P-256"));
    if (!key) return fail(Code::internal, "{}", tls_error("can't make a key"));
    TRY(certificate, sign(authority, key.get(), wish, now));
    return KeyPair{with_chain(std::move(certificate), authority, wish), to_pem(key.get())};
}

Result<SigningRequest> make_signing_request(const std::string& name) {
    const Key key(EVP_EC_gen("P-256"));
    const CertificateRequest request(X509_REQ_new());
    const bool good = key && X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) == 1 &&
                      set_name(X509_REQ_get_subject_name(request.get()), name) &&
                      X509_REQ_set_pubkey(request.get(), key.get()) == 1 &&
                      X509_REQ_sign(request.get(), key.get(), EVP_sha256()) > 0;
    if (!good) return fail(Code::internal, "{}", tls_error("can't make a signing request for " + name));
    const Bio bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509_REQ(bio.get(), request.get());
    return SigningRequest{text_of(bio), to_pem(key.get())};
}

namespace {

Result<CertificateRequest> read_request(const std::string& request) {
    ERR_clear_error();
    CertificateRequest parsed(PEM_read_bio_X509_REQ(bio_of(request).get(), nullptr, nullptr, nullptr));
    if (!parsed) return fail(Code::malformed, "{}", tls_error("this is no signing request in PEM"));
    EVP_PKEY* const key = X509_REQ_get0_pubkey(parsed.get());
    if (key == nullptr || X509_REQ_verify(parsed.get(), key) != 1)
        return fail(Code::malformed, "{}", tls_error("the signing request is not signed by its own key"));
    if (EVP_PKEY_get_security_bits(key) < 112)
        return fail(Code::invalid, "the key of the signing request is too weak: {} bits of security, 112 are needed",
                    EVP_PKEY_get_security_bits(key));
    return parsed;
}

}  // namespace

Result<> check_request(const std::string& request) {
    auto parsed = read_request(request);
    return parsed ? Result<>{} : fail(std::move(parsed.error()));
}

Result<std::string> sign_request(const KeyPair& authority, const std::string& request, const CertificateWish& wish,
                                 WallTime now) {
    TRY(parsed, read_request(request));
    TRY(certificate, sign(authority, X509_REQ_get0_pubkey(parsed.get()), wish, now));
    return with_chain(std::move(certificate), authority, wish);
}

Result<> check_key_pair(const KeyPair& pair) {
    TRY(x509, read_x509(pair.certificate));
    TRY(key, read_key(pair.key));
    ERR_clear_error();
    if (X509_check_private_key(x509.get(), key.get()) == 1) return {};
    return fail(Code::invalid, "{}", tls_error("the key is not the certificate's"));
}

Result<CertificateInfo> read_certificate(std::string_view pem) {
    TRY(x509, read_x509(pem));
    CertificateInfo info;
    info.name = common_name(X509_get_subject_name(x509.get()));
    info.issuer = common_name(X509_get_issuer_name(x509.get()));
    info.not_before = time_of(X509_get0_notBefore(x509.get()));
    info.not_after = time_of(X509_get0_notAfter(x509.get()));
    unsigned char* der = nullptr;
    if (const int size = i2d_X509(x509.get(), &der); size > 0)
        info.fingerprint = sha256_hex({reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)});
    OPENSSL_free(der);
    read_names(x509.get(), info);
    return info;
}

Result<std::string> fingerprint_of(std::string_view pem) {
    TRY(info, read_certificate(pem));
    return info.fingerprint;
}

Result<std::vector<std::string>> certificates_in(std::string_view pem) {
    ERR_clear_error();
    const Bio bio = bio_of(pem);
    std::vector<std::string> out;
    while (const Certificate x509{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)})
        out.push_back(to_pem(x509.get()));
    if (out.empty()) return fail(Code::malformed, "{}", tls_error("here is no certificate in PEM"));
    ERR_clear_error();  // the end of the text
    return out;
}

Result<> write_key_pair(const KeyPair& pair, const std::string& certificate_path, const std::string& key_path) {
    TRY_VOID(write_file_durably(key_path, pair.key, 0600));
    return write_file_durably(certificate_path, pair.certificate, 0600);
}

Result<KeyPair> read_key_pair(const std::string& certificate_path, const std::string& key_path) {
    TRY(certificate, read_file(certificate_path, 1 << 20));
    TRY(key, read_file(key_path, 1 << 20));
    return KeyPair{std::move(certificate), std::move(key)};
}

}  // namespace axle::http
