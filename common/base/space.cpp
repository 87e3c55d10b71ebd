#include "common/base/space.hpp"

#include <cerrno>
#include <sys/statvfs.h>

#include "common/base/file.hpp"
#include "common/base/units.hpp"

namespace axle {
namespace {

constexpr std::int64_t kLookEvery = std::int64_t{16} << 20;

}  // namespace

Result<std::int64_t> free_bytes(const std::string& path) {
    struct statvfs fs {};
    if (::statvfs(path.c_str(), &fs) != 0) return fail(system_error("measure the space of " + path, errno));
    return static_cast<std::int64_t>(fs.f_bavail) * static_cast<std::int64_t>(fs.f_frsize);
}

Result<> check_space(const std::string& path, std::int64_t keep_free, std::int64_t needed) {
    if (keep_free == 0) return {};
    TRY(free, free_bytes(path));
    if (free >= keep_free && free - keep_free >= needed) return {};
    return fail(error(Code::no_space, "the server's disk has {} free: {} of them are kept for the store, {} are needed",
                      format_bytes(free), format_bytes(keep_free), format_bytes(needed))
                    .with_hint("free some space under /var/lib/axle, e.g. delete images: axle image list"));
}

Result<> SpaceWatch::before(std::int64_t bytes) {
    unseen_ += bytes;
    if (looked_ && unseen_ < kLookEvery) return {};
    looked_ = true;
    unseen_ = 0;
    return check_space(path_, keep_free_, bytes);
}

}  // namespace axle
