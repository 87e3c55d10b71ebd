// Room on a file system, and leaving some of it to others. Blocks: workers only.
#pragma once
#include <cstdint>
#include <string>

#include "common/base/result.hpp"

namespace axle {

Result<std::int64_t> free_bytes(const std::string& path);  // of the file system of this file or directory

// Code::no_space, with the numbers, when less than `needed` beyond `keep_free` is free there. keep_free 0: never.
Result<> check_space(const std::string& path, std::int64_t keep_free, std::int64_t needed);

// For a writer: looks at the room before its first byte and every 16 MiB after. One thread.
class SpaceWatch {
  public:
    SpaceWatch(std::string path, std::int64_t keep_free) : path_(std::move(path)), keep_free_(keep_free) {}
    // Before so many bytes are written. Code::no_space: don't.
    Result<> before(std::int64_t bytes);

  private:
    std::string path_;
    std::int64_t keep_free_, unseen_ = 0;
    bool looked_ = false;
};

}  // namespace axle
