#include "common/base/new_file.hpp"

#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

#include "common/base/ensure.hpp"
#include "common/base/io.hpp"

namespace axle {

NewFile::NewFile(std::string path, std::string temporary, Fd fd)
    : path_(std::move(path)), temporary_(std::move(temporary)), fd_(std::move(fd)) {}

NewFile::NewFile(NewFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      fd_(std::move(other.fd_)),
      ours_(std::exchange(other.ours_, false)) {}

NewFile::~NewFile() {
    if (ours_) ::unlink(temporary_.c_str());  // at worst it stays, and is swept at the next start
}

std::string NewFile::temporary_name(const std::string& path, const std::string& tag) {
    return path + "." + tag + ".new";
}
bool NewFile::is_temporary(std::string_view name, const std::string& tag) {
    return name.ends_with("." + tag + ".new");
}

Error NewFile::failed(const char* what, int error_number) const {
    return system_error(fmt::format("{} {}", what, temporary_), error_number);
}

Result<NewFile> NewFile::reserve(const std::string& path, const std::string& tag) {
    std::string temporary = temporary_name(path, tag);
    if (io::unlink(temporary.c_str()) != 0 && errno != ENOENT) return fail(system_error("remove " + temporary, errno));
    return NewFile(path, std::move(temporary), Fd());
}

Result<NewFile> NewFile::create(const std::string& path, const std::string& tag, unsigned mode) {
    TRY(file, reserve(path, tag));
    file.fd_.reset(io::open(file.temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL, mode));
    if (!file.fd_) return fail(file.failed("create", errno));
    KILL_POINT("new-file.created");
    return std::move(file);
}

Result<NewFile> NewFile::resume(const std::string& path, const std::string& tag, unsigned mode) {
    std::string temporary = temporary_name(path, tag);
    Fd fd(io::open(temporary.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW, mode));
    if (!fd) return fail(system_error("create " + temporary, errno));
    return NewFile(path, std::move(temporary), std::move(fd));
}

Result<> NewFile::write(std::string_view data) {
    while (!data.empty()) {
        const ssize_t n = io::write(fd_.get(), data.data(), data.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(failed("write", errno));
        data.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
}

Result<> NewFile::write_at(std::int64_t offset, std::string_view data) {
    while (!data.empty()) {
        const ssize_t n = io::pwrite(fd_.get(), data.data(), data.size(), offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(failed("write", errno));
        data.remove_prefix(static_cast<std::size_t>(n));
        offset += n;
    }
    return {};
}

Result<> NewFile::resize(std::int64_t size) {
    if (io::ftruncate(fd_.get(), size) != 0) return fail(failed("resize", errno));
    return {};
}

Result<> NewFile::allocate(std::int64_t size) {
    if (io::fallocate(fd_.get(), size) == 0) return {};
    if (errno == EOPNOTSUPP) return resize(size);
    return fail(failed("take the room for", errno));
}

Result<> NewFile::sync() {
    if (!fd_) {
        fd_.reset(io::open(temporary_.c_str(), O_RDONLY | O_NOFOLLOW));
        if (!fd_) return fail(failed("open", errno));
    }
    if (io::fsync(fd_.get()) != 0) return fail(failed("sync", errno));
    return {};
}

Result<> NewFile::replace() {
    TRY_VOID(sync());
    KILL_POINT("new-file.before-replace");
    if (io::rename(temporary_.c_str(), path_.c_str()) != 0) return fail(failed("rename", errno));
    KILL_POINT("new-file.after-replace");
    ours_ = false;
    return sync_directory(parent_of(path_));
}

Result<> NewFile::publish() {
    TRY_VOID(sync());
    KILL_POINT("new-file.before-rename");
    if (io::rename_to_new(temporary_.c_str(), path_.c_str()) != 0) {
        if (errno == EEXIST) return fail(Code::conflict, "{} is there already", path_);
        return fail(failed("rename", errno));
    }
    KILL_POINT("new-file.after-rename");
    // Two names of one file (hard links): the rename leaves both, says POSIX.
    if (!file_exists(temporary_)) ours_ = false;
    return sync_directory(parent_of(path_));
}

void NewFile::keep() {
    ours_ = false;
}

}  // namespace axle
