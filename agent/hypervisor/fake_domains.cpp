// What libvirt and QEMU do, as the contract suite sees them do it.
#include <algorithm>
#include <set>

#include "agent/hypervisor/domain_xml.hpp"
#include "agent/hypervisor/fake_hypervisor.hpp"

namespace axle {
namespace {

bool on(const FakeDomains::Domain& domain) {
    return domain.state != DomainState::absent && domain.state != DomainState::shut_off;
}
Error not_defined(VmId id) {
    return error(Code::not_found, "domain {} is not defined", id.str());
}
Error not_running(VmId id) {
    return error(Code::conflict, "domain {} is not running", id.str());
}

}  // namespace

FakeDomains::Domain* FakeDomains::mine(VmId id) {
    const auto found = domains.find(id);
    return found == domains.end() ? nullptr : &found->second;
}

Result<> FakeDomains::refuse_foreign(VmId id) const {
    if (away) return fail(Code::unavailable, "libvirt does not answer");
    const auto found = domains.find(id);
    if (found == domains.end() || found->second.ours) return {};
    return fail(Code::conflict, "a domain with id {} is there that Axle did not make; it stays as it is", id.str());
}

bool FakeDomains::is_on(VmId id) const {
    const auto found = domains.find(id);
    return found != domains.end() && on(found->second);
}

// Of this run of this guest only.
void FakeDomains::later(VmId id, milliseconds delay, std::function<void()> then) {
    clock_.after(delay, [this, id, run = domains[id].run, then = std::move(then)] {
        if (is_on(id) && domains[id].run == run) then();
    });
}

void FakeDomains::use_disks(VmId id, const Domain& domain, bool opened) {
    if (!on_disk_use || !domain.live) return;
    for (const auto& disk : domain.live->disks) on_disk_use({id, disk.document.volume, opened});
}

void FakeDomains::end(VmId id, RunEnd cause) {
    if (!is_on(id)) return;
    Domain& domain = domains[id];
    use_disks(id, domain, false);
    domain.live.reset();
    domain.state = DomainState::shut_off;
    domain.ended = cause;
    domain.migrated = domain.incoming = false;
    if (!domain.persistent && domain.ours) domains.erase(id);
    if (hint) hint({id, cause});
}
void FakeDomains::guest_shuts_down(VmId id) {
    end(id, RunEnd::guest_shutdown);
}
void FakeDomains::guest_crashes(VmId id) {
    end(id, RunEnd::crashed);
}
void FakeDomains::virsh_destroy(VmId id) {
    end(id, RunEnd::destroyed);
}

void FakeDomains::add_foreign(VmId id, std::string name, bool running, std::vector<VolumeId> volumes) {
    domains[id] = {.ours = false,
                   .name = std::move(name),
                   .state = running ? DomainState::running : DomainState::shut_off,
                   .foreign_volumes = std::move(volumes)};
}

static std::vector<VolumeId> volumes_of(const FakeDomains::Domain& domain) {
    std::set<VolumeId> all(domain.foreign_volumes.begin(), domain.foreign_volumes.end());
    for (const auto* plan : {&domain.persistent, &domain.live}) {
        if (!*plan) continue;
        for (const auto& disk : (*plan)->disks) all.insert(disk.document.volume);
    }
    return {all.begin(), all.end()};
}

void FakeDomains::power_cut() {
    for (auto it = domains.begin(); it != domains.end();) {
        Domain& domain = it->second;
        if (on(domain)) use_disks(it->first, domain, false);
        domain.live.reset();
        domain.state = DomainState::shut_off;
        domain.ended = RunEnd::unknown;
        domain.migrated = domain.incoming = false;
        domain.persistent = domain.synced;
        it = domain.ours && !domain.persistent ? domains.erase(it) : std::next(it);
    }
}

Result<DomainObservation> FakeDomains::look(VmId id) const {
    TRY_VOID(refuse_foreign(id));
    const auto found = domains.find(id);
    DomainObservation seen{.id = id, .name = domain_name(id)};
    if (found == domains.end()) return seen;
    const Domain& domain = found->second;
    seen.state = domain.state;
    seen.ended = on(domain) ? RunEnd::none : domain.ended;
    const DomainPlan& plan = domain.persistent ? *domain.persistent : *domain.live;
    seen.migrated = !on(domain) && domain.migrated;
    seen.incoming = on(domain) && domain.incoming;
    seen.title = plan.document.name;
    seen.volumes = volumes_of(domain);
    seen.epoch = plan.document.epoch;
    seen.rev = plan.document.rev;
    seen.hardware_hash = plan.hardware_hash();
    const DomainPlan& shown = domain.live ? *domain.live : plan;
    seen.cpus = shown.document.cpus;
    seen.memory = shown.document.memory;
    if (!domain.live) return seen;
    seen.live_fixed_hash = domain.live_hash;
    for (const auto& disk : domain.live->disks) seen.live_disks.push_back({disk.document.name, disk.document.volume});
    for (const auto& nic : domain.live->nics) seen.live_nics.push_back({nic.document.name, nic.document.mac, nic.mtu});
    return seen;
}

Result<> FakeDomains::define(const DomainPlan& plan) {
    const VmId id = plan.document.id;
    TRY_VOID(refuse_foreign(id));
    for (const auto& [other, domain] : domains) {
        if (other != id && domain.name == domain_name(id))
            return fail(Code::conflict, "the name {} belongs to domain {}", domain.name, other.str());
    }
    Domain& domain = domains[id];
    const auto& there = domain.persistent ? domain.persistent : domain.live;
    if (there && there->document.epoch > plan.document.epoch)
        return fail(Code::conflict, "domain {} is defined at a later epoch", id.str());
    domain.name = domain_name(id);
    domain.persistent = plan;
    if (syncs_definitions) domain.synced = plan;
    return {};
}

Result<> FakeDomains::undefine(VmId id) {
    TRY_VOID(refuse_foreign(id));
    if (is_on(id)) return fail(Code::conflict, "domain {} is running", id.str());
    domains.erase(id);
    return {};
}

Result<> FakeDomains::start(VmId id, bool paused) {
    TRY_VOID(refuse_foreign(id));
    Domain* domain = mine(id);
    if (domain == nullptr) return fail(not_defined(id));
    if (on(*domain)) return {};
    domain->live = domain->persistent;
    domain->live_hash = domain->live->fixed_hash();
    domain->state = paused ? DomainState::paused : DomainState::running;
    domain->migrated = domain->incoming = false;
    ++domain->run;
    use_disks(id, *domain, true);
    const auto guest = guests.find(id);
    if (guest != guests.end() && guest->second.shuts_down_after.count() > 0)
        later(id, guest->second.shuts_down_after, [this, id] { guest_shuts_down(id); });
    if (guest != guests.end() && guest->second.crashes_after.count() > 0)
        later(id, guest->second.crashes_after, [this, id] { guest_crashes(id); });
    if (hint) hint({id, RunEnd::none});
    return {};
}

Result<> FakeDomains::press_power_button(VmId id, bool reboot) {
    TRY_VOID(refuse_foreign(id));
    Domain* domain = mine(id);
    if (reboot && domain == nullptr) return fail(not_defined(id));
    if (reboot && !on(*domain)) return fail(not_running(id));
    if (domain == nullptr || !on(*domain)) return {};
    const auto guest = guests.find(id);
    if (guest != guests.end() && !guest->second.hears_power_button) return {};
    later(id, milliseconds{100}, [this, id, reboot] {
        if (domains[id].state != DomainState::running) return;
        if (!reboot) return guest_shuts_down(id);
        ++domains[id].resets;
        if (hint) hint({id, RunEnd::none});
    });
    return {};
}

Result<> FakeDomains::reset(VmId id) {
    TRY_VOID(refuse_foreign(id));
    Domain* domain = mine(id);
    if (domain == nullptr) return fail(not_defined(id));
    if (!on(*domain)) return fail(not_running(id));
    ++domain->resets;
    if (hint) hint({id, RunEnd::none});
    return {};
}

Result<> FakeDomains::set_paused(VmId id, bool paused) {
    TRY_VOID(refuse_foreign(id));
    Domain* domain = mine(id);
    if (domain == nullptr) return fail(not_defined(id));
    if (!on(*domain)) return fail(not_running(id));
    domain->state = paused ? DomainState::paused : DomainState::running;
    if (!paused) domain->incoming = false;
    if (hint) hint({id, RunEnd::none});
    return {};
}

Result<> FakeDomains::attach(VmId id, const DomainPlan::Disk& disk) {
    TRY_VOID(refuse_foreign(id));
    Domain* domain = mine(id);
    if (domain == nullptr) return fail(not_defined(id));
    if (!on(*domain)) return fail(not_running(id));
    auto& disks = domain->live->disks;
    const bool there = std::ranges::any_of(disks, [&](const auto& d) { return d.document.name == disk.document.name; });
    if (there) return {};
    disks.push_back(disk);
    if (on_disk_use) on_disk_use({id, disk.document.volume, true});
    return {};
}

bool FakeDomains::lets_go(VmId id) const {
    const auto guest = guests.find(id);
    return is_on(id) && (guest == guests.end() || guest->second.lets_go_of_disks);
}

Result<> FakeDomains::detach(VmId id, const std::string& disk) {
    TRY_VOID(refuse_foreign(id));
    if (!lets_go(id)) return {};
    later(id, milliseconds{50}, [this, id, disk] {
        auto& disks = domains[id].live->disks;
        const auto found = std::ranges::find_if(disks, [&](const auto& d) { return d.document.name == disk; });
        if (found == disks.end()) return;
        const VolumeId volume = found->document.volume;
        disks.erase(found);
        if (on_disk_use) on_disk_use({id, volume, false});
        if (hint) hint({id, RunEnd::none});
    });
    return {};
}

Result<> FakeDomains::grow(VmId id, const std::string& disk, std::int64_t bytes) {
    TRY_VOID(refuse_foreign(id));
    Domain* domain = mine(id);
    if (domain == nullptr) return fail(not_defined(id));
    if (!on(*domain)) return fail(not_running(id));
    const auto& disks = domain->live->disks;
    const auto found = std::ranges::find_if(disks, [&](const auto& d) { return d.document.name == disk; });
    if (found == disks.end()) return fail(Code::not_found, "domain {} has no disk {}", id.str(), disk);
    if (on_grow) on_grow(found->document.volume, bytes);
    return {};
}

Result<> FakeDomains::attach_nic(VmId id, const DomainPlan::Nic& nic) {
    TRY_VOID(refuse_foreign(id));
    Domain* domain = mine(id);
    if (domain == nullptr) return fail(not_defined(id));
    if (!on(*domain)) return fail(not_running(id));
    auto& nics = domain->live->nics;
    const bool there = std::ranges::any_of(nics, [&](const auto& n) { return n.document.name == nic.document.name; });
    if (!there) nics.push_back(nic);
    return {};
}

Result<> FakeDomains::detach_nic(VmId id, const std::string& nic) {
    TRY_VOID(refuse_foreign(id));
    if (!lets_go(id)) return {};
    later(id, milliseconds{50}, [this, id, nic] {
        if (std::erase_if(domains[id].live->nics, [&](const auto& n) { return n.document.name == nic; }) > 0 && hint)
            hint({id, RunEnd::none});
    });
    return {};
}

Result<> FakeDomains::destroy(VmId id) {
    TRY_VOID(refuse_foreign(id));
    end(id, RunEnd::destroyed);
    return {};
}

}  // namespace axle
