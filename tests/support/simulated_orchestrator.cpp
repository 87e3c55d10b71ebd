#include "tests/support/simulated_orchestrator.hpp"

namespace axle::test {

// Late but in order in each direction; runs on the one thread, so the receiver may be gone, which the link checks.
Carry SimulatedOrchestrator::carrier() {
    auto last = std::make_shared<std::map<Executor*, std::int64_t>>();
    return [this, last](Executor& to, std::function<void()> deliver) {
        std::int64_t& at = (*last)[&to];
        at = std::max(at, time_.now_ms() + random_.between(0, slow_ms));
        time_.at(at, std::move(deliver));
    };
}

void SimulatedOrchestrator::connect() {
    if (machine_.agent() == nullptr) return;
    disconnect("a new connection is made");
    auto ends = join_in_process(machine_.clock(), clock_, carrier());
    channel_ = std::move(ends.orchestrator);
    Channel* mine = channel_.get();
    channel_->on_message([this, mine](const Message& message) {
        if (channel_.get() == mine) on_message(message);
    });
    channel_->on_closed([this, mine](const std::string& why) {
        if (channel_.get() != mine) return;
        closed_because = why;
        lose();
    });
    machine_.agent()->connected(std::move(ends.agent));
}

void SimulatedOrchestrator::lose() {
    greeted_ = false;
    if (!channel_) return;
    time_.after(milliseconds{0}, [gone = std::move(channel_)] {});  // it may be calling us
    channel_ = nullptr;
}

void SimulatedOrchestrator::keep_connected() {
    if (keeping_ && !channel_) connect();
    if (!std::exchange(keeping_, true)) connect();
    time_.after(milliseconds{random_.between(500, 3'000)}, [this] {
        if (keeping_) keep_connected();
    });
}

void SimulatedOrchestrator::end(DocumentKind kind, const Uuid& id, Epoch epoch, bool destroy) {
    const DocumentKey key{kind, id};
    puts_.erase(key);
    ends_[key] = {epoch, destroy};
    ++revision;
    if (destroy && kind == DocumentKind::volume) machine_.expect_volume_destroy(VolumeId{id});
    Desired desired;
    if (destroy) {
        desired.destroys.push_back({kind, id, epoch});
    } else {
        desired.releases.push_back({kind, id, epoch});
    }
    if (greeted_) send(std::move(desired));
}

void SimulatedOrchestrator::send(Desired desired) {
    desired.cluster = cluster;
    desired.incarnation = incarnation;
    desired.run_id = run_id;
    if (desired.revision == 0) desired.revision = revision;
    if (greeted_) channel_->send(std::move(desired));
}

void SimulatedOrchestrator::repeat(TaskOrder order, int times) {
    if (!greeted_) return;
    order.connection = hello_.connection;
    for (int i = 0; i < times; ++i) channel_->send(order);
}

void SimulatedOrchestrator::on_message(const Message& message) {
    if (const auto* hello = std::get_if<Hello>(&message)) return on_hello(*hello);
    if (const auto* status = std::get_if<Status>(&message)) return on_status(*status);
    if (std::holds_alternative<Heartbeat>(message)) ++heartbeats;
    if (const auto* news = std::get_if<TaskNews>(&message)) tasks_[news->id] = *news;
    if (const auto* report = std::get_if<UnclaimedReport>(&message)) unclaimed_ = *report;
}

void SimulatedOrchestrator::on_hello(const Hello& hello) {
    hello_ = hello;
    greeted_ = true;
    std::map<DocumentKey, HeldDocument> held;
    for (const auto& document : hello.documents) held[{document.kind, document.id}] = document;
    Desired desired;
    for (const auto& [key, put] : puts_) {
        auto it = held.find(key);
        if (it == held.end() || it->second.hash != put.hash || it->second.epoch != put.epoch)
            desired.puts.push_back(put);
    }
    for (auto it = ends_.begin(); it != ends_.end();) {
        if (!held.contains(it->first)) {  // nothing of it is held: it is gone
            it = ends_.erase(it);
            continue;
        }
        const auto& [key, end] = *it++;
        if (end.destroy) {
            desired.destroys.push_back({key.first, key.second, end.epoch});
        } else {
            desired.releases.push_back({key.first, key.second, end.epoch});
        }
    }
    send(std::move(desired));
}

void SimulatedOrchestrator::on_status(const Status& status) {
    const DocumentKey key{status.kind, status.id};
    if (!status.gone) {
        statuses_[key] = status;
        return;
    }
    gone_[key] = status.epoch;
    auto it = ends_.find(key);
    if (it != ends_.end() && (status.epoch == it->second.epoch || !has_epoch(status.kind))) ends_.erase(it);
    statuses_.erase(key);
}

std::optional<Status> SimulatedOrchestrator::status(const DocumentKey& key) const {
    auto it = statuses_.find(key);
    return it == statuses_.end() ? std::nullopt : std::optional(it->second);
}

std::optional<Epoch> SimulatedOrchestrator::gone(const DocumentKey& key) const {
    auto it = gone_.find(key);
    return it == gone_.end() ? std::nullopt : std::optional(it->second);
}

std::optional<VmReport> SimulatedOrchestrator::vm_report(VmId vm) const {
    const auto found = status({DocumentKind::vm, vm});
    if (!found) return std::nullopt;
    auto report = from_json_text<VmReport>(found->content);
    return report ? std::optional(std::move(*report)) : std::nullopt;
}

}  // namespace axle::test
