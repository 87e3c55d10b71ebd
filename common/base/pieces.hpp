// The bytes of large files, piece by piece. Blocks: workers only.
#pragma once
#include <algorithm>
#include <functional>
#include <string>
#include <string_view>

#include "common/base/result.hpp"

namespace axle {

// Reads a file from its beginning, where the descriptor's own position doesn't count and stays. An error of `take` ends
// it. path: for the words of an error.
Result<> read_through(int fd, const std::string& path, const std::function<Result<>(std::string_view)>& take);

// A hole would do.
inline bool is_zero(std::string_view piece) {
    return std::ranges::all_of(piece, [](char c) { return c == '\0'; });
}

}  // namespace axle
