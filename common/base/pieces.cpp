#include "common/base/pieces.hpp"

#include <cerrno>
#include <unistd.h>

#include "common/base/file.hpp"

namespace axle {

Result<> read_through(int fd, const std::string& path, const std::function<Result<>(std::string_view)>& take) {
    std::string piece(1 << 20, '\0');
    off_t offset = 0;
    for (;;) {
        const ssize_t n = ::pread(fd, piece.data(), piece.size(), offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(system_error("read " + path, errno));
        if (n == 0) return {};
        TRY_VOID(take(std::string_view(piece).substr(0, static_cast<std::size_t>(n))));
        offset += n;
    }
}

}  // namespace axle
