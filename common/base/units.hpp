// Quantities as people write them: bytes ("2GiB", "500M"), durations ("90s", "24h"), times (RFC 3339, UTC).
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"

namespace axle {

constexpr std::int64_t kKiB = 1024, kMiB = 1024 * kKiB, kGiB = 1024 * kMiB, kTiB = 1024 * kGiB;

// "2147483648", "2GiB", "2G" (binary as well, as in qemu-img), "1.5GiB", "500MB" (decimal only where written KB, MB,
// GB, TB). Never negative; at most 2^62.
Result<std::int64_t> parse_bytes(std::string_view text);
std::string format_bytes(std::int64_t bytes);  // "2 GiB", "1.5 GiB", "512 B"

// "500ms", "90s", "5m", "24h", "7d", and sums such as "1h30m". Milliseconds.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);
std::string format_duration(std::chrono::milliseconds d);  // shortest exact form

std::string format_time(WallTime t);                 // 2026-01-31T12:00:00.123Z
Result<WallTime> parse_time(std::string_view text);  // RFC 3339 with Z or an offset

}  // namespace axle
