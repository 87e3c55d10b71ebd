#include "common/disk/format.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.hpp"

namespace axle {
namespace {

using namespace std::string_view_literals;

struct Mark {
    std::size_t offset;
    std::string_view bytes;
    ImageFormat format;
};

// In this order: an ISO image that also boots from a disk has both marks, and is an ISO image.
constexpr Mark kMarks[] = {
    {0, "QFI\xfb"sv, ImageFormat::qcow2},
    {0, "KDMV"sv, ImageFormat::vmdk},
    {0, "COWD"sv, ImageFormat::vmdk},
    {0, "# Disk DescriptorFile"sv, ImageFormat::vmdk},
    {64, "\x7f\x10\xda\xbe"sv, ImageFormat::vdi},
    {0, "vhdxfile"sv, ImageFormat::vhdx},
    {0, "conectix"sv, ImageFormat::vhd},
    {32769, "CD001"sv, ImageFormat::iso},
    {0, "QED\0"sv, ImageFormat::qed},
    {0, "LUKS\xba\xbe"sv, ImageFormat::luks},
    {0, "WithoutFreeSpace"sv, ImageFormat::parallels},
    {0, "WithouFreSpacExt"sv, ImageFormat::parallels},
    {0,
     "\xfd"
     "7zXZ\0"sv,
     ImageFormat::xz},
    {0, "\x1f\x8b\x08"sv, ImageFormat::gzip},
    {0, "\x28\xb5\x2f\xfd"sv, ImageFormat::zstd},
    {0, "BZh"sv, ImageFormat::bzip2},
    {0, "PK\3\4"sv, ImageFormat::archive},
    {0, "7z\xbc\xaf\x27\x1c"sv, ImageFormat::archive},
    {257, "ustar"sv, ImageFormat::archive},
    {512, "EFI PART"sv, ImageFormat::raw_disk},
    {4096, "EFI PART"sv, ImageFormat::raw_disk},
};

// A boot sector with at least one partition that is where a partition can be.
bool has_mbr(std::string_view head) {
    if (head.size() < 512 || head.substr(510, 2) != "\x55\xaa"sv) return false;
    for (std::size_t entry = 446; entry < 510; entry += 16) {
        const auto status = static_cast<unsigned char>(head[entry]);
        const bool used = head[entry + 4] != '\0';
        if (used && (status == 0 || status == 0x80)) return true;
    }
    return false;
}

}  // namespace

const char* name_of(ImageFormat format) {
    switch (format) {
        case ImageFormat::qcow2:
            return "qcow2";
        case ImageFormat::raw_disk:
            return "raw disk";
        case ImageFormat::unknown:
            return "unknown";
        case ImageFormat::vmdk:
            return "VMDK";
        case ImageFormat::vdi:
            return "VDI";
        case ImageFormat::vhdx:
            return "VHDX";
        case ImageFormat::vhd:
            return "VHD";
        case ImageFormat::iso:
            return "ISO 9660";
        case ImageFormat::qed:
            return "QED";
        case ImageFormat::luks:
            return "LUKS";
        case ImageFormat::parallels:
            return "Parallels";
        case ImageFormat::dmg:
            return "DMG";
        case ImageFormat::xz:
            return "xz";
        case ImageFormat::gzip:
            return "gzip";
        case ImageFormat::zstd:
            return "zstd";
        case ImageFormat::bzip2:
            return "bzip2";
        case ImageFormat::archive:
            return "archive of files";
    }
    return "unknown";
}

bool is_compressed(ImageFormat format) {
    return format == ImageFormat::xz || format == ImageFormat::gzip || format == ImageFormat::zstd ||
           format == ImageFormat::bzip2;
}

ImageFormat detect_format(std::string_view head, std::string_view tail) {
    for (const Mark& mark : kMarks)
        if (head.size() >= mark.offset && head.substr(mark.offset).starts_with(mark.bytes)) return mark.format;
    if (tail.starts_with("conectix")) return ImageFormat::vhd;
    if (tail.starts_with("koly")) return ImageFormat::dmg;
    return has_mbr(head) ? ImageFormat::raw_disk : ImageFormat::unknown;
}

Result<ImageFormat> read_format(const std::string& path) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return fail(system_error("open " + path, errno));
    struct stat st {};
    if (::fstat(fd.get(), &st) != 0) return fail(system_error("look at " + path, errno));
    std::string head(64 << 10, '\0'), tail(512, '\0');
    const ssize_t n = ::pread(fd.get(), head.data(), head.size(), 0);
    const ssize_t m = ::pread(fd.get(), tail.data(), tail.size(), std::max<off_t>(0, st.st_size - 512));
    if (n < 0 || m < 0) return fail(system_error("read " + path, errno));
    head.resize(static_cast<std::size_t>(n));
    tail.resize(static_cast<std::size_t>(m));
    return detect_format(head, tail);
}

}  // namespace axle
