// Actions that are not states: reboot, reset (DESIGN 4). `started` is durable before the effect; a repeat is answered
// from the record and never run again; one that a crash cut off ends as outcome-unknown. Core thread.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "agent/core/ledger.hpp"
#include "agent/core/seams.hpp"

namespace axle {

class TaskKeeper {
  public:
    struct Hooks {
        std::function<std::optional<Epoch>(VmId)> epoch_if_on;  // of a kept guest that is on
        std::function<void(TaskNews)> tell;                     // dropped when not connected
    };
    TaskKeeper(const Seams& seams, Ledger& ledger, Hooks hooks);

    void recover();                                               // once, after the ledger was loaded
    void take(const TaskOrder& order, std::uint64_t connection);  // connection: number of the newest
    void tell_all();                                              // after each hello: how those ended that we know

    static constexpr milliseconds kKeep{24 * 3600 * 1000};
    static constexpr std::size_t kMaxKept = 10'000;

  private:
    void begin(const TaskOrder& order);
    void act(const TaskRecord& task);
    void end(TaskRecord task, TaskState state, std::string code, std::string message);
    void refuse(const TaskOrder& order, std::string code, std::string message);
    void keep_for_a_while(TaskId task);

    Seams seams_;
    Ledger& ledger_;
    Hooks hooks_;
    std::set<TaskId> running_;  // of this process: begun and not ended
    Life life_;
};

}  // namespace axle
