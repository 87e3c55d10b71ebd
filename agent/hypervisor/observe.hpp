// What libvirt says of domains and of itself, as our values. Workers; private to this folder.
#pragma once
#include <optional>
#include <vector>

#include "agent/hypervisor/connection.hpp"

namespace axle {

Result<DomainObservation> observe_domain(virDomainPtr domain);
Result<std::vector<DomainObservation>> observe_all(virConnectPtr connect);
Result<HypervisorFacts> read_facts(virConnectPtr connect, std::optional<Accelerator> configured);

DomainState domain_state(int state, int reason);
RunEnd run_end(int state, int reason);
RunEnd run_end_of_event(int event, int detail);  // none: no end

}  // namespace axle
