// What the host is: gathered from the machine and from libvirt, with the conditions that the parts of the core know of.
// Core thread.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "agent/core/attempt.hpp"
#include "agent/core/seams.hpp"

namespace axle {

class FactsKeeper {
  public:
    struct Hooks {
        std::function<std::vector<Condition>()> conditions;
        std::function<void(const std::vector<DomainObservation>&)> listed;
        std::function<bool(VmId)> unclaimed;  // nobody's guest, after that: it takes its room all the same
        std::function<void()> changed;        // and once when they are first known
    };
    FactsKeeper(const Seams& seams, const AgentIdentity& identity, Hooks hooks);

    void gather() { attempt_.kick(); }
    void set_underlay(std::string address) {
        underlay_ = std::move(address);
        gather();
    }
    void set_orchestrator(std::vector<std::string> endpoints) {
        orchestrator_ = std::move(endpoints);
        gather();
    }
    bool known() const { return known_; }
    const HostFacts& facts() const { return facts_; }

  private:
    void ask_hypervisor(HostFacts facts);
    void ask_domains(HostFacts facts);
    void finish(HostFacts facts);

    Seams seams_;
    AgentIdentity identity_;
    Hooks hooks_;
    HostFacts facts_;
    std::string text_, underlay_;
    std::vector<std::string> orchestrator_;
    bool known_ = false;
    Attempt attempt_;
};

}  // namespace axle
