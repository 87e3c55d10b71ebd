// A file that only takes up room: freed at start before the store opens, so that recovery never fails for want of
// space, and made again when there is room.
#pragma once
#include <cstdint>
#include <string>

#include "common/base/result.hpp"
#include "orchestrator/store/store.hpp"

namespace axle {

// One thread at a time; calls block on the disk.
class Reserve {
  public:
    // bytes 0: no reserve is kept, and the space never counts as below it.
    Reserve(std::string path, std::int64_t bytes) : path_(std::move(path)), bytes_(bytes) {}
    Result<> release();
    // Measures, and makes the file if it is missing and at least as much again would stay free. An error of making it
    // is no reason to stop: the space then counts as below the reserve.
    Result<Space> measure();

  private:
    bool make();

    std::string path_;
    std::int64_t bytes_;
    bool made_ = false;
};

}  // namespace axle
