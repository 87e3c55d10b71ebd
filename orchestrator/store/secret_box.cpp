#include "orchestrator/store/secret_box.hpp"

#include <memory>
#include <optional>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "common/base/ensure.hpp"

namespace axle {
namespace {

constexpr std::string_view kPrefix = "v1:";
constexpr std::size_t kKeyBytes = 32, kNonceBytes = 12, kTagBytes = 16;

using Cipher = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

unsigned char* bytes(std::string& text) {
    return reinterpret_cast<unsigned char*>(text.data());
}
const unsigned char* bytes(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}
int length(std::string_view text) {
    ENSURE(text.size() < 1U << 30, "secrets are small");
    return static_cast<int>(text.size());
}

std::string to_base64(std::string_view raw) {
    std::string text((raw.size() + 2) / 3 * 4 + 1, '\0');
    text.resize(static_cast<std::size_t>(EVP_EncodeBlock(bytes(text), bytes(raw), length(raw))));
    return text;
}

std::optional<std::string> from_base64(std::string_view text) {
    if (text.empty() || text.size() % 4 != 0) return std::nullopt;
    std::string raw(text.size() / 4 * 3, '\0');
    const int n = EVP_DecodeBlock(bytes(raw), bytes(text), length(text));
    if (n < 0) return std::nullopt;
    std::size_t padding = 0;  // EVP_DecodeBlock counts it as zero bytes
    while (padding < 2 && text[text.size() - 1 - padding] == '=') ++padding;
    raw.resize(static_cast<std::size_t>(n) - padding);
    return raw;
}

}  // namespace

SecretBox::SecretBox(std::string key) : key_(std::move(key)) {
    ENSURE(key_.size() == kKeyBytes, "the key of the secrets has 32 bytes");
}
SecretBox::~SecretBox() {
    OPENSSL_cleanse(key_.data(), key_.size());
}

bool SecretBox::is_sealed(std::string_view text) {
    return text.starts_with(kPrefix) && text.size() >= kPrefix.size() + (kNonceBytes + kTagBytes + 2) / 3 * 4;
}

std::string SecretBox::seal(std::string_view plain, std::string_view place) const {
    std::string nonce(kNonceBytes, '\0'), tag(kTagBytes, '\0'), sealed(plain.size() + kTagBytes, '\0');
    int n = 0, rest = 0, ignored = 0;
    ERR_clear_error();
    const Cipher cipher(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
    const bool ok = cipher && RAND_bytes(bytes(nonce), length(nonce)) == 1 &&
                    EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, bytes(key_), bytes(nonce)) == 1 &&
                    EVP_EncryptUpdate(cipher.get(), nullptr, &ignored, bytes(place), length(place)) == 1 &&
                    EVP_EncryptUpdate(cipher.get(), bytes(sealed), &n, bytes(plain), length(plain)) == 1 &&
                    EVP_EncryptFinal_ex(cipher.get(), bytes(sealed) + n, &rest) == 1 &&
                    EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, int{kTagBytes}, tag.data()) == 1;
    ENSURE(ok, "AES-256-GCM and random bytes are always there");
    sealed.resize(static_cast<std::size_t>(n + rest));
    return std::string(kPrefix) + to_base64(nonce + sealed + tag);
}

Result<std::string> SecretBox::open(std::string_view sealed, std::string_view place) const {
    if (!sealed.starts_with(kPrefix)) return fail(Code::corrupt, "{}: not a sealed value of version 1", place);
    const auto raw = from_base64(sealed.substr(kPrefix.size()));
    if (!raw || raw->size() < kNonceBytes + kTagBytes)
        return fail(Code::corrupt, "{}: the sealed value is cut off", place);
    const std::string_view all = *raw;
    const std::string_view nonce = all.substr(0, kNonceBytes);
    const std::string_view text = all.substr(kNonceBytes, all.size() - kNonceBytes - kTagBytes);
    std::string tag(all.substr(all.size() - kTagBytes)), plain(text.size() + kTagBytes, '\0');
    int n = 0, rest = 0, ignored = 0;
    ERR_clear_error();
    const Cipher cipher(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
    const bool ok = cipher &&
                    EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, bytes(key_), bytes(nonce)) == 1 &&
                    EVP_DecryptUpdate(cipher.get(), nullptr, &ignored, bytes(place), length(place)) == 1 &&
                    EVP_DecryptUpdate(cipher.get(), bytes(plain), &n, bytes(text), length(text)) == 1 &&
                    EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, int{kTagBytes}, tag.data()) == 1 &&
                    EVP_DecryptFinal_ex(cipher.get(), bytes(plain) + n, &rest) == 1;
    if (!ok) {
        OPENSSL_cleanse(plain.data(), plain.size());
        return fail(error(Code::corrupt, "{}: the sealed value was changed, moved, or sealed with another key", place)
                        .with_hint("is the secret-key file the one of this cluster?"));
    }
    plain.resize(static_cast<std::size_t>(n + rest));
    return plain;
}

}  // namespace axle
