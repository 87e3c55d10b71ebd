#include "common/base/units.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>

namespace axle {
namespace {

struct Suffix {
    std::string_view text;
    std::int64_t factor;
};
constexpr std::array kByteSuffixes = {
    Suffix{"", 1},
    Suffix{"B", 1},
    Suffix{"K", kKiB},
    Suffix{"KiB", kKiB},
    Suffix{"KB", 1000},
    Suffix{"M", kMiB},
    Suffix{"MiB", kMiB},
    Suffix{"MB", 1000000},
    Suffix{"G", kGiB},
    Suffix{"GiB", kGiB},
    Suffix{"GB", 1000000000},
    Suffix{"T", kTiB},
    Suffix{"TiB", kTiB},
    Suffix{"TB", 1000000000000},
};
constexpr std::array kDurationSuffixes = {
    Suffix{"ms", 1}, Suffix{"s", 1000}, Suffix{"m", 60'000}, Suffix{"h", 3'600'000}, Suffix{"d", 86'400'000},
};

bool same_ignoring_case(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (std::tolower(static_cast<unsigned char>(a[i])) != std::tolower(static_cast<unsigned char>(b[i])))
            return false;
    }
    return true;
}

std::size_t number_length(std::string_view text) {
    std::size_t n = 0;
    while (n < text.size() && ((text[n] >= '0' && text[n] <= '9') || text[n] == '.')) ++n;
    return n;
}

}  // namespace

Result<std::int64_t> parse_bytes(std::string_view text) {
    const std::size_t digits = number_length(text);
    std::string_view unit = text.substr(digits);
    while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
    double value = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + digits, value, std::chars_format::fixed);
    if (digits == 0 || parsed.ec != std::errc{} || parsed.ptr != text.data() + digits)
        return fail(Code::invalid, "\"{}\" is no size: write 2GiB, 512MiB or a number of bytes", text);
    for (const Suffix& s : kByteSuffixes) {
        if (!same_ignoring_case(unit, s.text)) continue;
        std::int64_t whole = 0;  // exact where it is an integer
        const auto exact = std::from_chars(text.data(), text.data() + digits, whole);
        const double scaled = value * static_cast<double>(s.factor);
        if (scaled > 0x1p62) return fail(Code::invalid, "\"{}\" is more than 4 EiB", text);
        if (exact.ec == std::errc{} && exact.ptr == text.data() + digits) return whole * s.factor;
        return static_cast<std::int64_t>(scaled);
    }
    return fail(Code::invalid,
                "\"{}\" ends in an unknown unit: K, M, G, T, KiB, MiB, GiB, TiB, KB, MB, GB, TB are known", text);
}

std::string format_bytes(std::int64_t bytes) {
    static constexpr std::array kNames = {Suffix{"TiB", kTiB}, Suffix{"GiB", kGiB}, Suffix{"MiB", kMiB},
                                          Suffix{"KiB", kKiB}};
    for (const Suffix& s : kNames) {
        if (bytes < s.factor) continue;
        if (bytes % s.factor == 0) return fmt::format("{} {}", bytes / s.factor, s.text);
        return fmt::format("{:.1f} {}", static_cast<double>(bytes) / static_cast<double>(s.factor), s.text);
    }
    return fmt::format("{} B", bytes);
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
    std::int64_t total = 0;
    std::string_view rest = text;
    while (!rest.empty()) {
        std::int64_t value = 0;
        const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), value);
        if (parsed.ec != std::errc{} || value < 0) break;
        rest.remove_prefix(static_cast<std::size_t>(parsed.ptr - rest.data()));
        const Suffix* found = nullptr;
        for (const Suffix& s : kDurationSuffixes) {
            if (rest.starts_with(s.text) &&
                (rest.size() == s.text.size() || std::isdigit(static_cast<unsigned char>(rest[s.text.size()])))) {
                found = &s;
                break;
            }
        }
        if (found == nullptr) break;
        if (value > INT64_C(1) << 40) return fail(Code::invalid, "\"{}\" is too long a time", text);
        total += value * found->factor;
        rest.remove_prefix(found->text.size());
        if (rest.empty()) return std::chrono::milliseconds{total};
    }
    return fail(Code::invalid, "\"{}\" is no duration: write 90s, 5m, 24h or 7d", text);
}

std::string format_duration(std::chrono::milliseconds d) {
    const std::int64_t ms = d.count();
    if (ms == 0) return "0s";
    for (auto s = kDurationSuffixes.rbegin(); s != kDurationSuffixes.rend(); ++s) {
        if (ms % s->factor == 0) return fmt::format("{}{}", ms / s->factor, s->text);
    }
    return fmt::format("{}ms", ms);
}

std::string format_time(WallTime t) {
    const std::int64_t whole = t.ms >= 0 ? t.ms / 1000 : (t.ms - 999) / 1000;
    const auto since_epoch = static_cast<std::time_t>(whole);
    std::tm utc{};
    gmtime_r(&since_epoch, &utc);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                       utc.tm_hour, utc.tm_min, utc.tm_sec, t.ms - whole * 1000);
}

Result<WallTime> parse_time(std::string_view text) {
    int y = 0, mo = 0, d = 0, h = 0, mi = 0, s = 0, used = 0;
    const std::string copy(text);
    const auto bad = [&] {
        return fail(Code::invalid, "\"{}\" is no RFC 3339 time such as 2026-01-31T12:00:00Z", text);
    };
    if (std::sscanf(copy.c_str(), "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &y, &mo, &d, &h, &mi, &s, &used) != 6 ||
        used == 0)
        return bad();
    if (mo < 1 || mo > 12 || d < 1 || d > 31 || h > 23 || mi > 59 || s > 60) return bad();
    std::string_view rest = text.substr(static_cast<std::size_t>(used));
    std::int64_t ms = 0;
    if (rest.starts_with('.')) {
        std::int64_t scale = 100;
        rest.remove_prefix(1);
        if (rest.empty() || !std::isdigit(static_cast<unsigned char>(rest.front()))) return bad();
        for (; !rest.empty() && std::isdigit(static_cast<unsigned char>(rest.front()));
             rest.remove_prefix(1), scale /= 10)
            ms += (rest.front() - '0') * scale;
    }
    std::int64_t offset_s = 0;
    if (rest != "Z" && rest != "z") {
        int oh = 0, om = 0;
        char sign = 0;
        const std::string tail(rest);
        if (rest.size() != 6 || std::sscanf(tail.c_str(), "%c%2d:%2d", &sign, &oh, &om) != 3 ||
            (sign != '+' && sign != '-'))
            return bad();
        offset_s = (sign == '+' ? 1 : -1) * (oh * 3600 + om * 60);
    }
    std::tm utc{};
    utc.tm_year = y - 1900, utc.tm_mon = mo - 1, utc.tm_mday = d, utc.tm_hour = h, utc.tm_min = mi, utc.tm_sec = s;
    return WallTime{(static_cast<std::int64_t>(timegm(&utc)) - offset_s) * 1000 + ms};
}

}  // namespace axle
