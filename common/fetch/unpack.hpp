// Unpacks one compressed stream (xz, gzip, zstd, bzip2) into a file, by libarchive. Blocks: workers only.
#pragma once
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>

#include "common/base/result.hpp"

namespace axle {

struct UnpackSpec {
    std::string from, to;  // `to` is made, with holes where zeros are; after an error it isn't there
    std::int64_t size_max = 0;
    std::int64_t keep_free = 0;  // bytes of the file system that stay free: it stops there with Code::no_space
    std::stop_token cancel = {};
    std::function<void(std::int64_t done, std::int64_t all)> progress = {};  // of the compressed bytes
};

// The answer is the size of what was unpacked, not synced. Code::too_large over size_max (a bomb needs no more room
// than that, and none for zeros); Code::malformed for a broken stream.
Result<std::int64_t> unpack(const UnpackSpec& spec);

}  // namespace axle
