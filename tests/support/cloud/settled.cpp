// What must be so when faults have stopped.
#include <algorithm>

#include "orchestrator/core/vm_rules.hpp"
#include "tests/support/cloud/eyes.hpp"

namespace axle::test {

// A VM without a place waits rightly when no host has room for it.
bool Eyes::waits_rightly(const Vm& vm) {
    const Condition* why = find_condition(vm.status.conditions, "Scheduled");
    if (why == nullptr || why->status) return false;
    for (const auto& [name, disk] : vm.spec.disks) {
        const Volume* volume = cloud_.world().find<Volume>(disk.volume.id);
        if (volume == nullptr || volume->status.phase == VolumePhase::failed) return true;
        const Image* image = cloud_.world().find<Image>(volume->spec.image.id);
        const bool uploading = image != nullptr && image->status.phase == ImagePhase::uploading;
        if (volume->spec.image && volume->spec.image_digest.empty() && uploading) return true;
    }
    for (const auto& [id, object] : cloud_.world().all(Kind::host)) {
        const Host& host = static_cast<const Host&>(*object);
        if (host.spec.unschedulable || !has_room(host, vm)) continue;
        bool elsewhere = false;
        for (const auto& [name, disk] : vm.spec.disks) {
            const auto& at = cloud_.world().find<Volume>(disk.volume.id)->status.placement;
            elsewhere = elsewhere || (at && at->host.id != id);
        }
        if (!elsewhere) return false;
    }
    return true;
}

// Disks are never the scarce thing in these clouds.
bool Eyes::has_room(const Host& host, const Vm& vm) const {
    const Usage claimed = cloud_.world().claimed_on_host(host.meta.id);
    const HostFacts& facts = host.status.facts;
    const auto cpus_max = static_cast<std::int64_t>(static_cast<double>(facts.cpus) * host.spec.cpu_overcommit);
    return too_near(vm, host.meta.id) == nullptr && claimed.cpus + vm.spec.cpus.value_or(1) <= cpus_max &&
           claimed.memory + vm.spec.memory.value_or(kGiB) <= facts.memory - host.spec.memory_reserve;
}

// Whether a move of this VM to that host could begin: what can't be moved at all is not the drain's fault.
bool Eyes::could_move(const Vm& vm, const Host& to) const {
    const VmReport& report = vm.status.report;
    if (vm.is_deleted() || !vm.status.placement || vm.status.placement->host.id == to.meta.id) return false;
    if (vm.spec.power != Power::running || report.state != DomainState::running) return false;
    for (const auto& [name, disk] : vm.spec.disks) {
        const Volume* volume = cloud_.world().find<Volume>(disk.volume.id);
        if (volume == nullptr || !volume->status.made || volume->status.phase != VolumePhase::ready) return false;
    }
    return has_room(to, vm);
}

// A drain, or the way back, that goes on for ever and says so: then no guest of it could go where it should.
bool Eyes::is_stuck_rightly(const Task& task) const {
    const Host* host = cloud_.world().find<Host>(task.spec.target.id);
    if (host == nullptr || task.status.reason.empty()) return false;
    if (task.spec.goal == TaskGoal::host_return)
        return std::ranges::none_of(host->status.away, [&](const Ref& away) {
            const Vm* vm = cloud_.world().find<Vm>(away.id);
            return vm != nullptr && could_move(*vm, *host);
        });
    for (const Vm* vm : cloud_.world().vms_on(host->meta.id)) {
        for (const auto& [id, object] : cloud_.world().all(Kind::host)) {
            const Host& to = static_cast<const Host&>(*object);
            if (!to.spec.unschedulable && could_move(*vm, to)) return false;
        }
    }
    return true;
}

std::string Eyes::unsettled_vm(const Vm& vm) {
    const std::string name = "vm " + vm.meta.name;
    const VmReport& report = vm.status.report;
    if (vm.is_deleted()) {
        if (vm.meta.deletion->expunge_at < cloud_.orchestrator().pipeline().cluster_time() - 60'000)
            return name + " should be gone for good";
        const SimulatedMachine* machine = cloud_.machine_of(vm);
        return machine != nullptr && machine->is_running(VmId{vm.meta.id}) ? name + " is deleted and runs" : "";
    }
    if (!vm.status.leftovers.empty())
        return name + " has its document left on host " + vm.status.leftovers.front().host.name;
    if (vm.status.migration) return name + " is still being moved (" + text_of(vm.status.migration->phase) + ")";
    if (!vm.status.placement) return waits_rightly(vm) ? "" : name + " has no place though there is room";
    if (report.generation < vm.meta.generation || vm.status.observed_generation < vm.meta.generation)
        return fmt::format("{}: generation {} was not seen by its host ({})", name, vm.meta.generation,
                           report.generation);
    if (!report.settled) {
        std::string why;
        for (const Condition& c : report.conditions) why += " " + c.type + ": " + c.message;
        return fmt::format("{} is not settled ({}, wants {}){}", name, text_of(report.state), text_of(vm.spec.power),
                           why);
    }
    if (vm.status.phase == VmPhase::unknown) return name + " is unknown, and its host speaks";
    SimulatedMachine* machine = cloud_.machine_of(vm);
    const auto domain = machine->domains.find(VmId{vm.meta.id});
    const DomainState state = domain == machine->domains.end() ? DomainState::absent : domain->second.state;
    const bool over = report.start_serial >= vm.spec.start_serial && report.last_end != RunEnd::none;
    if (vm.spec.power == Power::stopped && is_on(state)) return name + " should be off";
    if (vm.spec.power == Power::running && state != DomainState::running && !over) return name + " should run";
    if (vm.spec.power == Power::paused && state != DomainState::paused && !over) return name + " should be paused";
    if (report.state != state && !(is_on(state) == false && is_on(report.state) == false))
        return fmt::format("{} is {} and is reported {}", name, text_of(state), text_of(report.state));
    return "";
}

std::string Eyes::unsettled_image(const Image& image) {
    const ImagePhase phase = image.status.phase;
    if (image.is_deleted() || phase == ImagePhase::ready || phase == ImagePhase::failed) return "";
    return phase == ImagePhase::uploading ? "" : "image " + image.meta.name + " is " + text_of(phase);
}

std::string Eyes::unsettled() {
    if (!cloud_.orchestrator_runs()) return "the orchestrator is not there";
    const World& world = cloud_.world();
    for (const auto& [id, object] : world.all(Kind::host)) {
        if (!static_cast<const Host&>(*object).status.connected) return object->meta.name + " is not connected";
    }
    for (const auto& [id, object] : world.all(Kind::image)) {
        if (auto why = unsettled_image(static_cast<const Image&>(*object)); !why.empty()) return why;
    }
    for (const auto& [id, object] : world.all(Kind::vm)) {
        if (auto why = unsettled_vm(static_cast<const Vm&>(*object)); !why.empty()) return why;
    }
    for (const auto& [id, object] : world.all(Kind::volume)) {
        const Volume& volume = static_cast<const Volume&>(*object);
        if (!volume.status.leftovers.empty()) return "an old copy of volume " + volume.meta.name + " is still there";
        if (!volume.is_deleted() && volume.status.placement && volume.status.phase == VolumePhase::creating)
            return "volume " + volume.meta.name + " is still being made";
        const bool late = volume.is_deleted() &&
                          volume.meta.deletion->expunge_at < cloud_.orchestrator().pipeline().cluster_time() - 60'000;
        const Vm* user = world.find<Vm>(volume.status.attached_to.id);
        // A deleted VM that can still be restored keeps its disks on its host.
        const bool kept = std::ranges::any_of(world.referrers(id), [](const Key& k) { return k.kind == Kind::vm; });
        if (late && user == nullptr && !kept) return "volume " + volume.meta.name + " should be gone for good";
        if (volume.status.attached_to && user == nullptr)
            return "volume " + volume.meta.name + " is attached to a VM that is gone";
    }
    for (const auto& [id, object] : world.all(Kind::task)) {
        const Task& task = static_cast<const Task&>(*object);
        const Vm* vm = world.find<Vm>(task.spec.target.id);
        if (vm != nullptr && !vm->status.placement && waits_rightly(*vm)) continue;
        const bool volume = task.spec.goal == TaskGoal::volume_ready;
        const Image* image = world.find<Image>(task.spec.target.id);
        if (image != nullptr && image->status.phase == ImagePhase::uploading) continue;
        if (volume && task.status.phase == TaskPhase::waiting) continue;  // for its first VM, or its image
        const bool drain = task.spec.goal == TaskGoal::host_drain || task.spec.goal == TaskGoal::host_return;
        if (drain && task.status.phase == TaskPhase::waiting && is_stuck_rightly(task)) continue;
        return fmt::format("task {} of {} {} is {}: {}", text_of(task.spec.goal), task.spec.target.kind,
                           task.spec.target.name, text_of(task.status.phase), task.status.reason);
    }
    for (const auto& [id, object] : world.all(Kind::host)) {
        if (const auto key = cloud_.orchestrator().links().untold(id))
            return fmt::format("host {} was not told of {} {} as it is", object->meta.name, text_of(key->kind),
                               key->id.str());
    }
    return left_over();
}

}  // namespace axle::test
