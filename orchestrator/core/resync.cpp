// Everything is looked at again now and then, so that a lost event costs time and nothing else. Of a cloud with a
// million VMs some at a time: what has changed goes first, and to be sure costs the same small share of a core at any
// size.
#include <algorithm>

#include "orchestrator/core/controllers.hpp"

namespace axle {
namespace {

constexpr milliseconds kRound{30'000};  // of each kind; longer where it has more than 30 s allow
constexpr milliseconds kSlice{1'000};
constexpr int kKeysASlice = 1'000;

}  // namespace

void Controllers::look_at_everything() {
    const BootTime now = pipeline_.clock().boot();
    rounds_.clear();
    for (const Kind kind : {Kind::image, Kind::volume, Kind::vm, Kind::network, Kind::pool, Kind::host}) {
        rounds_.push_back({.kind = kind, .began = now});
        for (const auto& [id, object] : pipeline_.world().all(kind)) look_later({kind, id});
    }
    look_again_in(kRound);
}

void Controllers::look_again_in(milliseconds pause) {
    pipeline_.clock().cancel(resync_timer_);
    resync_timer_ = pipeline_.clock().after(pause, [this] { resync(); });
}

void Controllers::resync() {
    const BootTime now = pipeline_.clock().boot();
    milliseconds pause = kRound;
    for (Round& round : rounds_) {
        if (!round.goes_on && now - round.began >= kRound) round = {.kind = round.kind, .began = now, .goes_on = true};
        if (round.goes_on) next_slice(round);
        pause = std::min(pause, round.goes_on ? kSlice : std::max(kSlice, kRound - (now - round.began)));
    }
    look_again_in(pause);
}

// By the buckets of the table, which may change its size meanwhile: then some are missed or looked at twice, this time.
void Controllers::next_slice(Round& round) {
    const auto& table = pipeline_.world().all(round.kind);
    for (int left = kKeysASlice; left > 0 && round.bucket < table.bucket_count(); ++round.bucket) {
        for (auto at = table.begin(round.bucket); at != table.end(round.bucket); ++at, --left)
            look_later({round.kind, at->first});
    }
    round.goes_on = round.bucket < table.bucket_count();
}

}  // namespace axle
