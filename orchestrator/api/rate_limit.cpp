#include "orchestrator/api/rate_limit.hpp"

#include <algorithm>
#include <cmath>

namespace axle::api {
namespace {
constexpr std::size_t kBucketsMax = 4096;
}

std::optional<milliseconds> RateLimiter::take(const std::string& caller, BootTime now) {
    if (per_second_ <= 0) return std::nullopt;
    const std::lock_guard lock(mutex_);
    if (buckets_.size() >= kBucketsMax && !buckets_.contains(caller)) forget_full_ones(now);
    auto [it, is_new] = buckets_.try_emplace(caller, Bucket{burst_, now});
    Bucket& bucket = it->second;
    const double passed_s = static_cast<double>(std::max<std::int64_t>(0, now.ms - bucket.at.ms)) / 1000;
    bucket.tokens = std::min(burst_, bucket.tokens + passed_s * per_second_);
    bucket.at = std::max(bucket.at, now);
    if (bucket.tokens >= 1) {
        bucket.tokens -= 1;
        return std::nullopt;
    }
    return milliseconds{static_cast<std::int64_t>(std::ceil((1 - bucket.tokens) / per_second_ * 1000))};
}

std::size_t RateLimiter::callers() const {
    const std::lock_guard lock(mutex_);
    return buckets_.size();
}

void RateLimiter::forget_full_ones(BootTime now) {
    const auto full_after_ms = static_cast<std::int64_t>(burst_ / per_second_ * 1000);
    std::erase_if(buckets_, [&](const auto& entry) { return now.ms - entry.second.at.ms >= full_after_ms; });
    if (buckets_.size() >= kBucketsMax) buckets_.clear();  // a flood of callers: memory stays bounded
}

Places::Ticket Places::take(const std::string& caller) {
    const std::lock_guard lock(state_->mutex);
    std::size_t& open = state_->open[caller];
    if (open >= state_->each_max) return nullptr;
    ++open;
    ++state_->total;
    return Ticket(static_cast<void*>(this), [state = state_, caller](void*) {
        const std::lock_guard relock(state->mutex);
        --state->total;
        if (--state->open[caller] == 0) state->open.erase(caller);
    });
}

std::size_t Places::taken() const {
    const std::lock_guard lock(state_->mutex);
    return state_->total;
}

}  // namespace axle::api
