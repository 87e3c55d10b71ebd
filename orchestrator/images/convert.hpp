// Normalises a disk image by qemu-img, shut in: it sees the one file, writes the other, and is told both formats.
// Blocks: workers only.
#pragma once
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>

#include "common/disk/qcow2.hpp"
#include "orchestrator/images/import.hpp"

namespace axle {

struct Conversion {
    std::string source, format;  // "qcow2" or "raw", as our own reader found it
    std::string target;          // made anew; qcow2, version 3, without a backing file
    std::stop_token cancel;
    std::function<void(std::int64_t done, std::int64_t all)> progress;  // as a share of the source's bytes
};

// A qcow2 source is checked first: a truncated one would else become an image with zeros in place of data. Neither
// file is synced (qemu-img's exit status is no promise of durability). Code::invalid in qemu-img's words;
// Code::no_space where it would leave less than ImportSettings::keep_free.
Result<> convert_image(const Conversion& conversion, const ImportSettings& settings);

}  // namespace axle
