// Base64 (RFC 4648, with padding).
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace axle {

std::string base64_encode(std::string_view bytes);
std::optional<std::string> base64_decode(std::string_view text);  // strict: no white space, right padding

}  // namespace axle
