// Seals sensitive fields before they reach the store: AES-256-GCM with the cluster's key.
#pragma once
#include <string>
#include <string_view>

#include "common/base/result.hpp"

namespace axle {

// Immutable; any thread.
class SecretBox {
  public:
    // key: 32 raw bytes (Identity::secret_key).
    explicit SecretBox(std::string key);
    ~SecretBox();  // wipes the key
    SecretBox(const SecretBox&) = delete;
    SecretBox& operator=(const SecretBox&) = delete;

    // "v1:" and base64 of nonce (12 bytes, random), ciphertext, tag (16). What `place` says (object id and path) must
    // be said again to open, so a sealed value can't be moved to another field.
    std::string seal(std::string_view plain, std::string_view place) const;
    // Code::corrupt if it was changed, moved, or sealed with another key. The text of the error holds no secret.
    Result<std::string> open(std::string_view sealed, std::string_view place) const;
    static bool is_sealed(std::string_view text);  // by its form

  private:
    std::string key_;
};

}  // namespace axle
