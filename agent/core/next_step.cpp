#include "agent/core/next_step.hpp"

#include <algorithm>
#include <optional>

namespace axle {
namespace {

StepDecision wait(std::string reason, std::string why) {
    return {.step = Step::wait, .reason = std::move(reason), .why = std::move(why)};
}

StepDecision release_step(const VmWish& wish, const DomainObservation& seen, const VmMemory& memory) {
    if (seen.state != DomainState::absent && seen.epoch > wish.epoch)
        return wait("EpochLower", "the domain on this host is of a later placement than the release");
    if (is_on(seen.state) || seen.state == DomainState::crashed) return {.step = Step::destroy};
    if (seen.state == DomainState::shut_off) return {.step = Step::undefine};
    if (!memory.seed_removed) return {.step = Step::remove_seed};
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

// Data disks come and go while the guest runs; an edge that tells no open disks offers no hot-plug.
std::optional<StepDecision> disk_step(const VmDocument& document, const DomainObservation& seen) {
    if (seen.live_disks.empty()) return std::nullopt;
    for (const auto& live : seen.live_disks) {
        const bool wanted = std::ranges::any_of(document.disks, [&](const VmDocumentDisk& disk) {
            return disk.name == live.name && (disk.volume == live.volume || disk.boot_order > 0);
        });
        if (!wanted) return StepDecision{.step = Step::detach_disk, .disk = live.name};
    }
    for (const auto& disk : document.disks) {
        if (disk.boot_order > 0) continue;  // takes part in the boot: with the next start
        const bool there =
            std::ranges::any_of(seen.live_disks, [&](const auto& live) { return live.name == disk.name; });
        if (!there) return StepDecision{.step = Step::attach_disk, .disk = disk.name};
    }
    return std::nullopt;
}

StepDecision on_step(const VmWish& wish, const DomainObservation& seen, const VmMemory& memory) {
    const VmDocument& document = *wish.document;
    if (document.power == Power::stopped) return stop_step(document, seen, memory);
    if (memory.host.going_down()) return wait("HostGoingDown", "the host is shutting down");
    if (!memory.seed_made) return {.step = Step::make_seed};
    if (!wish.hardware_hash.empty() && !defined_as_wished(wish, seen)) return {.step = Step::define};
    if (seen.state == DomainState::stopping) return wait("Stopping", "the guest is shutting down");
    if (document.power == Power::paused && seen.state == DomainState::running) return {.step = Step::suspend};
    if (document.power == Power::running && seen.state == DomainState::paused) return {.step = Step::resume};
    const auto disk = disk_step(document, seen);
    if (!disk) return {.step = Step::none};
    if (disk->step == Step::attach_disk && !memory.missing.empty()) return wait("Waiting", memory.missing);
    return *disk;
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
    if (!memory.missing.empty()) return wait("Waiting", memory.missing);
    if (!memory.seed_made) return {.step = Step::make_seed};
    if (!memory.volumes_checked) return {.step = Step::check_volumes};
    if (wish.hardware_hash.empty()) return wait("Waiting", "its disks are not known on this host");
    if (!defined_as_wished(wish, seen)) return {.step = Step::define};
    return {.step = Step::start};
}

}  // namespace

StepDecision next_step(const VmWish& wish, const DomainObservation& seen, const VmMemory& memory) {
    if (wish.release) return release_step(wish, seen, memory);
    if (seen.state != DomainState::absent && seen.epoch > wish.epoch)
        return wait("EpochLower", "the domain on this host is of a later placement than the document");
    if (auto book = book_step(wish, seen, memory)) return *book;
    return is_on(seen.state) ? on_step(wish, seen, memory) : off_step(wish, seen, memory);
}

}  // namespace axle
