#include "agent/core/facts_keeper.hpp"

#include "agent/core/reporter.hpp"
#include "common/model/codec.hpp"

namespace axle {
namespace {

Condition hypervisor_down(const Error& error) {
    return {.type = "HypervisorDown",
            .reason = name_of(error.code),
            .message = error.hint.empty() ? error.message : error.message + ". " + error.hint};
}

}  // namespace

FactsKeeper::FactsKeeper(const Seams& seams, const AgentIdentity& identity, Hooks hooks)
    : seams_(seams), identity_(identity), hooks_(std::move(hooks)), attempt_(seams.clock, seams.random, [this] {
          seams_.host.facts(attempt_.job<HostFacts>([this](Result<HostFacts> facts) {
              if (!facts) return attempt_.back_off();
              facts->agent = identity_.version;
              ask_hypervisor(std::move(*facts));
          }));
      }) {}

void FactsKeeper::ask_hypervisor(HostFacts facts) {
    seams_.hypervisor.facts(attempt_.job<HypervisorFacts>([this, facts](Result<HypervisorFacts> seen) mutable {
        if (!seen) {
            facts.conditions.push_back(hypervisor_down(seen.error()));
            attempt_.back_off();
            return finish(std::move(facts));
        }
        facts.libvirt = seen->libvirt;
        facts.qemu = seen->qemu;
        facts.accelerator = seen->accelerator;
        facts.accelerator_why = seen->accelerator_why;
        facts.guest_machine = seen->guest_machine;
        facts.guest_cpu_model = seen->guest_cpu_model;
        ask_domains(std::move(facts));
    }));
}

void FactsKeeper::ask_domains(HostFacts facts) {
    seams_.hypervisor.list(attempt_.job<std::vector<DomainObservation>>(
        [this, facts](Result<std::vector<DomainObservation>> domains) mutable {
            if (!domains) {
                facts.conditions.push_back(hypervisor_down(domains.error()));
                attempt_.back_off();
                return finish(std::move(facts));
            }
            attempt_.ease();
            hooks_.listed(*domains);
            for (const auto& domain : *domains) {
                const bool on = domain.state != DomainState::absent && domain.state != DomainState::shut_off;
                if (!on || (domain.ours && !hooks_.unclaimed(domain.id))) continue;
                facts.foreign_cpus += domain.cpus;
                facts.foreign_memory += domain.memory;
            }
            finish(std::move(facts));
        }));
}

void FactsKeeper::finish(HostFacts facts) {
    if (!underlay_.empty()) facts.underlay = underlay_;
    facts.orchestrator = orchestrator_;
    if (facts.data_port != 0) facts.features.push_back("migrate");
    facts.features.push_back(kUnclaimedFeature);
    for (Condition& condition : hooks_.conditions()) facts.conditions.push_back(std::move(condition));
    keep_since(facts_.conditions, facts.conditions, seams_.clock.wall());
    std::string text = to_json_text(facts);
    const bool news = !known_ || text != text_;
    known_ = true;
    facts_ = std::move(facts);
    text_ = std::move(text);
    if (news) hooks_.changed();
}

}  // namespace axle
