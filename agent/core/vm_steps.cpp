// The part of VmKeeper that asks the edges for the decided step and takes their answers.
#include <algorithm>

#include "agent/core/planted.hpp"
#include "agent/core/vm_keeper.hpp"
#include "common/model/codec.hpp"

namespace axle {
namespace {

constexpr milliseconds kLookWhileStopping{2'000};
constexpr milliseconds kStopSlack{60'000};  // an end this long after the stop's time-out is still ours

bool is_start_phase(Step step) {
    return step == Step::make_seed || step == Step::check_volumes || step == Step::define || step == Step::start;
}

// A step whose success must show in the next observation.
bool shows(Step step) {
    switch (step) {
        case Step::define:
        case Step::start:
        case Step::suspend:
        case Step::resume:
        case Step::destroy:
        case Step::attach_disk:
        case Step::detach_disk:
        case Step::attach_nic:
        case Step::detach_nic:
        case Step::undefine:
            return true;
        default:
            return false;
    }
}

}  // namespace

void VmKeeper::perform(Entry& vm) {
    const StepDecision& next = vm.decision;
    if (!is_start_phase(next.step)) give_slot(vm);
    if (is_start_phase(next.step) && !take_slot(vm)) return update_report(vm);
    if (shows(next.step) && vm.last_done.step == next.step && vm.last_done.device == next.device) {
        vm.last_done = {};
        return failed(vm, error(Code::unavailable, "a step was reported done and the domain does not show it"));
    }
    vm.last_done = {};
    update_report(vm);
    switch (next.step) {
        case Step::none:
            vm.attempt->ease();
            vm.trouble.reset();
            update_report(vm);
            return;
        case Step::wait:
            return wait(vm);
        case Step::record_run: {
            vm.start_asked = vm.started = false;
            return put_run(vm, after_start(*vm.document, keep_.ledger.run(vm.id), host_moment()));
        }
        case Step::record_end:
            return record_end(vm);
        case Step::note_stop:
            return note_stop(vm);
        case Step::drop_taps:
            return keep_.network.mark();  // its apply brings the next look
        case Step::finish:
            return finish(vm);
        case Step::move_begin:
        case Step::move_send:
        case Step::move_abort:
        case Step::move_hand_over:
        case Step::move_tell:
        case Step::move_expect:
        case Step::move_accept:
        case Step::move_dismiss:
            return perform_move(vm);
        default:
            return perform_edge(vm);
    }
}

void VmKeeper::perform_edge(Entry& vm) {
    Hypervisor& hypervisor = seams_.hypervisor;
    switch (vm.decision.step) {
        case Step::make_seed:
            return make_seed(vm);
        case Step::check_volumes:
            return check_volumes(vm);
        case Step::define:
            return define(vm);
        case Step::start:
            return start(vm);
        case Step::ask_shutdown:
            return ask_shutdown(vm);
        case Step::attach_disk:
            return attach(vm);
        case Step::attach_nic:
            return attach_nic(vm);
        case Step::suspend:
            return hypervisor.suspend(vm.id, stepped(vm));
        case Step::resume:
            return hypervisor.resume(vm.id, stepped(vm));
        case Step::destroy:
            return hypervisor.destroy(vm.id, stepped(vm));
        case Step::detach_disk:
            return hypervisor.detach_disk(vm.id, vm.decision.device, stepped(vm));
        case Step::detach_nic:
            return hypervisor.detach_nic(vm.id, vm.decision.device, stepped(vm));
        case Step::undefine:
            return hypervisor.undefine(vm.id, stepped(vm));
        case Step::remove_files:
            return seams_.storage.remove_guest_files(
                vm.id, stepped(vm, [&vm, version = vm.version] { vm.files_removed = version == vm.version; }));
        default:
            ENSURE(false, "a step without an action");
    }
}

Done VmKeeper::stepped(Entry& vm, std::function<void()> then) {
    return vm.attempt->job<void>([this, &vm, then = std::move(then), step = vm.decision](Result<> answer) {
        if (!answer) return failed(vm, answer.error());
        vm.trouble.reset();
        vm.last_done = step;
        if (then) then();
        vm.attempt->kick();
    });
}

void VmKeeper::failed(Entry& vm, const Error& error) {
    give_slot(vm);
    vm.trouble = not_ready(error);
    vm.decision = {};
    update_report(vm);
    if (vm.attempt->failures() == 0) {
        seams_.log(log::Level::warning, fmt::format("guest {}: {}", name_of(vm), error.message));
    }
    vm.attempt->back_off();  // outcome unknown or not: it is observed before the next step
}

void VmKeeper::wait(Entry& vm) {
    if (vm.decision.reason == "Stopping") return vm.attempt->look_after(kLookWhileStopping);
    if (vm.decision.reason == "Moving") return vm.attempt->look_after(kLookWhileMoving);
    if (vm.decision.reason == "CrashBackOff") {
        const milliseconds left = vm.restart_not_before - seams_.clock.boot();
        return vm.attempt->look_after(std::max(left, milliseconds{1}));
    }
}  // for all else the resync, or what is waited for, brings the next look

void VmKeeper::put_run(Entry& vm, RunRecord run) {
    run.vm = vm.id;
    keep_.ledger.put(std::move(run), vm.attempt->job<void>([this, &vm](Result<> put) {
        if (!put) return failed(vm, put.error());
        vm.attempt->kick();
    }));
}

void VmKeeper::record_end(Entry& vm) {
    const RunEnd end = vm.decision.end;
    const RunRecord run = after_end(*vm.document, keep_.ledger.run(vm.id), host_moment(), end);
    seams_.log(log::Level::info, fmt::format("guest {}: run {} ended: {}", name_of(vm), run.serial, text_of(end)));
    vm.told = RunEnd::none;
    vm.start_asked = vm.started = false;
    const milliseconds delay = crash_delay(run);
    const auto jitter =
        static_cast<std::int64_t>(seams_.random.below(static_cast<std::uint64_t>(delay.count() / 4 + 1)));
    vm.restart_not_before = seams_.clock.boot() + delay + milliseconds{jitter};
    put_run(vm, run);
}

void VmKeeper::note_stop(Entry& vm) {
    const BootTime now = seams_.clock.boot();
    RunRecord run = keep_.ledger.run(vm.id);
    run.stopping_until_ms = (now + milliseconds{vm.document->stop_timeout_ms} + kStopSlack).ms;
    vm.stop_noted = true;
    vm.stop_waited = milliseconds{0};
    vm.last_ask = {};
    put_run(vm, std::move(run));
}

void VmKeeper::ask_shutdown(Entry& vm) {
    vm.last_ask = seams_.clock.boot();
    seams_.hypervisor.ask_shutdown(vm.id, vm.attempt->job<void>([this, &vm](Result<> asked) {
        if (!asked) return failed(vm, asked.error());
        vm.attempt->look_after(kLookWhileStopping);
    }));
}

void VmKeeper::make_seed(Entry& vm) {
    if (vm.document->seed_slot == 0) {  // a guest without one
        vm.seed_made = true;
        vm.seed_path.clear();
        return vm.attempt->kick();
    }
    seams_.storage.make_seed(*vm.document,
                             vm.attempt->job<std::string>([this, &vm, version = vm.version](Result<std::string> path) {
                                 if (!path) return failed(vm, path.error());
                                 vm.seed_made = version == vm.version;
                                 vm.seed_path = std::move(*path);
                                 vm.attempt->kick();
                             }));
}

void VmKeeper::define(Entry& vm) {
    auto plan = plan_of(vm);
    if (!plan) return vm.attempt->kick();
    seams_.hypervisor.define(std::move(*plan), stepped(vm));
}

// The files are claimed at each start, and nothing is waited for in between: whatever was true at an earlier look,
// another host may have been given the disks since.
void VmKeeper::start(Entry& vm) {
    claim(vm);
    if (planted().open_before_claim) return start_domain(vm);
    claim_all_files(vm, [this, &vm] { start_domain(vm); });
}

void VmKeeper::start_domain(Entry& vm) {
    vm.told = RunEnd::none;  // what is told from here on is of this run
    vm.start_asked = true;
    vm.volumes_checked = false;
    ++vm.starts_out;
    auto answer = vm.attempt->job<void>([this, &vm](Result<> started) {
        if (started) {
            vm.started = true;
            vm.trouble.reset();
            vm.last_done = {.step = Step::start};
            if (planted().open_before_claim) return claim_all_files(vm, [&vm] { vm.attempt->kick(); });
            return vm.attempt->kick();
        }
        if (started.error().code != Code::timeout) vm.start_asked = false;
        failed(vm, started.error());
    });
    const bool paused = vm.document->power == Power::paused;
    seams_.hypervisor.start(vm.id, paused, life_.wrap([this, id = vm.id, answer](Result<> started) {
        if (auto it = vms_.find(id); it != vms_.end() && it->second.starts_out > 0) --it->second.starts_out;
        answer(std::move(started));
    }));
}

void VmKeeper::attach(Entry& vm) {
    const auto plan = plan_of(vm);
    const auto disk =
        plan ? std::ranges::find_if(plan->disks, [&](const auto& d) { return d.document.name == vm.decision.device; })
             : decltype(plan->disks.begin()){};
    if (!plan || disk == plan->disks.end()) return vm.attempt->kick();
    claim(vm);
    claim_files(vm, {disk->document.volume},
                [this, &vm, disk = *disk] { seams_.hypervisor.attach_disk(vm.id, disk, stepped(vm)); });
}

void VmKeeper::attach_nic(Entry& vm) {
    const auto plan = plan_of(vm);
    const auto nic =
        plan ? std::ranges::find_if(plan->nics, [&](const auto& n) { return n.document.name == vm.decision.device; })
             : decltype(plan->nics.begin()){};
    if (!plan || nic == plan->nics.end()) return vm.attempt->kick();
    seams_.hypervisor.attach_nic(vm.id, *nic, stepped(vm));
}

// Nothing is left of a released guest: the tombstone is durable before it is told.
void VmKeeper::finish(Entry& vm) {
    const DocumentKey key{DocumentKind::vm, vm.id};
    const DocumentRecord* record = keep_.ledger.document(key);
    if (vm.orphan) return erase(vm);
    if (record == nullptr || keep_.ledger.writing(key)) return vm.attempt->look_after(seconds{1});
    DocumentRecord tombstone = *record;
    tombstone.verdict = Verdict::gone;
    tombstone.content.clear();
    tombstone.hash.clear();
    keep_.ledger.put(std::move(tombstone), vm.attempt->job<void>([this, &vm](Result<> put) {
        if (!put) return failed(vm, put.error());
        vm.attempt->kick();
    }));
}

void VmKeeper::erase(Entry& vm) {
    give_slot(vm);
    const VmId id = vm.id;
    keep_.ledger.forget_run(id);
    keep_.ledger.forget_local(id);
    keep_.ledger.forget_move(id);
    keep_.reporter.gone({DocumentKind::vm, id}, vm.epoch);
    std::erase_if(holders_, [&](const auto& held) { return held.second == id; });
    vms_.erase(id);
    keep_.storage.kick_ended();
    keep_.network.mark();
    kick_waiting();
}

// A few guests start at once, the others wait by priority; a slot is kept from the first preparation to the end of the
// start.
bool VmKeeper::take_slot(Entry& vm) {
    const std::int64_t priority = vm.document ? vm.document->priority : 0;
    if (vm.has_slot) return true;
    if (slots_used_ >= kParallelStarts) {
        waiting_for_slot_.insert({-priority, vm.id});
        return false;
    }
    waiting_for_slot_.erase({-priority, vm.id});
    vm.has_slot = true;
    ++slots_used_;
    return true;
}

void VmKeeper::give_slot(Entry& vm) {
    std::erase_if(waiting_for_slot_, [&](const auto& waiting) { return waiting.second == vm.id; });
    if (!vm.has_slot) return;
    vm.has_slot = false;
    --slots_used_;
    if (waiting_for_slot_.empty()) return;
    const VmId next = waiting_for_slot_.begin()->second;
    waiting_for_slot_.erase(waiting_for_slot_.begin());
    if (auto it = vms_.find(next); it != vms_.end()) it->second.attempt->kick_now();
}

}  // namespace axle
