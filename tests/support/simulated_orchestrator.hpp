// An orchestrator for simulations of one agent: keeps documents, sends the difference after each hello and each change,
// hears the statuses. What it says is encoded and travels over the in-process link.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "agent/core/intake.hpp"
#include "agent/link/in_process_link.hpp"
#include "common/model/codec.hpp"
#include "tests/support/simulated_machine.hpp"

namespace axle::test {

class SimulatedOrchestrator {
  public:
    SimulatedOrchestrator(VirtualTime& time, SeededRandom& random, SimulatedMachine& machine)
        : time_(time), random_(random), machine_(machine), clock_(time) {}

    void connect();  // joins the living agent; an earlier connection ends
    void disconnect(const std::string& why = "cut") {
        if (channel_) channel_->close(why);
        lose();
    }
    bool is_connected() const { return channel_ != nullptr && greeted_; }
    // Keeps the connection up from now on.
    void keep_connected();

    template <typename T>
    void put(DocumentKind kind, T document) {  // sets the epoch's place where there is one; sends when connected
        Put put{.kind = kind, .id = document.id, .content = to_json_text(document)};
        if constexpr (requires { document.epoch; }) put.epoch = document.epoch;
        put.hash = std::to_string(std::hash<std::string>{}(put.content));
        ends_.erase({kind, put.id});
        puts_[{kind, put.id}] = put;
        ++revision;
        if (greeted_) send(Desired{.puts = {put}});
    }
    void end(DocumentKind kind, const Uuid& id, Epoch epoch, bool destroy);
    void confirm(VmId vm, Epoch epoch) {
        if (greeted_) send(Desired{.confirms = {{DocumentKind::vm, vm, epoch}}});
    }
    void send(Desired desired);
    void send(Message message) {
        if (greeted_) channel_->send(std::move(message));
    }
    void repeat(TaskOrder order, int times);  // on the connection that stands

    std::optional<VmReport> vm_report(VmId vm) const;
    std::optional<Status> status(const DocumentKey& key) const;
    bool is_ending(const DocumentKey& key) const { return ends_.contains(key); }
    std::size_t ending() const { return ends_.size(); }
    const std::map<TaskId, TaskNews>& tasks() const { return tasks_; }
    const Hello& hello() const { return hello_; }
    const UnclaimedReport& unclaimed() const { return unclaimed_; }
    std::optional<Epoch> gone(const DocumentKey& key) const;  // as was told last

    std::string cluster = "c1";
    std::uint64_t incarnation = 1, revision = 1;
    std::string run_id = "run-1";
    std::int64_t slow_ms = 5;  // greatest time that a message takes
    int heartbeats = 0;
    std::string closed_because;

  private:
    void lose();
    void on_message(const Message& message);
    void on_hello(const Hello& hello);
    void on_status(const Status& status);
    Carry carrier();

    struct End {
        Epoch epoch;
        bool destroy = false;
    };
    VirtualTime& time_;
    SeededRandom& random_;
    SimulatedMachine& machine_;
    VirtualClock clock_;
    std::shared_ptr<Channel> channel_;
    bool greeted_ = false, keeping_ = false;
    std::map<DocumentKey, Put> puts_;
    std::map<DocumentKey, End> ends_;
    std::map<DocumentKey, Status> statuses_;
    std::map<TaskId, TaskNews> tasks_;
    std::map<DocumentKey, Epoch> gone_;
    UnclaimedReport unclaimed_;
    Hello hello_;
};

}  // namespace axle::test
