// What kind of disk image a file is, by its own bytes; QEMU is never asked to guess. Pure but for read_format.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.hpp"

namespace axle {

enum class ImageFormat {
    qcow2,
    raw_disk,  // with a partition table (MBR or GPT)
    unknown,   // could be a raw disk without partitions; taken as such only where somebody says so
    vmdk,
    vdi,
    vhdx,
    vhd,
    iso,
    qed,
    luks,
    parallels,
    dmg,
    xz,
    gzip,
    zstd,
    bzip2,
    archive,  // tar, zip, ova: something that holds files
};

const char* name_of(ImageFormat format);  // for people: "VMDK", "ISO 9660"
bool is_compressed(ImageFormat format);

// head: the first 64 KiB (or all, if there is less), tail: the last 512 bytes.
ImageFormat detect_format(std::string_view head, std::string_view tail);
Result<ImageFormat> read_format(const std::string& path);  // blocks

}  // namespace axle
