// Downloads over http and https into a file, and goes on where it stopped. Blocks: workers only.
#pragma once
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>

#include "common/base/clock.hpp"
#include "common/base/result.hpp"

namespace axle {

struct DownloadSpec {
    std::string url;   // http or https; redirects (at most 5) lead to nothing else, and from https only to https
    std::string path;  // grows as the bytes come; beside it <path>.json says what of it can be gone on with
    std::int64_t size_max = 0;
    std::int64_t keep_free = 0;  // bytes of the file system that stay free: it stops there with Code::no_space
    // Also from this machine itself (loopback) and its link (169.254.0.0/16: metadata services). Else such an address,
    // in the URL, by name or by redirect, is refused, unless the environment names a proxy that stands between.
    bool from_this_machine = false;
    std::stop_token cancel = {};
    std::function<void(std::int64_t done, std::int64_t all)> progress = {};  // all: 0 if unknown
    seconds connect_limit{30};
    seconds stall_limit{60};  // given up when less than this came for so long
    std::int64_t bytes_a_second_min = 64 << 10;
};

// The whole content stands at `path`, synced. After Code::unavailable (the network, the server), Code::no_space and a
// cancel (conflict, reason "cancelled") what came is kept, and the next call with the same URL goes on there if the
// server says that its file is still the same one. After not_found, too_large and invalid nothing is kept. Proxies: as
// in the environment (https_proxy, no_proxy).
Result<std::int64_t> download(const DownloadSpec& spec);
// A small text, for checksums. Code::too_large over 1 MiB.
Result<std::string> download_text(const std::string& url, std::stop_token cancel);
// What an unfinished download left.
Result<> forget_download(const std::string& path);

}  // namespace axle
