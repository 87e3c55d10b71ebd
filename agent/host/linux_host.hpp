// What this machine is and how loaded it is, read from the kernel (the HostProbe of agent/core).
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/core/seams.hpp"
#include "common/loop/workers.hpp"

namespace axle {

std::string read_boot_id();   // /proc/sys/kernel/random/boot_id
HostFacts read_host_facts();  // blocks shortly

// What of the machine itself is in guests' way or puts them at risk: NoAccelerator, NotDurable of `folders`. Blocks
// shortly. What cuts a network off is told with that network.
std::vector<Condition> read_host_conditions(const std::vector<std::string>& folders,
                                            std::optional<Accelerator> accelerator = {});

class LinuxHost final : public HostProbe {
  public:
    // folders: where our state lies. accelerator: what the configuration states. data_port: the one that is open now,
    // or 0; asked on a worker, may block shortly.
    LinuxHost(Workers& workers, Executor& core, std::vector<std::string> folders = {"/var/lib/axle"},
              std::optional<Accelerator> accelerator = {}, std::function<int()> data_port = {});
    void facts(Answer<HostFacts> answer) override;
    void load(Answer<HostLoad> answer) override;

  private:
    Workers& workers_;
    Executor& core_;
    const std::vector<std::string> folders_;
    const std::optional<Accelerator> accelerator_;
    const std::function<int()> data_port_;
    std::int64_t busy_ = 0, all_ = 0;  // of /proc/stat at the last look; worker lane "host"
};

}  // namespace axle
