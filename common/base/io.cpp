#include "common/base/io.hpp"

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

namespace axle::io {
namespace {

#ifdef AXLE_FAULTS
std::atomic<int> counted{0}, failing_call{0}, failing_errno{0};

bool fails() {
    if (++counted != failing_call) return false;
    errno = failing_errno;
    return true;
}
#else
constexpr bool fails() {
    return false;
}
#endif

}  // namespace

#ifdef AXLE_FAULTS
void fail_call(int n, int error_number) {
    failing_errno = error_number;
    failing_call = n;
    counted = 0;
}
int calls() {
    return counted;
}
#else
void fail_call(int, int) {}
int calls() {
    return 0;
}
#endif

int open(const char* path, int flags, unsigned mode) {
    return fails() ? -1 : ::open(path, flags | O_CLOEXEC, mode);
}
ssize_t write(int fd, const void* data, std::size_t size) {
    return fails() ? -1 : ::write(fd, data, size);
}
ssize_t pwrite(int fd, const void* data, std::size_t size, off_t offset) {
    return fails() ? -1 : ::pwrite(fd, data, size, offset);
}
int ftruncate(int fd, off_t size) {
    return fails() ? -1 : ::ftruncate(fd, size);
}
int fallocate(int fd, off_t size) {
    return fails() ? -1 : ::fallocate(fd, 0, 0, size);
}
int fsync(int fd) {
    return fails() ? -1 : ::fsync(fd);
}
int rename(const char* from, const char* to) {
    return fails() ? -1 : ::rename(from, to);
}
int rename_to_new(const char* from, const char* to) {
    if (fails()) return -1;
    if (::renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return -1;
    // A file system that can't (NFS): a second name, which never replaces, and the first one taken away.
    return ::link(from, to) == 0 ? ::unlink(from) : -1;
}
int link(const char* from, const char* to) {
    return fails() ? -1 : ::link(from, to);
}
int unlink(const char* path) {
    return fails() ? -1 : ::unlink(path);
}
int mkdir(const char* path, unsigned mode) {
    return fails() ? -1 : ::mkdir(path, mode);
}

}  // namespace axle::io
