// Guests: their documents, observations and reports. The steps are in vm_steps.cpp.
#include "agent/core/vm_keeper.hpp"

#include <algorithm>

#include "common/model/codec.hpp"

namespace axle {
namespace {
constexpr milliseconds kStandStill{5'000};  // a longer time between two looks at a guest that stops is not its own
constexpr milliseconds kAskAgain{10'000};   // early in its boot a guest doesn't hear the button
constexpr BootTime kLongAgo{-86'400'000};   // for what began before we came
}  // namespace

VmKeeper::VmKeeper(const Seams& seams, const AgentIdentity& identity, const Keepers& keepers)
    : seams_(seams), identity_(identity), keep_(keepers), lister_(seams.clock, seams.random, [this] {
          seams_.hypervisor.list(
              lister_.job<std::vector<DomainObservation>>([this](Result<std::vector<DomainObservation>> domains) {
                  if (!domains) return lister_.back_off();
                  on_listed(*domains);
              }));
      }) {}

VmKeeper::Entry& VmKeeper::make_entry(VmId id) {
    auto [it, fresh] = vms_.try_emplace(id);
    Entry& vm = it->second;
    if (!fresh) return vm;
    vm.id = id;
    vm.seen.id = id;
    vm.attempt = std::make_unique<Attempt>(seams_.clock, seams_.random, [this, &vm] { look(vm); });
    return vm;
}

void VmKeeper::apply(const DocumentRecord& record) {
    std::optional<VmDocument> document;
    if (!record.content.empty()) {
        auto read = from_json_text<VmDocument>(record.content);
        if (!read) return seams_.log(log::Level::error, "vm document: " + read.error().message);
        document = std::move(*read);
        if (record.verdict == Verdict::keep) lay_over(*document);
    }
    Entry& vm = make_entry(VmId{record.id});
    const bool other = !vm.document || !document || vm.document->generation != document->generation ||
                       vm.document->power != document->power || vm.document->start_serial != document->start_serial;
    if (other) vm.stop_noted = false;  // a new wish: the guest is asked again
    if (vm.epoch != record.epoch) vm.confirmed = false;
    vm.document = std::move(document);
    vm.verdict = record.verdict;
    vm.epoch = record.epoch;
    ++vm.version;
    vm.orphan = false;
    vm.seed_made = vm.files_removed = false;
    vm.last_done = {};
    vm.trouble.reset();
    vm.had_taps = wants_taps(vm);
    moved_document(vm);
    keep_.network.mark();
    vm.attempt->kick_now();
}

void VmKeeper::confirm(VmId id, Epoch epoch) {
    auto it = vms_.find(id);
    if (it == vms_.end() || it->second.epoch != epoch) return;
    it->second.confirmed = true;
    it->second.attempt->kick_now();
}

void VmKeeper::hint(const DomainHint& hint) {
    auto it = vms_.find(hint.id);
    if (it == vms_.end()) return;
    Entry& vm = it->second;
    if (hint.cause != RunEnd::none) {
        vm.told = hint.cause;
        if (vm.start_asked) vm.started = true;  // it ran, even if it is over already
    }
    vm.attempt->kick();
}

void VmKeeper::kick_waiting() {
    for (auto& [id, vm] : vms_) {
        const bool waits = vm.decision.step == Step::wait || vm.decision.step == Step::drop_taps;
        if (waits || !vm.looked) vm.attempt->kick();
    }
}

void VmKeeper::kick_all() {
    for (auto& [id, vm] : vms_) vm.attempt->kick();
}

void VmKeeper::resync() {
    kick_all();
}

void VmKeeper::on_listed(const std::vector<DomainObservation>& domains) {
    open_elsewhere_.clear();
    strays_.clear();
    std::map<VmId, const DomainObservation*> seen;
    for (const auto& domain : domains) {
        if (auto it = vms_.find(domain.id); it != vms_.end() && domain.ours) {
            seen[domain.id] = &domain;
            continue;
        }
        for (const auto& disk : domain.live_disks) open_elsewhere_[disk.volume] = domain.name;
        if (!domain.ours && !domain.volumes.empty()) strays_.push_back(domain);
        if (!domain.ours) continue;
        const DocumentRecord* tombstone = keep_.ledger.document({DocumentKind::vm, domain.id});
        if (tombstone == nullptr || tombstone->epoch < domain.epoch) {
            strays_.push_back(domain);
            continue;
        }
        // A late answer of libvirt brought back what was released: the release holds.
        DocumentRecord again = *tombstone;
        again.verdict = Verdict::release;
        apply(again);
        vms_.at(domain.id).orphan = true;
    }
    for (auto& [id, vm] : vms_) {
        if (vm.looked) continue;  // at start; later each is looked at by itself
        auto it = seen.find(id);
        note(vm, it != seen.end() ? *it->second : DomainObservation{.id = id});
    }
    if (!std::exchange(listed_, true)) kick_all();
}

// ---- observe

void VmKeeper::look(Entry& vm) {
    if (vm.verdict != Verdict::keep) {
        const DocumentKey key{DocumentKind::vm, vm.id};
        const DocumentRecord* record = keep_.ledger.document(key);
        if (keep_.ledger.writing(key)) return vm.attempt->look_after(seconds{1});  // a newer word is on its way
        if (!vm.orphan && (record == nullptr || record->verdict == Verdict::gone)) return erase(vm);
    }
    take_sent(vm);
    const BootTime asked = seams_.clock.boot();
    seams_.hypervisor.observe(
        vm.id, vm.attempt->job<DomainObservation>(
                   [this, &vm, asked](Result<DomainObservation> seen) { on_observed(vm, asked, std::move(seen)); }));
}

void VmKeeper::on_observed(Entry& vm, BootTime asked, Result<DomainObservation> seen) {
    if (!seen) return failed(vm, seen.error());
    note(vm, std::move(*seen));
    if (vm.stop_noted) vm.stop_waited += std::min(asked - vm.looked_at, kStandStill);
    vm.looked_at = asked;
    vm.decision = next_step(wish_of(vm), vm.seen, memory_of(vm));
    perform(vm);  // may erase the entry, later
}

// What is seen, without acting on it.
void VmKeeper::note(Entry& vm, DomainObservation seen) {
    const std::size_t had_open = vm.seen.live_disks.size();
    const auto had_nics = vm.seen.live_nics;
    const bool was_on = vm.looked && is_on(vm.seen.state);
    vm.seen = std::move(seen);
    const bool fresh = !std::exchange(vm.looked, true);
    if (is_on(vm.seen.state)) {
        if (!was_on) {
            // Already on when we came, or on the host that it comes from.
            vm.on_since = fresh || is_coming_here(vm) ? kLongAgo : seams_.clock.boot();
            vm.stages.clear();
            vm.no_address.reset();
        }
        vm.volumes_checked = false;
        hold_open_disks(vm);
    } else {
        vm.stop_noted = false;
        vm.stages.clear();
        vm.no_address.reset();
        if (vm.seen.state == DomainState::crashed) vm.told = RunEnd::crashed;
        const bool wanted = vm.verdict == Verdict::keep && vm.document && vm.document->power != Power::stopped;
        if (!wanted || was_on) release_claims(vm);
    }
    if (vm.seen.live_disks.size() < had_open) keep_.storage.kick_ended();
    const bool wants = wants_taps(vm);
    // Only taps that no guest has open are taken away.
    if (std::exchange(vm.had_taps, wants) != wants || vm.seen.live_nics != had_nics) keep_.network.mark();
}

void VmKeeper::hold_open_disks(Entry& vm) {
    const auto& open = vm.seen.live_disks;
    if (open.empty()) {  // not told: all of the document's
        if (!vm.document) return;
        for (const auto& disk : vm.document->disks) holders_.try_emplace(disk.volume, vm.id);
        return;
    }
    if (vm.starts_out == 0) {  // what was detached is free, unless it is about to be attached again
        std::erase_if(holders_, [&](const auto& held) {
            const auto is_it = [&](const auto& disk) { return disk.volume == held.first; };
            return held.second == vm.id && std::ranges::none_of(open, is_it) &&
                   !(vm.document && std::ranges::any_of(vm.document->disks, is_it));
        });
    }
    for (const auto& disk : open) holders_[disk.volume] = vm.id;
}

HostMoment VmKeeper::host_moment() const {
    return {
        .boot_id = identity_.boot_id, .now = seams_.clock.boot(), .going_down_boot = keep_.ledger.going_down_boot()};
}

VmWish VmKeeper::wish_of(const Entry& vm) const {
    VmWish wish{
        .document = vm.document ? &*vm.document : nullptr, .epoch = vm.epoch, .release = vm.verdict != Verdict::keep};
    if (auto plan = plan_of(vm)) wish.hardware_hash = plan->hardware_hash();
    return wish;
}

VmMemory VmKeeper::memory_of(const Entry& vm) const {
    const BootTime now = seams_.clock.boot();
    VmMemory memory{.run = keep_.ledger.run(vm.id), .host = host_moment(), .told = vm.told, .started = vm.started};
    memory.seed_made = vm.seed_made;
    memory.volumes_checked = vm.volumes_checked;
    memory.stop_noted = vm.stop_noted;
    memory.ask_due = vm.last_ask.ms == 0 || now - vm.last_ask >= kAskAgain;
    memory.restart_due = now >= vm.restart_not_before;
    memory.files_removed = vm.files_removed;
    memory.taps_gone = keep_.network.without(vm.id);
    memory.move = move_memory(vm);
    if (!vm.document) return memory;
    memory.stop_expired = vm.stop_noted && vm.stop_waited >= milliseconds{vm.document->stop_timeout_ms};
    memory.confirmed = vm.confirmed || planted().start_unconfirmed || !keep_.storage.on_shared_pool(*vm.document);
    Missing missing = this->missing(vm);
    memory.missing = std::move(missing.what);
    memory.missing_comes = missing.comes;
    return memory;
}

Missing VmKeeper::missing(const Entry& vm) const {
    if (!listed_) return {"libvirt has not told yet what runs on this host", true};
    Missing missing = keep_.storage.missing(*vm.document);
    if (missing.what.empty()) missing = keep_.network.missing(*vm.document);
    for (const auto& disk : vm.document->disks) {
        if (!missing.what.empty() || planted().share_volumes) break;
        if (auto held = holders_.find(disk.volume); held != holders_.end() && held->second != vm.id) {
            auto other = vms_.find(held->second);
            missing.what = fmt::format("disk {} is open in guest {}", disk.name,
                                       other == vms_.end() ? held->second.str() : name_of(other->second));
        } else if (auto open = open_elsewhere_.find(disk.volume); open != open_elsewhere_.end()) {
            missing.what =
                fmt::format("disk {} is open in domain {}, which belongs to no document", disk.name, open->second);
        }
    }
    return missing;
}

std::optional<DomainPlan> VmKeeper::plan_of(const Entry& vm) const {
    if (!vm.document || !vm.seed_made) return std::nullopt;
    DomainPlan plan{.document = *vm.document,
                    .seed_path = vm.seed_path,
                    .serial_log = serial_log_path(identity_, vm.id),
                    .console_socket = console_socket_path(identity_, vm.id),
                    .vnc_socket = vnc_socket_path(identity_, vm.id)};
    for (const auto& disk : vm.document->disks) {
        auto path = keep_.storage.volume_path(disk.volume);
        if (!path) return std::nullopt;
        plan.disks.push_back({disk, std::move(*path)});
    }
    for (const auto& nic : vm.document->nics)
        plan.nics.push_back({nic, tap_name(vm.id, nic.name), keep_.network.mtu(nic.network)});
    return plan;
}

bool VmKeeper::wants_taps(const Entry& vm) const {
    if (!vm.document) return false;
    if (is_coming_here(vm)) return !host_moment().going_down();
    if (has_left(vm)) return vm.looked && is_on(vm.seen.state);
    if (!vm.looked || is_on(vm.seen.state)) return true;
    if (vm.verdict != Verdict::keep) return planted().leak_taps;
    return wants_run(*vm.document, keep_.ledger.run(vm.id), host_moment());
}

std::string VmKeeper::name_of(const Entry& vm) const {
    return vm.document ? vm.document->name : vm.id.str();
}

// ---- what others ask

std::string VmKeeper::user_of(VolumeId volume) const {
    for (const auto& [id, vm] : vms_) {
        const bool refers = vm.document && std::ranges::any_of(vm.document->disks, [&](const VmDocumentDisk& disk) {
                                return disk.volume == volume;
                            });
        const bool open = std::ranges::any_of(vm.seen.live_disks, [&](const auto& d) { return d.volume == volume; });
        if (refers || open) return name_of(vm);
    }
    auto held = holders_.find(volume);
    if (held == holders_.end()) return {};
    return held->second.str();
}

VolumeUse VmKeeper::use_of(VolumeId volume) const {
    VolumeUse use{.held = !listed_ || holders_.contains(volume) || open_elsewhere_.contains(volume)};
    for (const auto& [id, vm] : vms_) {
        if (!is_on(vm.seen.state)) continue;
        for (const auto& disk : vm.seen.live_disks) {
            if (disk.volume == volume) use.open = {id, disk.name};
        }
    }
    return use;
}

std::vector<NicPlan> VmKeeper::nic_plans() const {
    std::vector<NicPlan> out;
    for (const auto& [id, vm] : vms_) {
        if (!wants_taps(vm)) continue;
        for (const auto& nic : vm.document->nics)
            out.push_back(
                {id, nic.name, nic.network, tap_name(id, nic.name), nic.mac, nic.address, vm.document->seed.hostname});
    }
    return out;
}

bool VmKeeper::uses_network(NetworkId network) const {
    return std::ranges::any_of(vms_, [&](const auto& item) {
        const Entry& vm = item.second;
        return vm.document &&
               std::ranges::any_of(vm.document->nics, [&](const auto& nic) { return nic.network == network; });
    });
}

std::optional<Epoch> VmKeeper::epoch_if_on(VmId id) const {
    auto it = vms_.find(id);
    if (it == vms_.end() || it->second.verdict != Verdict::keep || !is_on(it->second.seen.state)) return std::nullopt;
    if (is_coming_here(it->second)) return std::nullopt;
    return it->second.epoch;
}

std::vector<VmId> VmKeeper::guests_on() const {
    std::vector<VmId> out;
    for (const auto& [id, vm] : vms_) {
        if (is_coming_here(vm)) continue;
        if (!vm.looked || is_on(vm.seen.state)) out.push_back(id);
    }
    return out;
}

std::vector<YoungGuest> VmKeeper::young_guests(milliseconds younger_than) const {
    std::vector<YoungGuest> out;
    for (const auto& [id, vm] : vms_) {
        if (!vm.document || vm.verdict != Verdict::keep || !is_on(vm.seen.state) || is_coming_here(vm)) continue;
        const milliseconds age = seams_.clock.boot() - vm.on_since;
        if (age < younger_than) out.push_back({id, vm.document->nics, age});
    }
    return out;
}

void VmKeeper::set_stage(VmId id, const std::string& nic, const std::string& stage, milliseconds age) {
    auto it = vms_.find(id);
    if (it == vms_.end() || !is_on(it->second.seen.state)) return;
    Entry& vm = it->second;
    vm.stages[nic] = stage;
    const bool waits = std::ranges::any_of(vm.stages, [](const auto& s) { return s.second != "dhcp-answered"; });
    vm.no_address.reset();
    if (waits && age >= seconds{60}) {
        vm.no_address = Condition{.type = "NoAddress",
                                  .reason = "NoLease",
                                  .message = fmt::format("no address was taken within 60 s; last seen: {}", stage)};
    }
    update_report(vm);
}

bool VmKeeper::needs_reboot(const Entry& vm) const {
    const auto plan = plan_of(vm);
    if (!plan || !is_on(vm.seen.state) || vm.seen.live_fixed_hash.empty()) return false;
    const bool other_mtu = std::ranges::any_of(plan->nics, [&](const DomainPlan::Nic& nic) {
        return std::ranges::any_of(vm.seen.live_nics, [&](const auto& live) {
            return live.name == nic.document.name && live.mac == nic.document.mac && live.mtu != nic.mtu;
        });
    });
    return other_mtu || vm.seen.live_fixed_hash != plan->fixed_hash();
}

void VmKeeper::update_report(Entry& vm) {
    const RunRecord run = keep_.ledger.run(vm.id);
    VmReport report{.state = vm.seen.state,
                    .generation = vm.document ? vm.document->generation : 0,
                    .start_serial = run.serial,
                    .last_end = run.ended,
                    .restarts = run.restarts,
                    .stages = vm.stages};
    const VmMemory memory = memory_of(vm);
    const bool keeps = vm.verdict == Verdict::keep && vm.document;
    const bool stuck = keeps && memory.stop_expired && is_on(vm.seen.state) && vm.document->power == Power::stopped;
    report.settled = keeps && vm.looked && vm.decision.step == Step::none && !vm.trouble && !stuck;
    report.needs_reboot = needs_reboot(vm);
    if (const LocalRecord* local = keep_.ledger.local(vm.id)) report.local = local->wish;
    if (vm.trouble) report.conditions.push_back(*vm.trouble);
    if (vm.decision.step == Step::wait) {
        const bool loop = vm.decision.reason == "CrashLoop";
        report.conditions.push_back({.type = loop ? "CrashLoop" : "Ready",
                                     .status = loop,
                                     .reason = vm.decision.reason,
                                     .message = vm.decision.why});
    }
    if (stuck) {
        report.conditions.push_back(
            {.type = "StopTimedOut",
             .reason = "stop-timed-out",
             .message = fmt::format("the guest did not shut down within {} s and runs on; --force powers it off",
                                    vm.document->stop_timeout_ms / 1000)});
    }
    if (vm.no_address) report.conditions.push_back(*vm.no_address);
    tell_move(vm, report);
    keep_since(vm.report.conditions, report.conditions, seams_.clock.wall());
    vm.report = std::move(report);
    keep_.reporter.set({DocumentKind::vm, vm.id}, vm.epoch, to_json_text(vm.report));
}

}  // namespace axle
