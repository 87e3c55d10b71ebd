#include "common/base/file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/ensure.hpp"
#include "common/base/io.hpp"

namespace axle {
namespace {

Result<> write_all(int fd, std::string_view content, const std::string& path) {
    while (!content.empty()) {
        const ssize_t n = io::write(fd, content.data(), content.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(system_error("write " + path, errno));
        content.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
}

}  // namespace

void Fd::reset(int fd) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
}

Error system_error(std::string_view what, int error_number) {
    Code code = Code::internal;
    if (error_number == ENOSPC || error_number == EDQUOT) code = Code::no_space;
    if (error_number == ENOENT) code = Code::not_found;
    return error(code, "{}: {}", what, std::strerror(error_number));
}

Result<std::string> read_file(const std::string& path, std::int64_t limit) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return fail(system_error("open " + path, errno));
    std::string content;
    char piece[65536];
    for (;;) {
        const ssize_t n = ::read(fd.get(), piece, sizeof piece);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(system_error("read " + path, errno));
        if (n == 0) return content;
        content.append(piece, static_cast<std::size_t>(n));
        if (static_cast<std::int64_t>(content.size()) > limit)
            return fail(Code::too_large, "{} is over {} bytes", path, limit);
    }
}

Result<> write_file_durably(const std::string& path, std::string_view content, unsigned mode) {
    const std::string temporary = path + ".new";
    {
        const Fd fd(io::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC, mode));
        if (!fd) return fail(system_error("create " + temporary, errno));
        auto written = write_all(fd.get(), content, temporary);
        if (written && io::fsync(fd.get()) != 0) written = fail(system_error("sync " + temporary, errno));
        if (!written) {
            ::unlink(temporary.c_str());
            return written;
        }
    }
    KILL_POINT("file.before-rename");
    if (io::rename(temporary.c_str(), path.c_str()) != 0) {
        const int error_number = errno;
        ::unlink(temporary.c_str());
        return fail(system_error("rename " + temporary, error_number));
    }
    KILL_POINT("file.after-rename");
    return sync_directory(parent_of(path));
}

Result<> remove_file_durably(const std::string& path) {
    if (io::unlink(path.c_str()) != 0 && errno != ENOENT) return fail(system_error("remove " + path, errno));
    KILL_POINT("file.after-unlink");
    auto synced = sync_directory(parent_of(path));
    if (!synced && synced.error().code == Code::not_found) return {};
    return synced;
}

Result<> sync_file(const std::string& path) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return fail(system_error("open " + path, errno));
    if (io::fsync(fd.get()) != 0) return fail(system_error("sync " + path, errno));
    return {};
}

Result<> sync_directory(const std::string& path) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return fail(system_error("open " + path, errno));
    if (io::fsync(fd.get()) != 0) return fail(system_error("sync " + path, errno));
    return {};
}

Result<> make_directories(const std::string& path, unsigned mode) {
    if (path.empty() || path == "/" || file_exists(path)) return {};
    const std::string parent = parent_of(path);
    TRY_VOID(make_directories(parent, 0755));
    if (io::mkdir(path.c_str(), mode) != 0 && errno != EEXIST)
        return fail(system_error("make directory " + path, errno));
    return sync_directory(parent);
}

Result<std::vector<std::string>> list_directory(const std::string& path) {
    std::error_code error_code;
    std::filesystem::directory_iterator entries(path, error_code);
    if (error_code == std::errc::no_such_file_or_directory) return std::vector<std::string>{};
    if (error_code) return fail(system_error("list " + path, error_code.value()));
    std::vector<std::string> names;
    for (; entries != std::filesystem::directory_iterator{}; entries.increment(error_code)) {
        if (error_code) return fail(system_error("list " + path, error_code.value()));
        std::string name = entries->path().filename().string();
        if (!name.starts_with('.')) names.push_back(std::move(name));
    }
    std::ranges::sort(names);
    return names;
}

bool file_exists(const std::string& path) {
    struct stat st {};
    return ::stat(path.c_str(), &st) == 0;
}

std::string parent_of(const std::string& path) {
    std::string parent = std::filesystem::path(path).parent_path().string();
    return parent.empty() ? "." : parent;
}

}  // namespace axle
