#include "agent/hypervisor/observe.hpp"

#include <algorithm>
#include <cstdlib>

#include "agent/hypervisor/accelerator.hpp"
#include "agent/hypervisor/domain_xml.hpp"

namespace axle {
namespace {

std::string version_text(unsigned long v) {
    return fmt::format("{}.{}.{}", v / 1'000'000, v / 1000 % 1000, v % 1000);
}

// The value of the first `<tag …>value<` after `from`; the capabilities are libvirt's own text, not foreign.
std::string text_between(const std::string& xml, std::string_view open, std::string_view close, std::size_t from = 0) {
    const auto start = xml.find(open, from);
    if (start == std::string::npos) return "";
    const auto end = xml.find(close, start + open.size());
    return end == std::string::npos ? "" : xml.substr(start + open.size(), end - start - open.size());
}

Result<DomainObservation> observe_state(virDomainPtr domain, DomainObservation seen) {
    int state = 0, reason = 0;
    if (virDomainGetState(domain, &state, &reason, 0) != 0)
        return fail(libvirt_error(fmt::format("ask for the state of {}", seen.name)));
    seen.state = domain_state(state, reason);
    seen.ended = run_end(state, reason);
    seen.migrated = state == VIR_DOMAIN_SHUTOFF && reason == VIR_DOMAIN_SHUTOFF_MIGRATED;
    if (seen.state == DomainState::running) seen.incoming = false;
    return seen;
}

}  // namespace

DomainState domain_state(int state, int reason) {
    switch (state) {
        case VIR_DOMAIN_RUNNING:
        case VIR_DOMAIN_BLOCKED:
            return DomainState::running;
        case VIR_DOMAIN_PAUSED:
            return reason == VIR_DOMAIN_PAUSED_CRASHED ? DomainState::crashed : DomainState::paused;
        case VIR_DOMAIN_PMSUSPENDED:
            return DomainState::paused;
        case VIR_DOMAIN_SHUTDOWN:
            return DomainState::stopping;
        case VIR_DOMAIN_CRASHED:
            return DomainState::crashed;
        default:
            return DomainState::shut_off;
    }
}

RunEnd run_end(int state, int reason) {
    if (state == VIR_DOMAIN_CRASHED) return RunEnd::crashed;
    if (state != VIR_DOMAIN_SHUTOFF) return RunEnd::none;
    switch (reason) {
        case VIR_DOMAIN_SHUTOFF_SHUTDOWN:
            return RunEnd::guest_shutdown;
        case VIR_DOMAIN_SHUTOFF_DESTROYED:
            return RunEnd::destroyed;
        case VIR_DOMAIN_SHUTOFF_CRASHED:
            return RunEnd::crashed;
        case VIR_DOMAIN_SHUTOFF_FAILED:
            return RunEnd::failed;
        default:
            return RunEnd::unknown;
    }
}

RunEnd run_end_of_event(int event, int detail) {
    if (event == VIR_DOMAIN_EVENT_CRASHED) return RunEnd::crashed;
    if (event != VIR_DOMAIN_EVENT_STOPPED) return RunEnd::none;
    switch (detail) {
        case VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN:
            return RunEnd::guest_shutdown;
        case VIR_DOMAIN_EVENT_STOPPED_DESTROYED:
            return RunEnd::destroyed;
        case VIR_DOMAIN_EVENT_STOPPED_CRASHED:
            return RunEnd::crashed;
        case VIR_DOMAIN_EVENT_STOPPED_FAILED:
            return RunEnd::failed;
        default:
            return RunEnd::unknown;
    }
}

Result<DomainObservation> observe_domain(virDomainPtr domain) {
    DomainObservation seen;
    char uuid[VIR_UUID_STRING_BUFLEN] = "";
    virDomainGetUUIDString(domain, uuid);
    seen.id = VmId{Uuid::parse(uuid).value_or(Uuid{})};
    const char* name = virDomainGetName(domain);
    seen.name = name != nullptr ? name : "";
    const std::string persistent = take_string(virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE));
    if (persistent.empty()) return fail(libvirt_error(fmt::format("read domain {}", seen.name)));
    DomainReading reading = read_domain_xml(persistent);
    seen.ours = reading.ours;
    seen.title = std::move(reading.title);
    seen.volumes = std::move(reading.volumes);
    seen.epoch = reading.epoch;
    seen.rev = reading.rev;
    seen.hardware_hash = reading.hardware_hash;
    virDomainInfo info{};
    if (virDomainGetInfo(domain, &info) == 0) {
        seen.cpus = info.nrVirtCpu;
        seen.memory = static_cast<std::int64_t>(info.memory) * 1024;
    }
    if (virDomainIsActive(domain) == 1) {
        DomainReading live = read_domain_xml(take_string(virDomainGetXMLDesc(domain, 0)));
        seen.volumes.insert(seen.volumes.end(), live.volumes.begin(), live.volumes.end());
        std::ranges::sort(seen.volumes);
        seen.volumes.erase(std::unique(seen.volumes.begin(), seen.volumes.end()), seen.volumes.end());
        if (!seen.ours) return observe_state(domain, std::move(seen));
        seen.live_fixed_hash = std::move(live.fixed_hash);
        // libvirt calls a guest that came in paused and one that a person paused the same, and shows the reason
        // "migration" on both sides of one. So the mark in its live metadata counts.
        seen.incoming = live.incoming;
        seen.live_disks = std::move(live.disks);
        seen.live_nics = std::move(live.nics);
    }
    return observe_state(domain, std::move(seen));
}

Result<std::vector<DomainObservation>> observe_all(virConnectPtr connect) {
    virDomainPtr* domains = nullptr;
    const int count = virConnectListAllDomains(connect, &domains, 0);
    if (count < 0) return fail(libvirt_error("list domains"));
    std::vector<Domain> held;
    for (int i = 0; i < count; ++i) held.emplace_back(domains[i]);
    std::free(domains);
    std::vector<DomainObservation> seen;
    for (const Domain& domain : held) {
        auto one = observe_domain(domain.get());
        if (one)
            seen.push_back(std::move(*one));
        else if (one.error().code != Code::not_found)
            return fail(std::move(one.error()));  // it went meanwhile
    }
    return seen;
}

Result<HypervisorFacts> read_facts(virConnectPtr connect, std::optional<Accelerator> configured) {
    HypervisorFacts facts;
    unsigned long version = 0;
    if (virConnectGetLibVersion(connect, &version) != 0) return fail(libvirt_error("ask for libvirt's version"));
    facts.libvirt = version_text(version);
    if (virConnectGetVersion(connect, &version) == 0) facts.qemu = version_text(version);
    const AcceleratorFinding found = choose_accelerator(configured, find_accelerator());
    facts.accelerator = found.accelerator;
    facts.accelerator_why = found.why;
    const std::string capabilities =
        take_string(virConnectGetDomainCapabilities(connect, nullptr, "x86_64", "q35", text_of(found.accelerator), 0));
    if (capabilities.empty())
        return fail(
            std::move(libvirt_error("ask what guests can have here")).with_hint("is qemu-system-x86 installed?"));
    facts.guest_machine = text_between(capabilities, "<machine>", "</machine>");
    facts.guest_cpu_model = "qemu64";
    if (found.accelerator == Accelerator::kvm) {
        const auto host_model = capabilities.find("<mode name='host-model' supported='yes'>");
        const std::string model =
            host_model == std::string::npos
                ? ""
                : text_between(capabilities, ">", "</model>", capabilities.find("<model", host_model));
        if (!model.empty()) facts.guest_cpu_model = model;
    }
    return facts;
}

}  // namespace axle
