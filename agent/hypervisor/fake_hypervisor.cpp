#include "agent/hypervisor/fake_hypervisor.hpp"

#include "agent/hypervisor/png.hpp"

namespace axle {

FakeHypervisor::FakeHypervisor(FakeDomains& domains, Clock& world, Clock& clock, Random& random,
                               FakeHypervisorOptions options)
    : domains_(domains), world_(world), clock_(clock), random_(random), options_(std::move(options)) {
    domains_.hint = [this](DomainHint hint) { pass_on(hint); };
}
FakeHypervisor::~FakeHypervisor() {
    domains_.hint = nullptr;
}

milliseconds FakeHypervisor::delay() {
    return milliseconds{random_.below(static_cast<std::uint64_t>(options_.longest_delay.count()) + 1)};
}

void FakeHypervisor::pass_on(DomainHint hint) {
    const HypervisorFault fault = options_.fault ? options_.fault("hint", hint.id) : HypervisorFault{};
    if (!fault.acts) return;
    clock_.after(delay() + fault.delay, [this, hint, alive = std::weak_ptr(alive_)] {
        if (!alive.expired() && told_) told_(hint);
    });
}

template <typename T>
void FakeHypervisor::perform(const char* call, VmId id, std::function<Result<T>()> act, Answer<T> answer) {
    const HypervisorFault fault = options_.fault ? options_.fault(call, id) : HypervisorFault{};
    BootTime when = world_.boot() + delay() + fault.delay;
    BootTime& free_from = lanes_[id.str()];
    if (when < free_from) when = free_from;
    free_from = when;
    world_.after(when - world_.boot(), [this, alive = std::weak_ptr(alive_), fault, act = std::move(act),
                                        answer = std::move(answer), back = delay()] {
        Result<T> result = fail(Code::unavailable, "nothing was done");
        if (fault.acts) result = act();
        if (alive.expired() || !fault.answers) return;
        if (fault.error) result = fail(*fault.error);
        clock_.after(back, [alive, answer, result = std::move(result)] {
            if (!alive.expired()) answer(result);
        });
    });
}

void FakeHypervisor::facts(Answer<HypervisorFacts> answer) {
    perform<HypervisorFacts>(
        "facts", {},
        [&domains = domains_]() -> Result<HypervisorFacts> {
            if (domains.away) return fail(Code::unavailable, "libvirt does not answer");
            return domains.facts;
        },
        std::move(answer));
}

void FakeHypervisor::list(Answer<std::vector<DomainObservation>> answer) {
    perform<std::vector<DomainObservation>>(
        "list", {},
        [&domains = domains_]() -> Result<std::vector<DomainObservation>> {
            if (domains.away) return fail(Code::unavailable, "libvirt does not answer");
            std::vector<DomainObservation> all;
            for (const auto& [id, domain] : domains.domains) {
                auto seen = domain.ours ? domains.look(id)
                                        : DomainObservation{.id = id,
                                                            .ours = false,
                                                            .name = domain.name,
                                                            .state = domain.state,
                                                            .cpus = 1,
                                                            .memory = 1 << 20,
                                                            .volumes = domain.foreign_volumes};
                if (seen) all.push_back(std::move(*seen));
            }
            return all;
        },
        std::move(answer));
}

void FakeHypervisor::observe(VmId id, Answer<DomainObservation> answer) {
    perform<DomainObservation>(
        "observe", id, [&domains = domains_, id] { return domains.look(id); }, std::move(answer));
}
void FakeHypervisor::on_hint(std::function<void(DomainHint)> told) {
    told_ = std::move(told);
}

void FakeHypervisor::define(DomainPlan plan, Done done) {
    const VmId id = plan.document.id;
    perform<void>(
        "define", id, [&domains = domains_, plan = std::move(plan)] { return domains.define(plan); }, std::move(done));
}
void FakeHypervisor::undefine(VmId id, Done done) {
    perform<void>(
        "undefine", id, [&domains = domains_, id] { return domains.undefine(id); }, std::move(done));
}
void FakeHypervisor::start(VmId id, bool paused, Done done) {
    perform<void>(
        "start", id, [&domains = domains_, id, paused] { return domains.start(id, paused); }, std::move(done));
}
void FakeHypervisor::ask_shutdown(VmId id, Done done) {
    perform<void>(
        "ask_shutdown", id, [&domains = domains_, id] { return domains.press_power_button(id, false); },
        std::move(done));
}
void FakeHypervisor::destroy(VmId id, Done done) {
    perform<void>(
        "destroy", id, [&domains = domains_, id] { return domains.destroy(id); }, std::move(done));
}
void FakeHypervisor::ask_reboot(VmId id, Done done) {
    perform<void>(
        "ask_reboot", id, [&domains = domains_, id] { return domains.press_power_button(id, true); }, std::move(done));
}
void FakeHypervisor::reset(VmId id, Done done) {
    perform<void>(
        "reset", id, [&domains = domains_, id] { return domains.reset(id); }, std::move(done));
}
void FakeHypervisor::suspend(VmId id, Done done) {
    perform<void>(
        "suspend", id, [&domains = domains_, id] { return domains.set_paused(id, true); }, std::move(done));
}
void FakeHypervisor::resume(VmId id, Done done) {
    perform<void>(
        "resume", id, [&domains = domains_, id] { return domains.set_paused(id, false); }, std::move(done));
}
void FakeHypervisor::attach_disk(VmId id, DomainPlan::Disk disk, Done done) {
    perform<void>(
        "attach_disk", id, [&domains = domains_, id, disk = std::move(disk)] { return domains.attach(id, disk); },
        std::move(done));
}
void FakeHypervisor::detach_disk(VmId id, std::string disk_name, Done done) {
    perform<void>(
        "detach_disk", id,
        [&domains = domains_, id, disk_name = std::move(disk_name)] { return domains.detach(id, disk_name); },
        std::move(done));
}

void FakeHypervisor::grow_disk(VmId id, std::string disk_name, std::int64_t bytes, Done done) {
    perform<void>(
        "grow_disk", id,
        [&domains = domains_, id, disk_name = std::move(disk_name), bytes] {
            return domains.grow(id, disk_name, bytes);
        },
        std::move(done));
}
void FakeHypervisor::attach_nic(VmId id, DomainPlan::Nic nic, Done done) {
    perform<void>(
        "attach_nic", id, [&domains = domains_, id, nic = std::move(nic)] { return domains.attach_nic(id, nic); },
        std::move(done));
}
void FakeHypervisor::detach_nic(VmId id, std::string nic_name, Done done) {
    perform<void>(
        "detach_nic", id,
        [&domains = domains_, id, nic_name = std::move(nic_name)] { return domains.detach_nic(id, nic_name); },
        std::move(done));
}

void FakeHypervisor::screenshot(VmId id, Answer<std::string> png) {
    perform<std::string>(
        "screenshot", id,
        [&domains = domains_, id]() -> Result<std::string> {
            TRY(seen, domains.look(id));
            if (seen.state == DomainState::absent) return fail(Code::not_found, "domain {} is not defined", id.str());
            if (!domains.is_on(id)) return fail(Code::conflict, "domain {} is not running", id.str());
            return png_from_ppm(std::string("P6\n1 1\n255\n") + std::string(3, '\0'));
        },
        std::move(png));
}

}  // namespace axle
