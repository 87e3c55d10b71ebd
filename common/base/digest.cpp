#include "common/base/digest.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/base/ensure.hpp"

namespace axle {

struct Digest::Context {
    EVP_MD_CTX* ctx = EVP_MD_CTX_new();
    ~Context() { EVP_MD_CTX_free(ctx); }
};

Digest::Digest(const char* kind) : context_(std::make_unique<Context>()) {
    const EVP_MD* md = EVP_get_digestbyname(kind);
    ENSURE(md != nullptr && EVP_DigestInit_ex(context_->ctx, md, nullptr) == 1, "the digest is one that OpenSSL has");
}
Digest::~Digest() = default;
Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;

void Digest::update(std::string_view piece) {
    ENSURE(EVP_DigestUpdate(context_->ctx, piece.data(), piece.size()) == 1, "a digest takes any bytes");
}

std::string Digest::finish_hex() {
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    ENSURE(EVP_DigestFinal_ex(context_->ctx, raw, &size) == 1, "a digest is finished once");
    return hex({reinterpret_cast<const char*>(raw), size});
}

std::string sha256(std::string_view data) {
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    ENSURE(EVP_Digest(data.data(), data.size(), raw, &size, EVP_sha256(), nullptr) == 1, "sha256 is there");
    return {reinterpret_cast<const char*>(raw), size};
}

std::string hex(std::string_view raw) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    text.reserve(raw.size() * 2);
    for (unsigned char c : raw) {
        text += kDigits[c >> 4];
        text += kDigits[c & 15];
    }
    return text;
}

std::string sha256_hex(std::string_view data) {
    return hex(sha256(data));
}

std::string hmac_sha256_hex(std::string_view key, std::string_view data) {
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    const auto* const made = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                                  reinterpret_cast<const unsigned char*>(data.data()), data.size(), raw, &size);
    ENSURE(made != nullptr, "OpenSSL has SHA-256");
    return hex({reinterpret_cast<const char*>(raw), size});
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace axle
