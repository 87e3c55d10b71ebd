#include "orchestrator/relocation/tar.hpp"

#include <charconv>
#include <numeric>
#include <optional>

#include "common/base/pieces.hpp"

namespace axle {
namespace {

constexpr std::int64_t kOctalMax = INT64_C(1) << 33;  // what 11 octal digits hold

// POSIX ustar, as far as we write it.
struct Field {
    std::size_t at, size;
};
constexpr Field kName{0, 100}, kMode{100, 8}, kUser{108, 8}, kGroup{116, 8}, kSize{124, 12}, kTime{136, 12},
    kSum{148, 8}, kType{156, 1}, kMagic{257, 8};
constexpr std::string_view kUstar{
    "ustar\0"
    "00",
    8};

void put_field(std::string& block, Field field, std::string_view text) {
    block.replace(field.at, text.size(), text);
}
void put_octal(std::string& block, Field field, std::uint64_t value) {
    put_field(block, field, fmt::format("{:0{}o}", value, field.size - 1));
}
// Larger files as GNU tar writes them: a bit, then big-endian bytes.
void put_size(std::string& block, std::int64_t size) {
    if (size < kOctalMax) return put_octal(block, kSize, static_cast<std::uint64_t>(size));
    std::string bytes(kSize.size, '\0');
    bytes[0] = '\x80';
    for (std::size_t i = 0; i < 8; ++i)
        bytes[kSize.size - 1 - i] = static_cast<char>((static_cast<std::uint64_t>(size) >> (8 * i)) & 0xff);
    put_field(block, kSize, bytes);
}

std::optional<std::uint64_t> octal_in(std::string_view block, Field field) {
    std::string_view text = block.substr(field.at, field.size);
    text = text.substr(0, text.find_first_of(std::string_view(" \0", 2)));
    std::uint64_t value = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value, 8);
    if (text.empty() || read.ec != std::errc{} || read.ptr != text.data() + text.size()) return std::nullopt;
    return value;
}
std::optional<std::int64_t> size_in(std::string_view block) {
    std::optional<std::uint64_t> value;
    if (block[kSize.at] == '\x80') {
        value = 0;
        for (std::size_t i = 4; i < kSize.size; ++i)
            value = (*value << 8) | static_cast<unsigned char>(block[kSize.at + i]);
    } else {
        value = octal_in(block, kSize);
    }
    if (!value || *value > static_cast<std::uint64_t>(INT64_MAX) / 2) return std::nullopt;
    return static_cast<std::int64_t>(*value);
}

// Of a header's bytes, with spaces where the sum itself stands.
std::uint64_t sum_of(std::string block) {
    block.replace(kSum.at, kSum.size, kSum.size, ' ');
    return std::accumulate(block.begin(), block.end(), std::uint64_t{0},
                           [](std::uint64_t sum, char c) { return sum + static_cast<unsigned char>(c); });
}

}  // namespace

Result<std::string> write_tar_header(const TarMember& member) {
    if (member.path.empty() || member.path.size() > kName.size)
        return fail(Code::invalid, "the name \"{}\" has {} bytes, 1 to {} are taken", member.path, member.path.size(),
                    kName.size);
    std::string block(kTarBlock, '\0');
    put_field(block, kName, member.path);
    put_octal(block, kMode, member.mode);
    put_octal(block, kUser, 0);
    put_octal(block, kGroup, 0);
    put_size(block, member.size);
    put_octal(block, kTime, 0);
    put_field(block, kType, "0");
    put_field(block, kMagic, kUstar);
    put_field(block, kSum, fmt::format("{:06o}", sum_of(block)) + std::string("\0 ", 2));
    return block;
}

Result<TarMember> read_tar_header(std::string_view block) {
    if (block.size() != kTarBlock) return fail(Code::malformed, "a header of {} bytes", block.size());
    if (is_zero(block)) return TarMember{};
    const auto sum = octal_in(block, kSum), mode = octal_in(block, kMode);
    const auto size = size_in(block);
    const std::string_view name = block.substr(kName.at, kName.size);
    TarMember member{.path = std::string(name.substr(0, name.find('\0')))};
    if (!sum || *sum != sum_of(std::string(block)) || !mode || *mode > 0777 || !size || member.path.empty() ||
        block[kType.at] != '0' || block.substr(kMagic.at, kMagic.size) != kUstar)
        return fail(Code::malformed, "a header that no archive of ours has");
    member.mode = static_cast<unsigned>(*mode);
    member.size = *size;
    return member;
}

std::int64_t tar_padding(std::int64_t size) {
    const auto block = static_cast<std::int64_t>(kTarBlock);
    return (block - size % block) % block;
}

}  // namespace axle
