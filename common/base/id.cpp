#include "common/base/id.hpp"

#include "common/base/digest.hpp"

namespace axle {
namespace {

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}
constexpr bool dash_at(std::size_t i) {
    return i == 8 || i == 13 || i == 18 || i == 23;
}

}  // namespace

std::string Uuid::str() const {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text(36, '-');
    std::size_t at = 0;
    for (std::uint8_t b : bytes) {
        if (dash_at(at)) ++at;
        text[at++] = kDigits[b >> 4];
        text[at++] = kDigits[b & 15];
    }
    return text;
}

std::optional<Uuid> Uuid::parse(std::string_view text) {
    if (text.size() != 36) return std::nullopt;
    Uuid id;
    std::size_t nibble = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (dash_at(i)) {
            if (text[i] != '-') return std::nullopt;
            continue;
        }
        const int v = hex_value(text[i]);
        if (v < 0) return std::nullopt;
        id.bytes[nibble / 2] = static_cast<std::uint8_t>(id.bytes[nibble / 2] << 4 | v);
        ++nibble;
    }
    return id;
}

Uuid Uuid::make_v7(WallTime now, Random& random) {
    Uuid id;
    const auto ms = static_cast<std::uint64_t>(now.ms);
    for (std::size_t i = 0; i < 6; ++i) id.bytes[i] = static_cast<std::uint8_t>(ms >> (40 - 8 * i));
    const std::uint64_t a = random.next(), b = random.next();
    id.bytes[6] = static_cast<std::uint8_t>(0x70 | (a & 0x0f));
    id.bytes[7] = static_cast<std::uint8_t>(a >> 8);
    for (std::size_t i = 0; i < 8; ++i) id.bytes[8 + i] = static_cast<std::uint8_t>(b >> (8 * i));
    id.bytes[8] = static_cast<std::uint8_t>(0x80 | (id.bytes[8] & 0x3f));
    return id;
}

std::string short_hash(const Uuid& id) {
    static constexpr char kBase32[] = "abcdefghijklmnopqrstuvwxyz234567";
    const std::string digest = sha256(id.str());
    std::string text;
    std::uint32_t bits = 0;
    int held = 0;
    for (unsigned char c : digest) {
        bits = bits << 8 | c;
        for (held += 8; held >= 5 && text.size() < 12; held -= 5) text += kBase32[bits >> (held - 5) & 31];
        if (text.size() == 12) break;
    }
    return text;
}

}  // namespace axle
