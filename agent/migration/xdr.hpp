// Values as libvirt's wire has them (XDR, RFC 4506): big-endian words, all padded to four bytes. Pure.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.hpp"

namespace axle {

// Reads from the front; what is not there, or longer than its limit, is Code::malformed.
class XdrReader {
  public:
    explicit XdrReader(std::string_view bytes) : rest_(bytes) {}
    Result<std::uint32_t> word();
    Result<std::string_view> bytes(std::size_t limit);  // length, bytes, padding
    Result<> skip(std::size_t count);
    bool at_end() const { return rest_.empty(); }

  private:
    std::string_view rest_;
};

class XdrWriter {
  public:
    XdrWriter& word(std::uint32_t value);
    XdrWriter& bytes(std::string_view value);
    std::string take() { return std::move(out_); }

  private:
    std::string out_;
};

}  // namespace axle
