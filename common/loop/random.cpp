#include "common/loop/random.hpp"

#include <cerrno>
#include <sys/random.h>

#include "common/base/ensure.hpp"

namespace axle {

std::uint64_t SystemRandom::next() {
    if (left_ == 0) {
        auto* const bytes = reinterpret_cast<char*>(buffer_.data());
        for (std::size_t have = 0; have < sizeof buffer_;) {
            const ssize_t got = getrandom(bytes + have, sizeof buffer_ - have, 0);
            ENSURE(got > 0 || errno == EINTR, "the kernel gives random numbers");
            if (got > 0) have += static_cast<std::size_t>(got);
        }
        left_ = buffer_.size();
    }
    return buffer_[--left_];
}

}  // namespace axle
