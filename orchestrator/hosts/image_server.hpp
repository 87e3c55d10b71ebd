// Sends image files to hosts. A slow host holds one of few threads, and never all: its sends take turns.
#pragma once
#include <atomic>
#include <memory>
#include <string>

#include "common/http/reply.hpp"
#include "common/loop/workers.hpp"

namespace axle {

// Where a "Range: bytes=N-" begins; 0: no range. Other ranges are refused.
Result<std::int64_t> range_start(const std::string& header);

class ImageServer {
  public:
    ImageServer();
    ~ImageServer();  // stop()

    // Any thread. Answers with the file from this byte on (200, or 206), or with why not.
    void send(const std::string& host, const std::string& file, std::int64_t from,
              const std::shared_ptr<http::Reply>& reply);
    void stop();

  private:
    std::shared_ptr<std::atomic<bool>> stopping_ = std::make_shared<std::atomic<bool>>(false);
    Workers workers_;
};

}  // namespace axle
