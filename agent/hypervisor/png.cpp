#include "agent/hypervisor/png.hpp"

#include <charconv>
#include <cstdint>
#include <zlib.h>

namespace axle {
namespace {

void append_be32(std::string& out, std::uint32_t v) {
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(v >> shift & 255);
}
void append_chunk(std::string& out, const char* type, std::string_view data) {
    append_be32(out, static_cast<std::uint32_t>(data.size()));
    const std::string body = std::string(type) + std::string(data);
    out += body;
    append_be32(out, static_cast<std::uint32_t>(
                         crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()))));
}

// The next number of a PPM header; comments are not written by QEMU and not taken.
bool next_number(std::string_view& in, std::uint32_t& value) {
    while (!in.empty() && (in.front() == ' ' || in.front() == '\n' || in.front() == '\t' || in.front() == '\r'))
        in.remove_prefix(1);
    const auto parsed = std::from_chars(in.data(), in.data() + in.size(), value);
    if (parsed.ec != std::errc{}) return false;
    in.remove_prefix(static_cast<std::size_t>(parsed.ptr - in.data()));
    return true;
}

}  // namespace

Result<std::string> png_from_ppm(std::string_view ppm) {
    std::uint32_t width = 0, height = 0, depth = 0;
    std::string_view in = ppm;
    if (!in.starts_with("P6")) return fail(Code::corrupt, "the screenshot is no binary PPM");
    in.remove_prefix(2);
    const bool header = next_number(in, width) && next_number(in, height) && next_number(in, depth) && !in.empty();
    if (!header || depth != 255 || width == 0 || height == 0 || width > 16384 || height > 16384)
        return fail(Code::corrupt, "the screenshot has a header that can't be right");
    in.remove_prefix(1);
    const std::size_t row = std::size_t{3} * width;
    if (in.size() < row * height)
        return fail(Code::corrupt, "the screenshot has {} bytes for {} x {} pixels", in.size(), width, height);
    std::string raw;
    raw.reserve((row + 1) * height);
    for (std::uint32_t y = 0; y < height; ++y) {
        raw += '\0';  // filter: none
        raw += in.substr(y * row, row);
    }
    uLongf packed_size = compressBound(static_cast<uLong>(raw.size()));
    std::string packed(packed_size, '\0');
    if (compress2(reinterpret_cast<Bytef*>(packed.data()), &packed_size, reinterpret_cast<const Bytef*>(raw.data()),
                  static_cast<uLong>(raw.size()), 6) != Z_OK)
        return fail(Code::internal, "the screenshot can't be compressed");
    packed.resize(packed_size);
    std::string out("\x89PNG\r\n\x1a\n", 8), head;
    append_be32(head, width);
    append_be32(head, height);
    head += std::string("\x08\x02\x00\x00\x00", 5);  // 8 bits, RGB, no interlace
    append_chunk(out, "IHDR", head);
    append_chunk(out, "IDAT", packed);
    append_chunk(out, "IEND", "");
    return out;
}

}  // namespace axle
