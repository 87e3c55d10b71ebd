// Work during which one call of common/base/io fails.
#pragma once
#include <utility>

#include "common/base/io.hpp"

namespace axle::test {

// The n-th call from here on fails with this errno. false: the work made fewer, so nothing failed.
template <typename Work>
bool with_failing_call(int n, int error, Work&& work) {
    io::fail_call(n, error);
    std::forward<Work>(work)();
    const bool reached = io::calls() >= n;
    io::fail_call(0, 0);
    return reached;
}

}  // namespace axle::test
