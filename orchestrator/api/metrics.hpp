// Counts of what the API did, in Prometheus' text form. Any thread.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "orchestrator/api/route.hpp"

namespace axle::api {

class Metrics {
  public:
    static constexpr std::size_t kOps = static_cast<std::size_t>(Op::options) + 1;
    void count(Op op, int status, std::int64_t took_us);
    void count_refused() { refused_.fetch_add(1, std::memory_order_relaxed); }  // no route, no login, too many
    // axle_api_requests_total{op,class}, axle_api_seconds (histogram by op)
    void write(std::string& out) const;

  private:
    static constexpr std::array<std::int64_t, 9> kBounds_us = {1'000,   2'000,   5'000,     10'000,    25'000,
                                                               100'000, 500'000, 2'000'000, 10'000'000};
    struct Row {
        std::array<std::atomic<std::uint64_t>, 6> by_class{};  // by hundreds of the status
        std::array<std::atomic<std::uint64_t>, kBounds_us.size() + 1> buckets{};
        std::atomic<std::uint64_t> sum_us{0};
    };
    std::array<Row, kOps> rows_;
    std::atomic<std::uint64_t> refused_{0};
};

// One sample line with its head; for single values.
void write_metric(std::string& out, const char* name, const char* type, const char* help, double value);

}  // namespace axle::api
