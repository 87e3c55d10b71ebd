// Headers of POSIX tar (ustar) for plain files with short names: what is needed to write an archive that everybody can
// list, and to read what we wrote. Pure.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.hpp"

namespace axle {

constexpr std::size_t kTarBlock = 512;

struct TarMember {
    std::string path;  // at most 100 bytes
    unsigned mode = 0600;
    std::int64_t size = 0;
};
Result<std::string> write_tar_header(const TarMember& member);  // kTarBlock bytes
// Code::malformed for what we don't write ourselves. An empty path: the end of the archive.
Result<TarMember> read_tar_header(std::string_view block);
std::int64_t tar_padding(std::int64_t size);  // zeros that follow so many bytes of content

}  // namespace axle
