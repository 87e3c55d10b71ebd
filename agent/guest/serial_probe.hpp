// How far a guest has got, from what it wrote on its serial port (the GuestProbe of agent/core).
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "agent/core/seams.hpp"
#include "common/loop/workers.hpp"

namespace axle {

// "none", "firmware", "kernel" or "userspace". Pure. The text is the guest's own: nothing of it is believed but for
// display.
std::string stage_in(std::string_view log_tail);

class SerialProbe final : public GuestProbe {
  public:
    SerialProbe(std::function<std::string(VmId)> log_path, Workers& workers, Executor& core);
    void last_stage(VmId vm, Answer<std::string> answer) override;

  private:
    std::function<std::string(VmId)> log_path_;
    Workers& workers_;
    Executor& core_;
};

}  // namespace axle
