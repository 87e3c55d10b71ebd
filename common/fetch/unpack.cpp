#include "common/fetch/unpack.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "common/base/file.hpp"
#include "common/base/pieces.hpp"
#include "common/base/space.hpp"
#include "common/base/units.hpp"

namespace axle {
namespace {

using Reader = std::unique_ptr<struct archive, int (*)(struct archive*)>;

Error broken(const UnpackSpec& spec, struct archive* reader) {
    const char* words = ::archive_error_string(reader);
    return error(Code::malformed, "the compressed image can't be unpacked after {} bytes: {}",
                 ::archive_filter_bytes(reader, -1), words != nullptr ? words : "damaged")
        .with_hint(
            fmt::format("compare the checksum of {} with its source", spec.from.substr(spec.from.rfind('/') + 1)));
}

Result<Reader> open_stream(const UnpackSpec& spec) {
    Reader reader(::archive_read_new(), ::archive_read_free);
    ::archive_read_support_filter_xz(reader.get());
    ::archive_read_support_filter_gzip(reader.get());
    ::archive_read_support_filter_zstd(reader.get());
    ::archive_read_support_filter_bzip2(reader.get());
    ::archive_read_support_format_raw(reader.get());
    struct archive_entry* entry = nullptr;
    if (::archive_read_open_filename(reader.get(), spec.from.c_str(), 1 << 16) != ARCHIVE_OK ||
        ::archive_read_next_header(reader.get(), &entry) != ARCHIVE_OK)
        return fail(broken(spec, reader.get()));
    return reader;
}

Result<> write_at(int fd, const std::string& path, std::string_view piece, std::int64_t offset) {
    while (!piece.empty()) {
        const ssize_t n = ::pwrite(fd, piece.data(), piece.size(), offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(system_error("write " + path, errno));
        piece.remove_prefix(static_cast<std::size_t>(n));
        offset += n;
    }
    return {};
}

Result<std::int64_t> pour(const UnpackSpec& spec, struct archive* reader, int fd) {
    struct stat st {};
    const std::int64_t all = ::stat(spec.from.c_str(), &st) == 0 ? st.st_size : 0;
    std::string piece(1 << 18, '\0');
    SpaceWatch space(spec.to, spec.keep_free);
    std::int64_t offset = 0;
    for (;;) {
        if (spec.cancel.stop_requested())
            return fail(error(Code::conflict, "the import was cancelled").with_reason("cancelled"));
        const la_ssize_t n = ::archive_read_data(reader, piece.data(), piece.size());
        if (n < 0) return fail(broken(spec, reader));
        if (n == 0) break;
        if (offset + n > spec.size_max)
            return fail(Code::too_large, "the compressed image unpacks to more than {}", format_bytes(spec.size_max));
        const auto part = std::string_view(piece).substr(0, static_cast<std::size_t>(n));
        if (!is_zero(part)) {
            TRY_VOID(space.before(n));
            TRY_VOID(write_at(fd, spec.to, part, offset));
        }
        offset += n;
        if (spec.progress) spec.progress(::archive_filter_bytes(reader, -1), all);
    }
    if (::ftruncate(fd, offset) != 0) return fail(system_error("resize " + spec.to, errno));
    return offset;
}

}  // namespace

Result<std::int64_t> unpack(const UnpackSpec& spec) {
    TRY(reader, open_stream(spec));
    const Fd fd(::open(spec.to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return fail(system_error("create " + spec.to, errno));
    auto size = pour(spec, reader.get(), fd.get());
    if (!size) ::unlink(spec.to.c_str());
    return size;
}

}  // namespace axle
