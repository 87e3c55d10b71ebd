// How an image that doesn't lie on this machine is fetched: by whoever knows the way. Pure declarations.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "common/base/result.hpp"

namespace axle {

struct ImageFetch {
    std::string digest;
    std::string path;                                      // grows as the bytes come; made if it isn't there
    std::int64_t have = 0;                                 // bytes that it has and that are gone on from
    std::function<void(std::int64_t done)> progress = {};  // bytes in all; not more often than anybody can read
};
// Success: all of it stands at `path`; not verified, not synced. After an error what came is kept. Blocks.
using ImageFetcher = std::function<Result<>(const ImageFetch& wish)>;

}  // namespace axle
