#include "orchestrator/core/pipeline.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "common/base/ensure.hpp"
#include "common/base/units.hpp"
#include "orchestrator/core/event_rules.hpp"
#include "orchestrator/core/planted.hpp"

namespace axle {
namespace {

constexpr milliseconds kTick{10'000};
constexpr std::int64_t kSaveClockEvery = 60'000;

}  // namespace

Pipeline::Pipeline(Store& store, Clock& clock, Random& random, SecretCodec secrets)
    : store_(store),
      clock_(clock),
      random_(random),
      secrets_(std::move(secrets)),
      state_(store.state()),
      head_(state_.revision) {
    store_.on_durable([this](Revision revision) { became_durable(revision); });
}

void Pipeline::tick() {
    const BootTime now = clock_.boot();
    cluster_clock_.advance((now - ticked_).count(), clock_.wall().ms);
    ticked_ = now;
    if (cluster_clock_.time - clock_saved_ >= kSaveClockEvery && !state_.read_only) {
        // Rides behind the batches before it; what is lost of it at a power cut only makes retention longer.
        save_clock(0);
    }
    clock_.after(kTick, [this] { tick(); });
}

void Pipeline::save_clock(Revision revision) {
    clock_saved_ = cluster_clock_.time;
    store_.commit({.last_revision = revision,
                   .writes = {{Table::meta, "clock",
                               fmt::format(R"({{"time":{},"wall":{}}})", cluster_clock_.time, clock_.wall().ms)}},
                   .deleted_ranges = {}});
}

void Pipeline::accept_clock(std::function<void()> done) {
    cluster_clock_.time = clock_.wall().ms;
    save_clock(++head_);  // a revision of its own, so that it can be waited for
    when_durable(std::move(done));
}

std::string Pipeline::now_text() const {
    return format_time(clock_.wall());
}

Transaction Pipeline::begin() {
    return Transaction(world_, head_, {clock_.wall(), cluster_clock_.time, state_.incarnation}, random_);
}

Revision Pipeline::commit(Transaction& tx) {
    if (tx.empty()) return head_;
    auto outcome = tx.commit(secrets_);
    ENSURE(!state_.read_only, "nothing is committed while the store is read-only");
    head_ = outcome.head;
    add_events(outcome.batch, outcome.events);
    store_.commit(std::move(outcome.batch));
    for (const ChangeEvent& event : outcome.events) {
        remember(event);
        for (const auto& told : committed_) told(event);
    }
    return head_;
}

// What isn't durable has been told to nobody, so it stays: a subscriber that is told late must find no gap.
void Pipeline::remember(const ChangeEvent& event) {
    ring_.push_back(event);
    ring_bytes_ += event.record->size();
    const auto too_much = [this] { return ring_.size() > kChangesInMemory || ring_bytes_ > kChangesBytesInMemory; };
    while (too_much() && ring_.front().revision <= fed_) {
        ring_bytes_ -= ring_.front().record->size();
        ring_.pop_front();
    }
}

// Lines of the history that people read (axle events), in the batch that makes them true.
void Pipeline::add_events(Batch& batch, const std::vector<ChangeEvent>& changes) const {
    for (const ChangeEvent& change : changes) {
        const Object& object = change.object ? *change.object : *change.before;
        unsigned char number = 0;
        for (const EventText& event : events_of(change.before.get(), change.object.get()))
            batch.writes.push_back({Table::events, revision_key(change.revision) + static_cast<char>(number++),
                                    event_record(event, object, now_text())});
    }
}

void Pipeline::when_durable(std::function<void()> then) {
    if (waiting_.empty() && store_.durable() >= head_) return then();
    if (planted_in_core().answer_before_durable) return then();
    waiting_.emplace_back(head_, std::move(then));
}

void Pipeline::became_durable(Revision revision) {
    while (!waiting_.empty() && waiting_.front().first <= revision) {
        auto then = std::move(waiting_.front().second);
        waiting_.pop_front();
        then();
    }
    feed(revision);
}

void Pipeline::feed(Revision durable) {
    fed_ = std::max(fed_, durable);
    for (auto& [id, subscriber] : subscribers_) {
        auto event = std::ranges::upper_bound(ring_, subscriber.told, {}, &ChangeEvent::revision);
        for (; event != ring_.end() && event->revision <= durable; ++event) subscriber.sink->changed(*event);
        subscriber.told = std::max(subscriber.told, durable);
        subscriber.sink->reached(subscriber.told);
    }
}

Result<SubscriptionId> Pipeline::subscribe(Revision since, std::shared_ptr<ChangeSink> sink) {
    if (since < oldest_change())
        return fail(Code::gone, "changes in memory reach back to {}, {} is older", oldest_change(), since);
    if (since > head_) return fail(Code::gone, "revision {} was never reached; the head is {}", since, head_);
    const SubscriptionId id = ++last_subscription_;
    subscribers_[id] = {planted_in_core().drop_event_at_resume ? since + 1 : since, std::move(sink)};
    when_durable([this] { feed(store_.durable()); });
    return id;
}

void Pipeline::unsubscribe(SubscriptionId id) {
    subscribers_.erase(id);
}

Result<> Pipeline::check_writable() const {
    if (!state_.read_only) return {};
    return fail(error(Code::unavailable, "nothing can be changed: {}", state_.read_only->why)
                    .with_hint(state_.read_only->hint)
                    .with_reason("store-read-only"));
}

void Pipeline::turn_read_only(std::string reason, std::string why, Seen seen) {
    store_.turn_read_only(std::move(reason), std::move(why), seen);
    state_ = store_.state();
}

void Pipeline::accept_loss(Seen seen, std::function<void(Result<StoreState>)> done) {
    store_.accept_loss(seen, [this, done = std::move(done)](Result<StoreState> state) {
        if (state) {
            state_ = *state;
            head_ = std::max(head_, state_.revision);
        }
        done(std::move(state));
    });
}

}  // namespace axle
