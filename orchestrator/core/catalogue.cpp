#include "orchestrator/core/catalogue.hpp"

#include <algorithm>

namespace axle {
namespace {

constexpr CatalogueEntry kCatalogue[] = {
    {"debian-12", "Debian 12 (bookworm), generic cloud",
     "https://cloud.debian.org/images/cloud/bookworm/latest/debian-12-genericcloud-amd64.qcow2",
     "https://cloud.debian.org/images/cloud/bookworm/latest/SHA512SUMS", "sha512"},
    {"debian-13", "Debian 13 (trixie), generic cloud",
     "https://cloud.debian.org/images/cloud/trixie/latest/debian-13-genericcloud-amd64.qcow2",
     "https://cloud.debian.org/images/cloud/trixie/latest/SHA512SUMS", "sha512"},
    {"ubuntu-24.04", "Ubuntu 24.04 (noble), server cloud image",
     "https://cloud-images.ubuntu.com/releases/noble/release/ubuntu-24.04-server-cloudimg-amd64.img",
     "https://cloud-images.ubuntu.com/releases/noble/release/SHA256SUMS", "sha256"},
};

bool is_hex(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    });
}

}  // namespace

std::span<const CatalogueEntry> catalogue() {
    return kCatalogue;
}

const CatalogueEntry* find_in_catalogue(std::string_view name) {
    const auto* found = std::ranges::find(kCatalogue, name, &CatalogueEntry::name);
    return found == std::end(kCatalogue) ? nullptr : found;
}

Result<std::string> checksum_in(std::string_view sums, std::string_view file) {
    while (!sums.empty()) {
        const auto end = std::min(sums.find('\n'), sums.size());
        std::string_view line = sums.substr(0, end);
        sums.remove_prefix(std::min(end + 1, sums.size()));
        if (line.ends_with('\r')) line.remove_suffix(1);
        const auto space = line.find(' ');
        if (space == std::string_view::npos || space + 2 > line.size()) continue;
        if (line.substr(space + 2) == file && is_hex(line.substr(0, space))) return std::string(line.substr(0, space));
    }
    return fail(Code::not_found, "the publisher's list of checksums doesn't name {}", file);
}

}  // namespace axle
