// The fake behind the StateFiles seam. What is on the platter (MemoryFiles) outlives the agent that writes it
// (MemoryStateFiles); what was put and not yet answered may be lost in a power cut.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "agent/state/state_files.hpp"
#include "common/base/clock.hpp"
#include "common/base/unsynced_files.hpp"

namespace axle {

// The state directory of one machine. One thread.
using MemoryFiles = UnsyncedFiles<std::string>;

struct MemoryStateOptions {
    milliseconds longest_delay{5};
    // An error for this write or removal: it isn't done, and answered so. Any but no_space is followed by on_fatal.
    std::function<std::optional<Error>(const std::string& name)> fault;
    std::function<void(Error)> on_fatal;
};

// One agent's life. Destroying it is a crash: what hasn't acted never will, no answer comes any more.
class MemoryStateFiles final : public StateFiles {
  public:
    MemoryStateFiles(MemoryFiles& files, Clock& clock, Random& random, MemoryStateOptions options = {});
    ~MemoryStateFiles() override;
    void load(std::function<void(Result<std::vector<StateFile>>)> answer) override;
    void put(std::string name, std::string content, std::function<void(Result<>)> done) override;
    void remove(std::string name, std::function<void(Result<>)> done) override;

  private:
    void change(std::string name, std::optional<std::string> content, std::function<void(Result<>)> done);
    void in_turn(std::function<void()> act, std::function<void()> answer);

    MemoryFiles& files_;
    Clock& clock_;
    Random& random_;
    MemoryStateOptions options_;
    BootTime last_answer_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace axle
