#include "agent/core/reporter.hpp"

#include <algorithm>

#include "common/base/units.hpp"

namespace axle {
namespace {
constexpr milliseconds kGather{5};
}

void Reporter::set(const DocumentKey& key, Epoch epoch, std::string content) {
    gone_.erase(key);
    auto [it, fresh] = lines_.try_emplace(key);
    Line& line = it->second;
    if (!fresh && line.epoch == epoch && line.content == content) return;
    line = {epoch, std::move(content), true};
    arm();
}

void Reporter::gone(const DocumentKey& key, Epoch epoch) {
    lines_.erase(key);
    if (channel_ == nullptr) return;  // the next hello doesn't list it, which tells the same
    gone_[key] = epoch;
    arm();
}

void Reporter::forget(const DocumentKey& key) {
    lines_.erase(key);
    gone_.erase(key);
}

void Reporter::attach(Channel* channel) {
    channel_ = channel;
    gone_.clear();
    for (auto& [key, line] : lines_) line.dirty = true;
    if (channel_ != nullptr) arm();
}

const std::string* Reporter::content(const DocumentKey& key) const {
    auto it = lines_.find(key);
    return it == lines_.end() ? nullptr : &it->second.content;
}

void Reporter::arm() {
    if (timer_ != 0 || channel_ == nullptr) return;
    timer_ = clock_.after(kGather, life_.wrap([this] {
        timer_ = 0;
        flush();
    }));
}

void Reporter::flush() {
    if (channel_ == nullptr) return;
    for (const auto& [key, epoch] : std::exchange(gone_, {})) {
        if (channel_ == nullptr) return;  // it closed while we sent
        channel_->send(Status{.kind = key.first, .id = key.second, .epoch = epoch, .gone = true});
    }
    for (auto& [key, line] : lines_) {
        if (channel_ == nullptr) return;
        if (!line.dirty) continue;
        line.dirty = false;
        channel_->send(Status{.kind = key.first, .id = key.second, .epoch = line.epoch, .content = line.content});
    }
}

void keep_since(const std::vector<Condition>& before, std::vector<Condition>& now, WallTime wall) {
    for (Condition& condition : now) {
        const auto same = std::ranges::find_if(before, [&](const Condition& old) {
            return old.type == condition.type && old.status == condition.status && old.reason == condition.reason;
        });
        condition.since = same == before.end() ? format_time(wall) : same->since;
    }
}

}  // namespace axle
