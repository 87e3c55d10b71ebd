// Files that survive a power cut, and reading with a limit. Every call blocks: workers and start-up only.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.hpp"

namespace axle {

// A file descriptor that closes itself.
class Fd {
  public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    ~Fd() { reset(); }
    Fd(Fd&& other) noexcept : fd_(other.release()) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) reset(other.release());
        return *this;
    }
    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    int release() { return std::exchange(fd_, -1); }
    void reset(int fd = -1);

  private:
    int fd_ = -1;
};

// Whole file, or Code::not_found, or Code::too_large over `limit` bytes.
Result<std::string> read_file(const std::string& path, std::int64_t limit = 16 << 20);

// Temporary name in the same directory, write, fsync, rename, fsync of the directory (RELIABILITY 4.1). After success
// the content is on disk; after any failure or crash the old content is whole. Code::no_space if that is the cause.
Result<> write_file_durably(const std::string& path, std::string_view content, unsigned mode = 0600);

// Removes and syncs the directory. A file that isn't there is a success.
Result<> remove_file_durably(const std::string& path);

Result<> sync_file(const std::string& path);       // fsync of what others wrote
Result<> sync_directory(const std::string& path);  // makes creations, renames, removals in it durable
// Makes the directory and its parents; what it makes is durable. One that is there keeps its mode.
Result<> make_directories(const std::string& path, unsigned mode = 0755);

// Names (no paths) in a directory, sorted, without dot files; empty if there is no such directory.
Result<std::vector<std::string>> list_directory(const std::string& path);

bool file_exists(const std::string& path);
std::string parent_of(const std::string& path);

// errno as an Error: subject, the system's words, and no_space or not_found where that is the case.
Error system_error(std::string_view what, int error_number);

}  // namespace axle
