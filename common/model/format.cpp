#include "common/model/format.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace axle {
namespace {

bool is_lower_alnum(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}
bool is_hex(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool is_mac(std::string_view text) {
    if (text.size() != 17) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (i % 3 == 2 ? text[i] != ':' : !is_hex(text[i]) || (text[i] >= 'A' && text[i] <= 'F')) return false;
    }
    return (std::string_view("13579bdf").find(text[1]) == std::string_view::npos);  // no group address
}

bool is_ssh_key(std::string_view text) {
    static constexpr std::string_view kKinds[] = {"ssh-ed25519 ",
                                                  "ssh-rsa ",
                                                  "ecdsa-sha2-nistp256 ",
                                                  "ecdsa-sha2-nistp384 ",
                                                  "ecdsa-sha2-nistp521 ",
                                                  "sk-ssh-ed25519@openssh.com ",
                                                  "sk-ecdsa-sha2-nistp256@openssh.com "};
    const bool known = std::ranges::any_of(kKinds, [&](std::string_view k) { return text.starts_with(k); });
    return known && text.size() > 60 && text.find('\n') == std::string_view::npos;
}

bool has_control(std::string_view text, bool lines) {
    return std::ranges::any_of(text, [&](char c) {
        const auto u = static_cast<unsigned char>(c);
        if (lines && (c == '\n' || c == '\t' || c == '\r')) return false;
        return u < 0x20 || u == 0x7f;
    });
}

}  // namespace

bool is_label(std::string_view text) {
    if (text.empty() || text.size() > 63 || text.front() == '-' || text.back() == '-') return false;
    return std::ranges::all_of(text, [](char c) { return is_lower_alnum(c) || c == '-'; });
}

bool is_dotted_name(std::string_view text) {
    if (text.size() > 253) return false;
    for (;;) {
        const std::size_t dot = text.find('.');
        if (!is_label(text.substr(0, dot))) return false;
        if (dot == std::string_view::npos) return true;
        text.remove_prefix(dot + 1);
    }
}

bool is_label_key(std::string_view text) {
    if (const std::size_t slash = text.find('/'); slash != std::string_view::npos) {
        if (!is_dotted_name(text.substr(0, slash))) return false;
        text.remove_prefix(slash + 1);
    }
    const auto is_alnum = [](char c) { return is_lower_alnum(c) || (c >= 'A' && c <= 'Z'); };
    if (text.empty() || text.size() > 63 || !is_alnum(text.front()) || !is_alnum(text.back())) return false;
    return std::ranges::all_of(text, [&](char c) { return is_alnum(c) || c == '.' || c == '_' || c == '-'; });
}

bool is_valid_utf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const auto c = static_cast<unsigned char>(text[i]);
        const std::size_t more = c < 0x80                ? 0
                                 : c >= 0xc2 && c < 0xe0 ? 1
                                 : c >= 0xe0 && c < 0xf0 ? 2
                                 : c >= 0xf0 && c < 0xf5 ? 3
                                                         : 9;
        if (more == 9 || i + more >= text.size() + (more == 0)) return false;
        for (std::size_t k = 1; k <= more; ++k) {
            if ((static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80) return false;
        }
        if (more > 1) {
            const auto next = static_cast<unsigned char>(text[i + 1]);
            if ((c == 0xe0 && next < 0xa0) || (c == 0xed && next > 0x9f) || (c == 0xf0 && next < 0x90) ||
                (c == 0xf4 && next > 0x8f))
                return false;
        }
        i += more + 1;
    }
    return true;
}

std::optional<std::uint32_t> parse_ipv4(std::string_view text) {
    std::uint32_t address = 0;
    for (int part = 0; part < 4; ++part) {
        unsigned value = 256;
        const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
        const auto used = static_cast<std::size_t>(parsed.ptr - text.data());
        if (parsed.ec != std::errc{} || value > 255 || used > 3 || (used > 1 && text.front() == '0'))
            return std::nullopt;
        address = address << 8 | value;
        text.remove_prefix(used);
        if (part == 3) break;
        if (!text.starts_with('.')) return std::nullopt;
        text.remove_prefix(1);
    }
    return text.empty() ? std::optional(address) : std::nullopt;
}

std::string format_ipv4(std::uint32_t a) {
    return fmt::format("{}.{}.{}.{}", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
}

std::optional<Cidr> parse_cidr(std::string_view text) {
    const std::size_t slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const auto address = parse_ipv4(text.substr(0, slash));
    int prefix = -1;
    const auto parsed = std::from_chars(text.data() + slash + 1, text.data() + text.size(), prefix);
    if (!address || parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size() || prefix < 0 || prefix > 32)
        return std::nullopt;
    Cidr cidr{0, prefix};
    cidr.network = *address & cidr.mask();
    return cidr;
}

std::string Cidr::str() const {
    return fmt::format("{}/{}", format_ipv4(network), prefix);
}

std::optional<std::string> why_not(Format format, std::string_view text) {
    const auto unless = [](bool ok, const char* why) { return ok ? std::nullopt : std::optional<std::string>(why); };
    if (has_control(text, format == Format::any || format == Format::multiline))
        return "must not contain control characters";
    switch (format) {
        case Format::any:
        case Format::multiline:
            return std::nullopt;
        case Format::label:
            return unless(is_label(text), "must be 1 to 63 of a-z, 0-9 and '-', not at the ends, e.g. web-1");
        case Format::dotted_name:
            return unless(is_dotted_name(text), "must be labels of a-z, 0-9 and '-', joined by dots, e.g. debian-12.1");
        case Format::mac:
            return unless(is_mac(text), "must be a unicast MAC address in lower case, e.g. 52:54:00:12:34:56");
        case Format::ipv4:
            return unless(parse_ipv4(text).has_value(), "must be an IPv4 address, e.g. 10.0.0.5");
        case Format::cidr:
            return unless(parse_cidr(text).has_value(), "must be a range in CIDR form, e.g. 10.90.0.0/24");
        case Format::url:
            return unless((text.starts_with("https://") || text.starts_with("http://")) &&
                              text.find(' ') == std::string_view::npos,
                          "must be an http or https URL");
        case Format::sha256:
            return unless(text.size() == 64 && std::ranges::all_of(text, is_hex), "must be 64 hexadecimal digits");
        case Format::ssh_key:
            return unless(is_ssh_key(text), "must be one line of a public SSH key, e.g. ssh-ed25519 AAAA... me@home");
        case Format::path:
            return unless(
                text.starts_with('/') && text.find("/../") == std::string_view::npos && !text.ends_with("/.."),
                "must be an absolute path without ..");
    }
    return std::nullopt;
}

}  // namespace axle
