// Random numbers of the kernel.
#pragma once
#include <array>
#include <cstddef>

#include "common/base/clock.hpp"

namespace axle {

// getrandom, 512 bytes at a time. Fit for keys and tokens. One thread at a time.
class SystemRandom final : public Random {
  public:
    std::uint64_t next() override;

  private:
    std::array<std::uint64_t, 64> buffer_{};
    std::size_t left_ = 0;
};

}  // namespace axle
