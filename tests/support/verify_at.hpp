// What TLS makes of a certificate at a stated time: verified as common/http does, but by the clock of the test.
#pragma once
#include <ctime>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "common/base/clock.hpp"

namespace axle::test {

enum class Shown { by_server, by_client };

// Each text is parsed once: that takes longer than the verifying. One thread.
inline const std::vector<std::shared_ptr<X509>>& parsed(const std::string& pem) {
    static std::map<std::string, std::vector<std::shared_ptr<X509>>> known;
    const auto [at, is_new] = known.try_emplace(pem);
    if (!is_new) return at->second;
    BIO* const bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
    while (X509* const one = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr)) at->second.emplace_back(one, X509_free);
    BIO_free(bio);
    ERR_clear_error();  // the end of the text
    return at->second;
}

// "": it passes; else OpenSSL's words. shown: PEM, a certificate and what follows it in the handshake. trusted: PEM.
inline std::string verify_at(WallTime when, const std::string& shown, const std::string& trusted, Shown as) {
    struct Free {
        void operator()(X509_STORE* it) const { X509_STORE_free(it); }
        void operator()(X509_STORE_CTX* it) const { X509_STORE_CTX_free(it); }
        void operator()(STACK_OF(X509) * it) const { sk_X509_free(it); }
    };
    const std::unique_ptr<STACK_OF(X509), Free> chain(sk_X509_new_null());
    for (const auto& one : parsed(shown)) sk_X509_push(chain.get(), one.get());
    const std::unique_ptr<X509_STORE, Free> store(X509_STORE_new());
    for (const auto& one : parsed(trusted)) X509_STORE_add_cert(store.get(), one.get());
    if (sk_X509_num(chain.get()) == 0) return "nothing is shown";
    const std::unique_ptr<X509_STORE_CTX, Free> check(X509_STORE_CTX_new());
    X509_STORE_CTX_init(check.get(), store.get(), sk_X509_value(chain.get(), 0), chain.get());
    X509_VERIFY_PARAM* const rules = X509_STORE_CTX_get0_param(check.get());
    X509_VERIFY_PARAM_set_time(rules, static_cast<std::time_t>(when.ms / 1000));
    X509_VERIFY_PARAM_set_purpose(rules, as == Shown::by_server ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT);
    if (as == Shown::by_server) X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_PARTIAL_CHAIN);
    if (X509_verify_cert(check.get()) == 1) return "";
    return X509_verify_cert_error_string(X509_STORE_CTX_get_error(check.get()));
}

}  // namespace axle::test
