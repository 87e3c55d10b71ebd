// Images that have a name: where they are, and where their publisher keeps their checksums. Pure.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/base/result.hpp"

namespace axle {

struct CatalogueEntry {
    std::string_view name;
    std::string_view title;
    std::string_view url;
    std::string_view sums_url;   // lines "HEX  FILE" or "HEX *FILE", over https
    std::string_view sums_kind;  // "sha512", "sha256"
};

std::span<const CatalogueEntry> catalogue();
const CatalogueEntry* find_in_catalogue(std::string_view name);

// The checksum of a file in a text of checksums; Code::not_found if it names no such file.
Result<std::string> checksum_in(std::string_view sums, std::string_view file);

}  // namespace axle
