// Inside of common/http: bytes on their way to a socket. Small pieces are joined, large ones are moved, not copied.
#pragma once
#include <list>
#include <string>
#include <string_view>

#include "common/http/transport.hpp"

namespace axle::http {

class OutQueue {
  public:
    void append(std::string bytes) {
        if (bytes.empty()) return;
        size_ += bytes.size();
        if (!pieces_.empty() && pieces_.back().size() + bytes.size() <= kJoinMax)
            pieces_.back() += bytes;
        else
            pieces_.push_back(std::move(bytes));
    }
    bool empty() const { return size_ == 0; }
    std::size_t size() const { return size_; }

    // Writes as much as the socket takes. False: the connection is lost.
    bool flush(Transport& transport) {
        while (!pieces_.empty()) {
            const int sent = transport.write(std::string_view(pieces_.front()).substr(at_));
            if (sent < 0) return false;
            if (sent == 0) return true;
            at_ += static_cast<std::size_t>(sent);
            size_ -= static_cast<std::size_t>(sent);
            if (at_ < pieces_.front().size()) continue;
            pieces_.pop_front();
            at_ = 0;
        }
        return true;
    }

  private:
    static constexpr std::size_t kJoinMax = 32 << 10;
    std::list<std::string> pieces_;  // a deque holds half a KiB when it is empty, as most are
    std::size_t at_ = 0;             // of the front piece, what is sent
    std::size_t size_ = 0;
};

}  // namespace axle::http
