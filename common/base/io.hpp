// The system calls that make files durable, one for one, behind a counter: in dev builds a test can let the N-th of
// them fail. errno is set as by the call itself.
#pragma once
#include <cstddef>
#include <sys/types.h>

namespace axle::io {

int open(const char* path, int flags, unsigned mode = 0);
ssize_t write(int fd, const void* data, std::size_t size);
ssize_t pwrite(int fd, const void* data, std::size_t size, off_t offset);
int ftruncate(int fd, off_t size);
int fallocate(int fd, off_t size);
int fsync(int fd);
int rename(const char* from, const char* to);
int rename_to_new(const char* from, const char* to);  // EEXIST where `to` exists
int link(const char* from, const char* to);
int unlink(const char* path);
int mkdir(const char* path, unsigned mode);

// The n-th call from now on fails with this errno, once; 0: none. Any thread. Only in builds with AXLE_FAULTS.
void fail_call(int n, int error_number);
int calls();  // since the last fail_call

}  // namespace axle::io
