#include "common/base/memory.hpp"

#include <cstdio>
#include <cstdlib>
#include <malloc.h>
#include <string>
#include <string_view>

#include "common/base/file.hpp"

namespace axle {
namespace {

constexpr std::int64_t kWorthIt = std::int64_t{16} << 20;

// Memory of our own that is resident; 0: not known.
std::int64_t resident() {
    const auto status = read_file("/proc/self/status", 64 << 10);
    constexpr std::string_view kName = "RssAnon:";
    const auto at = status ? status->find(kName) : std::string::npos;
    return at == std::string::npos ? 0 : std::strtoll(status->c_str() + at + kName.size(), nullptr, 10) * 1024;
}

}  // namespace

std::int64_t give_back_memory() {
    const auto about = mallinfo2();  // what was given back before counts as unused there: so what is resident is asked
    const std::int64_t unused = resident() - static_cast<std::int64_t>(about.uordblks + about.hblkhd);
    if (unused < kWorthIt) return 0;
    malloc_trim(0);
    return unused;
}

}  // namespace axle
