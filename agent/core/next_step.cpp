#include "agent/core/next_step.hpp"

#include <algorithm>
#include <optional>

#include "agent/core/move_step.hpp"
#include "agent/core/planted.hpp"

namespace axle {
namespace {

StepDecision wait(std::string reason, std::string why) {
    return {.step = Step::wait, .reason = std::move(reason), .why = std::move(why)};
}

// A step on the way, or something that is in the way: the reason tells which.
StepDecision wait_for_missing(const VmMemory& memory) {
    return wait(memory.missing_comes ? "Preparing" : "Waiting", memory.missing);
}

StepDecision release_step(const VmWish& wish, const DomainObservation& seen, const VmMemory& memory) {
    if (seen.state != DomainState::absent && seen.epoch > wish.epoch)
        return wait("EpochLower", "the domain on this host is of a later placement than the release");
    if (memory.move.expected != Epoch{}) return {.step = Step::move_dismiss};  // or it would come up again
    if (is_on(seen.state) || seen.state == DomainState::crashed) return {.step = Step::destroy};
    if (seen.state == DomainState::shut_off) return {.step = Step::undefine};
    if (!memory.files_removed) return {.step = Step::remove_files};
    if (!memory.taps_gone) return {.step = Step::drop_taps};
    return {.step = Step::finish};
}

// What happened is written down before anything is done about it.
std::optional<StepDecision> book_step(const VmWish& wish, const DomainObservation& seen, const VmMemory& memory) {
    const VmDocument& document = *wish.document;
    const RunRecord& run = memory.run;
    if (is_on(seen.state)) {
        const bool answered = run.open() && run.serial == document.start_serial && run.boot_id == memory.host.boot_id;
        if (document.power != Power::stopped && !answered) return StepDecision{.step = Step::record_run};
        return std::nullopt;
    }
    if (!run.open() && !memory.started) return std::nullopt;
    RunRecord ended = run;
    if (!run.open()) ended.boot_id = memory.host.boot_id;  // over before it was recorded
    return StepDecision{.step = Step::record_end,
                        .end = resolve_end(document, ended, memory.host, seen.ended, memory.told)};
}

StepDecision stop_step(const VmDocument& document, const DomainObservation& seen, const VmMemory& memory) {
    if (document.force_stop) return {.step = Step::destroy};
    if (memory.stop_expired) return {.step = Step::none};
    if (!memory.stop_noted) return {.step = Step::note_stop};
    if (seen.state == DomainState::paused) return {.step = Step::resume};  // a paused guest hears no button
    if (memory.ask_due) return {.step = Step::ask_shutdown};
    return wait("Stopping", "the guest was asked to shut down");
}

bool defined_as_wished(const VmWish& wish, const DomainObservation& seen) {
    return seen.state != DomainState::absent && seen.hardware_hash == wish.hardware_hash && seen.epoch == wish.epoch;
}

bool is_same(const VmDocumentDisk& wanted, const DomainObservation::LiveDisk& live) {
    return wanted.name == live.name && (wanted.volume == live.volume || wanted.boot_order > 0);
}
bool is_same(const VmDocumentNic& wanted, const DomainObservation::LiveNic& live) {
    return wanted.name == live.name && wanted.mac == live.mac;
}

// The first that the guest has and shouldn't; else the first that it should have and hasn't.
template <typename Wanted, typename Live>
std::optional<StepDecision> exchange_step(const std::vector<Wanted>& wanted, const std::vector<Live>& live, Step attach,
                                          Step detach) {
    for (const auto& there : live) {
        if (std::ranges::none_of(wanted, [&](const auto& w) { return is_same(w, there); }))
            return StepDecision{.step = detach, .device = there.name};
    }
    for (const auto& w : wanted) {
        if (std::ranges::none_of(live, [&](const auto& there) { return is_same(w, there); }))
            return StepDecision{.step = attach, .device = w.name};
    }
    return std::nullopt;
}

// NICs and data disks come and go while the guest runs; an edge that tells no open disks offers no hot-plug.
std::optional<StepDecision> device_step(const VmDocument& document, const DomainObservation& seen) {
    if (seen.live_disks.empty()) return std::nullopt;
    std::vector<VmDocumentDisk> disks = document.disks;
    std::erase_if(disks, [&](const VmDocumentDisk& disk) {  // takes part in the boot: comes with the next start
        return disk.boot_order > 0 &&
               std::ranges::none_of(seen.live_disks, [&](const auto& live) { return live.name == disk.name; });
    });
    if (const auto step = exchange_step(disks, seen.live_disks, Step::attach_disk, Step::detach_disk)) return step;
    return exchange_step(document.nics, seen.live_nics, Step::attach_nic, Step::detach_nic);
}

StepDecision on_step(const VmWish& wish, const DomainObservation& seen, const VmMemory& memory) {
    const VmDocument& document = *wish.document;
    if (document.power == Power::stopped) return stop_step(document, seen, memory);
    if (memory.host.going_down()) return wait("HostGoingDown", "the host is shutting down");
    if (!memory.seed_made) return {.step = Step::make_seed};
    if (!wish.hardware_hash.empty() && !defined_as_wished(wish, seen))
        return {.step = planted().reboot_for_edits ? Step::destroy : Step::define};
    if (seen.state == DomainState::stopping) return wait("Stopping", "the guest is shutting down");
    if (document.power == Power::paused && seen.state == DomainState::running) return {.step = Step::suspend};
    if (document.power == Power::running && seen.state == DomainState::paused) return {.step = Step::resume};
    const auto device = device_step(document, seen);
    if (!device) return {.step = Step::none};
    const bool attaches = device->step == Step::attach_disk || device->step == Step::attach_nic;
    if (attaches && !memory.missing.empty()) return wait_for_missing(memory);
    return *device;
}

StepDecision off_step(const VmWish& wish, const DomainObservation& seen, const VmMemory& memory) {
    if (seen.state == DomainState::crashed) return {.step = Step::destroy};
    if (wish.document->power == Power::stopped) return {.step = Step::none};
    if (memory.host.going_down()) return wait("HostGoingDown", "the host is shutting down; it starts after the boot");
    if (!wants_run(*wish.document, memory.run, memory.host)) return {.step = Step::none};
    if (!memory.confirmed)
        return wait("EpochUnconfirmed",
                    "it has a disk on a shared pool and waits until the orchestrator says that it belongs here");
    if (in_crash_loop(memory.run, memory.host))
        return wait("CrashLoop", "it crashed too often; it is tried again after ten quiet minutes or by a start");
    if (!memory.restart_due) return wait("CrashBackOff", "it crashed and is started again soon");
    if (!memory.missing.empty()) return wait_for_missing(memory);
    if (!memory.seed_made) return {.step = Step::make_seed};
    if (!memory.volumes_checked) return {.step = Step::check_volumes};
    if (wish.hardware_hash.empty()) return wait("Waiting", "its disks are not known on this host");
    if (!defined_as_wished(wish, seen)) return {.step = Step::define};
    return {.step = Step::start};
}

}  // namespace

StepDecision next_step(const VmWish& wish, const DomainObservation& seen, const VmMemory& memory) {
    if (wish.release) return release_step(wish, seen, memory);
    const auto usual = [&]() -> StepDecision {
        if (seen.state != DomainState::absent && seen.epoch > wish.epoch)
            return wait("EpochLower", "the domain on this host is of a later placement than the document");
        if (auto book = book_step(wish, seen, memory)) return *book;
        return is_on(seen.state) ? on_step(wish, seen, memory) : off_step(wish, seen, memory);
    };
    return move_step(wish, seen, memory, usual);
}

}  // namespace axle
