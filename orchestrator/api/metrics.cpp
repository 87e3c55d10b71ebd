#include "orchestrator/api/metrics.hpp"

#include <fmt/format.h>

namespace axle::api {

void Metrics::count(Op op, int status, std::int64_t took_us) {
    Row& row = rows_[static_cast<std::size_t>(op)];
    const auto hundreds = static_cast<std::size_t>(status / 100);
    row.by_class[hundreds < row.by_class.size() ? hundreds : 0].fetch_add(1, std::memory_order_relaxed);
    std::size_t bucket = 0;
    while (bucket < kBounds_us.size() && took_us > kBounds_us[bucket]) ++bucket;
    row.buckets[bucket].fetch_add(1, std::memory_order_relaxed);
    row.sum_us.fetch_add(static_cast<std::uint64_t>(took_us), std::memory_order_relaxed);
}

void Metrics::write(std::string& out) const {
    const auto to = std::back_inserter(out);
    fmt::format_to(to,
                   "# HELP axle_api_requests_total Answers by operation and class of status.\n"
                   "# TYPE axle_api_requests_total counter\n");
    for (std::size_t i = 0; i < kOps; ++i) {
        for (std::size_t hundreds = 1; hundreds < 6; ++hundreds) {
            const auto n = rows_[i].by_class[hundreds].load(std::memory_order_relaxed);
            if (n > 0)
                fmt::format_to(to, "axle_api_requests_total{{op=\"{}\",class=\"{}xx\"}} {}\n",
                               name_of(static_cast<Op>(i)), hundreds, n);
        }
    }
    fmt::format_to(to,
                   "# HELP axle_api_seconds From the request's arrival at a worker to its answer.\n"
                   "# TYPE axle_api_seconds histogram\n");
    for (std::size_t i = 0; i < kOps; ++i) {
        const char* op = name_of(static_cast<Op>(i));
        std::uint64_t total = 0;
        std::string lines;
        for (std::size_t b = 0; b <= kBounds_us.size(); ++b) {
            total += rows_[i].buckets[b].load(std::memory_order_relaxed);
            const std::string bound =
                b < kBounds_us.size() ? fmt::format("{}", static_cast<double>(kBounds_us[b]) / 1e6) : "+Inf";
            lines += fmt::format("axle_api_seconds_bucket{{op=\"{}\",le=\"{}\"}} {}\n", op, bound, total);
        }
        if (total == 0) continue;
        const auto sum_us = static_cast<double>(rows_[i].sum_us.load(std::memory_order_relaxed));
        fmt::format_to(to, "{}axle_api_seconds_sum{{op=\"{}\"}} {}\naxle_api_seconds_count{{op=\"{}\"}} {}\n", lines,
                       op, sum_us / 1e6, op, total);
    }
    write_metric(out, "axle_api_refused_total", "counter", "Requests without a route or login, or over the limit.",
                 static_cast<double>(refused_.load(std::memory_order_relaxed)));
}

void write_metric(std::string& out, const char* name, const char* type, const char* help, double value) {
    fmt::format_to(std::back_inserter(out), "# HELP {0} {1}\n# TYPE {0} {2}\n{0} {3}\n", name, help, type, value);
}

}  // namespace axle::api
