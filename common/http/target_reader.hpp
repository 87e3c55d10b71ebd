// Inside of common/http: a request target taken apart by cpp-httplib.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "common/http/message.hpp"

namespace axle::http {

// Any thread, also many at once.
class TargetReader {
  public:
    TargetReader();
    ~TargetReader();
    // Fills path and query from the target. False: it is malformed.
    bool read(std::string_view target, Request& request) const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace axle::http
