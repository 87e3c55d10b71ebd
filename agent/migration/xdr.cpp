#include "agent/migration/xdr.hpp"

namespace axle {
namespace {

constexpr std::size_t padding(std::size_t length) {
    return (4 - length % 4) % 4;
}

}  // namespace

Result<> XdrReader::skip(std::size_t count) {
    if (count > rest_.size()) return fail(Code::malformed, "{} bytes are missing", count - rest_.size());
    rest_.remove_prefix(count);
    return {};
}

Result<std::uint32_t> XdrReader::word() {
    const std::string_view at = rest_;
    TRY_VOID(skip(4));
    std::uint32_t value = 0;
    for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(at[static_cast<std::size_t>(i)]);
    return value;
}

Result<std::string_view> XdrReader::bytes(std::size_t limit) {
    TRY(length, word());
    if (length > limit) return fail(Code::malformed, "a value has {} bytes, {} are allowed", length, limit);
    const std::string_view value = rest_.substr(0, length);
    TRY_VOID(skip(length + padding(length)));
    return value;
}

XdrWriter& XdrWriter::word(std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) out_ += static_cast<char>(value >> shift & 0xff);
    return *this;
}

XdrWriter& XdrWriter::bytes(std::string_view value) {
    word(static_cast<std::uint32_t>(value.size()));
    out_ += value;
    out_.append(padding(value.size()), '\0');
    return *this;
}

}  // namespace axle
