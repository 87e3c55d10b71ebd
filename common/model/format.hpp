// What texts of a given format look like. Pure.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "common/model/describe.hpp"

namespace axle {

// Why `text` is not of this format, with an example of one that is; nullopt: it is.
std::optional<std::string> why_not(Format format, std::string_view text);

bool is_label(std::string_view text);        // RFC 1123: a-z, 0-9, '-', 1 to 63, not at the ends
bool is_dotted_name(std::string_view text);  // labels joined by dots, at most 253
bool is_label_key(std::string_view text);  // [dotted name/]NAME: as Kubernetes has them, 63 characters after the prefix
bool is_valid_utf8(std::string_view text);

struct Cidr {
    std::uint32_t network = 0;  // host byte order, host bits zero
    int prefix = 0;
    std::uint32_t mask() const { return prefix == 0 ? 0 : ~std::uint32_t{0} << (32 - prefix); }
    std::uint32_t first() const { return network; }
    std::uint32_t last() const { return network | ~mask(); }
    bool contains(std::uint32_t address) const { return (address & mask()) == network; }
    bool overlaps(const Cidr& other) const { return first() <= other.last() && other.first() <= last(); }
    std::string str() const;
};
std::optional<std::uint32_t> parse_ipv4(std::string_view text);
std::string format_ipv4(std::uint32_t address);
// Host bits are allowed and cleared ("10.0.0.7/24" is 10.0.0.0/24).
std::optional<Cidr> parse_cidr(std::string_view text);

}  // namespace axle
