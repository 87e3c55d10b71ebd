// A number with its noun, as people say it.
#pragma once
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace axle {

// "1 VM", "3 VMs", "0 VMs"; of nouns that take an s.
template <typename Number>
std::string counted(Number n, std::string_view noun) {
    return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s");
}

}  // namespace axle
