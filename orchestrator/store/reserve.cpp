#include "orchestrator/store/reserve.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/base/file.hpp"

namespace axle {

Result<> Reserve::release() {
    made_ = false;
    return remove_file_durably(path_);
}

bool Reserve::make() {
    Fd fd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    if (!fd) return false;
    if (::posix_fallocate(fd.get(), 0, bytes_) == 0 && ::fsync(fd.get()) == 0) return true;
    ::unlink(path_.c_str());
    return false;
}

Result<Space> Reserve::measure() {
    struct statvfs fs {};
    const std::string directory = parent_of(path_);
    if (::statvfs(directory.c_str(), &fs) != 0) return fail(system_error("measure the space of " + directory, errno));
    const auto block = static_cast<std::int64_t>(fs.f_frsize);
    Space space{.free_bytes = static_cast<std::int64_t>(fs.f_bavail) * block,
                .total_bytes = static_cast<std::int64_t>(fs.f_blocks) * block};
    if (bytes_ == 0) return space;
    if (!made_ && space.free_bytes >= 2 * bytes_) {
        made_ = make();
        if (made_) space.free_bytes -= bytes_;
    }
    space.below_reserve = !made_ || space.free_bytes < bytes_;
    return space;
}

}  // namespace axle
