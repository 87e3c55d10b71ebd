#include "agent/state/names.hpp"

#include <algorithm>
#include <cctype>

namespace axle {
namespace {

bool is_part(std::string_view part) {
    return !part.empty() && part.size() <= 200 && part.front() != '.' && std::ranges::all_of(part, [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
    });
}

}  // namespace

bool is_state_file_name(std::string_view name) {
    const auto slash = name.find('/');
    if (name.ends_with(".new")) return false;
    if (slash == std::string_view::npos) return is_part(name);
    return is_part(name.substr(0, slash)) && is_part(name.substr(slash + 1));
}

}  // namespace axle
