#include "common/loop/on_all_cores.hpp"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace axle {
namespace {

constexpr std::size_t kThreadsMax = 8, kFew = 64, kAtOnce = 16;

}  // namespace

void on_all_cores(std::size_t count, const std::function<void(std::size_t)>& work) {
    std::atomic<std::size_t> next{0};
    const auto some = [&] {
        for (std::size_t from = next.fetch_add(kAtOnce); from < count; from = next.fetch_add(kAtOnce))
            for (std::size_t i = from; i < std::min(count, from + kAtOnce); ++i) work(i);
    };
    std::vector<std::jthread> others;
    const std::size_t threads = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, kThreadsMax);
    for (std::size_t i = 1; i < threads && count > kFew; ++i) others.emplace_back(some);
    some();
}

}  // namespace axle
