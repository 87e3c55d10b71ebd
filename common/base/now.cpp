#include "common/base/now.hpp"

#include <ctime>

namespace axle {
namespace {

std::int64_t milliseconds_of(clockid_t clock) {
    timespec t{};
    ::clock_gettime(clock, &t);
    return std::int64_t{t.tv_sec} * 1000 + t.tv_nsec / 1'000'000;
}

}  // namespace

WallTime wall_now() {
    return {milliseconds_of(CLOCK_REALTIME)};
}
BootTime boot_now() {
    return {milliseconds_of(CLOCK_BOOTTIME)};
}

}  // namespace axle
