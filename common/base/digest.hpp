// Hashes, by OpenSSL's EVP.
#pragma once
#include <memory>
#include <string>
#include <string_view>

namespace axle {

std::string sha256(std::string_view data);      // 32 raw bytes
std::string hex(std::string_view raw);          // lower case
std::string sha256_hex(std::string_view data);  // 64 characters
std::string hmac_sha256_hex(std::string_view key, std::string_view data);

// A hash over data that comes in pieces. kind: "sha256" or "sha512".
class Digest {
  public:
    explicit Digest(const char* kind = "sha256");
    ~Digest();
    Digest(Digest&&) noexcept;
    Digest& operator=(Digest&&) noexcept;
    void update(std::string_view piece);
    std::string finish_hex();  // once

  private:
    struct Context;
    std::unique_ptr<Context> context_;
};

// Compares without telling by its run time where the first difference is.
bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace axle
