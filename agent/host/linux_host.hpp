// What this machine is and how loaded it is, read from the kernel (the HostProbe of agent/core).
#pragma once
#include <memory>
#include <string>

#include "agent/core/seams.hpp"
#include "common/loop/workers.hpp"

namespace axle {

std::string read_boot_id();   // /proc/sys/kernel/random/boot_id
HostFacts read_host_facts();  // blocks shortly

class LinuxHost final : public HostProbe {
  public:
    LinuxHost(Workers& workers, Executor& core);
    void facts(Answer<HostFacts> answer) override;
    void load(Answer<HostLoad> answer) override;

  private:
    Workers& workers_;
    Executor& core_;
    std::int64_t busy_ = 0, all_ = 0;  // of /proc/stat at the last look; worker lane "host"
};

}  // namespace axle
