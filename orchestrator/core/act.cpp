// Actions: most of them set a wish in spec; reboot and reset are orders to the host that are tasks of their own.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "common/base/counted.hpp"
#include "orchestrator/core/actions.hpp"
#include "orchestrator/core/arguments.hpp"
#include "orchestrator/core/capacity.hpp"
#include "orchestrator/core/commands.hpp"
#include "orchestrator/core/migrate.hpp"
#include "orchestrator/core/tasks.hpp"
#include "orchestrator/core/vm_rules.hpp"

namespace axle {
namespace {

Mutated after(Transaction& tx, const Object& object, Uuid task) {
    return {.object = tx.world().get(object.kind(), object.meta.id), .task = task};
}

Mutated nothing_to_do(const ObjectPtr& object) {
    return {.object = object, .changed = false};
}

Result<> needs_life(const Object& object) {
    if (!object.is_deleted()) return {};
    return fail(error(Code::conflict, "{} {} is deleted", text_of(object.kind()), object.meta.name)
                    .with_hint(fmt::format("axle {} restore {}", text_of(object.kind()), object.meta.id.str())));
}

bool is_running(const Vm& vm) {
    return vm.status.report.state == DomainState::running;
}

// That there is nothing to do is an answer only where it is known how the VM is.
bool is_known(const World& world, const Vm& vm) {
    return silent_host(world, vm) == nullptr;
}

template <typename F>
Mutated set_power(Transaction& tx, const Mutation& m, const Vm& vm, TaskGoal goal, F&& change) {
    const Uuid id = vm.meta.id;
    tx.update_spec<Vm>(id, [&](Vm& v) {
        change(v.spec);
        ++v.meta.generation;
    });
    const ObjectPtr now = tx.world().get(Kind::vm, id);
    return after(tx, *now, make_task(tx, goal, *now, m.who.name));
}

Result<Mutated> start(Transaction& tx, const Mutation& m, const ObjectPtr& object) {
    const Vm& vm = static_cast<const Vm&>(*object);
    if (vm.spec.power == Power::running && is_running(vm) && is_known(tx.world(), vm)) return nothing_to_do(object);
    return set_power(tx, m, vm, TaskGoal::vm_running, [](VmSpec& s) {
        s.power = Power::running;
        s.force_stop = false;
        ++s.start_serial;
    });
}

Result<Mutated> stop(Transaction& tx, const Mutation& m, const ObjectPtr& object) {
    TRY(arguments, arguments_of<StopArguments>(m));
    const Vm& vm = static_cast<const Vm&>(*object);
    const bool is_off = vm.status.phase == VmPhase::stopped && is_known(tx.world(), vm);
    if (vm.spec.power == Power::stopped && is_off) return nothing_to_do(object);
    const bool force = arguments.force;
    return set_power(tx, m, vm, TaskGoal::vm_stopped, [&](VmSpec& s) {
        s.power = Power::stopped;
        s.force_stop = force;
    });
}

Result<Mutated> pause(Transaction& tx, const Mutation& m, const ObjectPtr& object) {
    const Vm& vm = static_cast<const Vm&>(*object);
    if (vm.spec.power == Power::paused) return nothing_to_do(object);
    if (!is_running(vm))
        return fail(error(Code::conflict, "VM {} is {}, only a running one can be paused", vm.meta.name,
                          text_of(vm.status.phase))
                        .with_hint("axle vm start " + vm.meta.name));
    return set_power(tx, m, vm, TaskGoal::vm_paused, [](VmSpec& s) { s.power = Power::paused; });
}

Result<Mutated> resume(Transaction& tx, const Mutation& m, const ObjectPtr& object) {
    const Vm& vm = static_cast<const Vm&>(*object);
    if (vm.spec.power == Power::running && is_running(vm) && is_known(tx.world(), vm)) return nothing_to_do(object);
    if (vm.spec.power == Power::stopped)
        return fail(error(Code::conflict, "VM {} is stopped, not paused", vm.meta.name)
                        .with_hint("axle vm start " + vm.meta.name));
    return set_power(tx, m, vm, TaskGoal::vm_running, [](VmSpec& s) { s.power = Power::running; });
}

Result<Mutated> order(Transaction& tx, const Mutation& m, const ObjectPtr& object, TaskGoal goal) {
    const Vm& vm = static_cast<const Vm&>(*object);
    if (!is_running(vm))
        return fail(error(Code::conflict, "VM {} is {}, not running", vm.meta.name, text_of(vm.status.phase))
                        .with_hint("axle vm start " + vm.meta.name));
    TRY_VOID(check_no_exclusive(tx.world(), vm));
    return after(tx, vm, make_task(tx, goal, vm, m.who.name));
}

Result<Mutated> migrate(Transaction& tx, const Mutation& m, const ObjectPtr& object) {
    TRY(arguments, arguments_of<MigrateArguments>(m));
    const Vm& vm = static_cast<const Vm&>(*object);
    const MoveWish wish{
        .host = arguments.host, .cold = arguments.cold, .bandwidth = arguments.bandwidth, .requester = m.who.name};
    const std::string from = vm.status.placement ? vm.status.placement->host.name : "";
    TRY(task, begin_move(tx, vm, wish));
    Mutated begun = after(tx, *object, task);
    const auto text = [](const std::string& name) { return nlohmann::json(name).dump(); };
    const std::string to = static_cast<const Vm&>(*begun.object).status.migration->host.name;
    begun.plan.push_back({.pointer = "/status/placement/host", .before = text(from), .after = text(to)});
    return begun;
}

Result<Mutated> attach(Transaction& tx, const Mutation& m, const ObjectPtr& object) {
    TRY(arguments, arguments_of<AttachArguments>(m));
    const Usage used = tx.world().used_by_project(object->meta.project.id);
    auto changed = std::make_unique<Vm>(static_cast<const Vm&>(*object));
    if (changed->spec.disks.contains(arguments.disk))
        return fail(error(Code::conflict, "VM {} has a disk \"{}\" already", changed->meta.name, arguments.disk)
                        .with_hint("take another name"));
    changed->spec.disks[arguments.disk] = {
        .volume = arguments.volume, .image = arguments.image, .size = arguments.size, .pool = arguments.pool};
    ++changed->meta.generation;
    Admission admission{.tx = tx};
    TRY_VOID(admit(admission, *changed, object.get()));
    if (!admission.mistakes.empty()) return fail(fields_error(std::move(admission.mistakes)));
    const Uuid project = changed->meta.project.id;
    tx.replace(std::move(changed), true);
    TRY_VOID(check_limits(tx, project, used));
    const ObjectPtr now = tx.world().get(Kind::vm, object->meta.id);
    return after(tx, *now, make_task(tx, TaskGoal::vm_changed, *now, m.who.name));
}

Result<Mutated> detach(Transaction& tx, const Mutation& m, const ObjectPtr& object) {
    TRY(arguments, arguments_of<DetachArguments>(m));
    auto changed = std::make_unique<Vm>(static_cast<const Vm&>(*object));
    const auto disk = changed->spec.disks.find(arguments.disk);
    if (disk == changed->spec.disks.end())
        return fail(Code::not_found, "VM {} has no disk \"{}\"", changed->meta.name, arguments.disk);
    if (arguments.disk == "root" && changed->status.phase != VmPhase::stopped)
        return fail(
            error(Code::conflict, "the root disk of VM {} can be detached only while it is stopped", changed->meta.name)
                .with_hint("axle vm stop " + changed->meta.name));
    changed->spec.disks.erase(disk);
    ++changed->meta.generation;
    Admission admission{.tx = tx};
    TRY_VOID(admit(admission, *changed, object.get()));
    if (!admission.mistakes.empty()) return fail(fields_error(std::move(admission.mistakes)));
    tx.replace(std::move(changed), true);
    const ObjectPtr now = tx.world().get(Kind::vm, object->meta.id);
    return after(tx, *now, make_task(tx, TaskGoal::vm_changed, *now, m.who.name));
}

// References of a restored object must still be there.
Result<> check_refs_alive(Transaction& tx, Object& object) {
    Mistakes mistakes;
    for_each_ref(object, [&](const std::string& at, Kind kind, Ref& ref) {
        if (!ref.id) return;
        const ObjectPtr target = tx.world().get(kind, ref.id);
        const bool image = kind == Kind::image;  // a disk keeps the digest, not the name
        if (!image && (!target || (target->is_deleted() && kind != Kind::volume)))
            mistakes.push_back({at, "no-such-object", fmt::format("{} {} is gone", text_of(kind), ref.name)});
    });
    if (!mistakes.empty()) return fail(fields_error(std::move(mistakes)));
    return {};
}

// The host of a deleted VM may have been filled since: its disks are there, so it can't go elsewhere.
Result<> check_room(Transaction& tx, const Vm& vm) {
    const Host* host = vm.status.placement ? tx.world().find<Host>(vm.status.placement->host.id) : nullptr;
    if (host == nullptr) return {};
    const Capacity all = allocatable_of(*host);
    const Usage claimed = tx.world().claimed_on_host(host->meta.id);
    const std::int64_t cpus = vm.spec.cpus.value_or(1), memory = vm.spec.memory.value_or(kGiB);
    if (claimed.cpus + cpus <= all.cpus && claimed.memory + memory <= all.memory) return {};
    return fail(error(Code::conflict, "VM {} needs {} and {}; its host {} has {} and {} left", vm.meta.name,
                      counted(cpus, "CPU"), format_bytes(memory), host->meta.name,
                      std::max<std::int64_t>(all.cpus - claimed.cpus, 0),
                      format_bytes(std::max<std::int64_t>(all.memory - claimed.memory, 0)))
                    .with_hint(fmt::format("delete another VM on {} first", host->meta.name))
                    .with_reason("no-capacity"));
}

Result<> restore_disk(Transaction& tx, const Vm& vm, const std::string& name, VmDisk& disk) {
    const Volume* volume = tx.world().find<Volume>(disk.volume.id);
    if (volume == nullptr) return {};
    const Ref owner{vm.meta.id, vm.meta.name};
    const Ref& other = volume->status.attached_to;
    if (other && other.id != vm.meta.id)
        return fail(
            error(Code::conflict, "disk {} (volume {}) belongs to VM {} now", name, volume->meta.name, other.name)
                .with_hint("take it from there first: " + how_to_detach(tx.world(), *volume)));
    if (!volume->is_deleted()) {
        disk.volume.name = volume->meta.name;  // it may have come back before its VM, under a new name
        tx.update_status<Volume>(disk.volume.id, [&](Volume& v) { v.status.attached_to = owner; });
        return {};
    }
    if (volume->meta.deletion->final)
        return fail(error(Code::conflict, "disk {} (volume {}) is being removed for good", name, volume->meta.name)
                        .with_hint("it was deleted for good, or its room was needed: the VM can't come back"));
    const std::string called = free_volume_name(tx.world(), *volume, vm.meta.name, name);
    disk.volume.name = called;
    tx.update_spec<Volume>(disk.volume.id, [&](Volume& v) {
        v.meta.name = called;
        v.meta.deletion.reset();
        v.status.attached_to = owner;
    });
    return {};
}

Result<> restore_vm(Transaction& tx, Vm& vm) {
    TRY_VOID(check_room(tx, vm));
    Admission admission{.tx = tx};
    give_addresses(admission, vm);
    if (!admission.mistakes.empty()) return fail(fields_error(std::move(admission.mistakes)));
    vm.spec.power = Power::stopped;
    vm.spec.force_stop = false;
    for (auto& [name, disk] : vm.spec.disks) TRY_VOID(restore_disk(tx, vm, name, disk));
    return {};
}

Result<Mutated> restore(Transaction& tx, const Mutation& m, const ObjectPtr& object) {
    TRY(arguments, arguments_of<RestoreArguments>(m));
    const KindInfo& kind = info_of(object->kind());
    const Usage used = tx.world().used_by_project(object->meta.project.id);
    if (!object->is_deleted()) return nothing_to_do(object);
    if (object->meta.deletion->final)
        return fail(error(Code::conflict, "{} {} is being removed for good", kind.name, object->meta.name)
                        .with_hint("its retention is over, or it was deleted with --now"));
    if (const auto why = arguments.name.empty() ? std::nullopt : why_no_name(kind, arguments.name))
        return fail(fields_error({{"/name", "malformed", *why}}));
    const std::set<Uuid> open = tx.world().tasks_of(object->meta.id);
    for (const Uuid& task : open) move_task(tx, task, TaskPhase::superseded);  // the deletion is not wanted any more
    auto restored = object->clone();
    if (!arguments.name.empty()) restored->meta.name = arguments.name;
    if (const auto other = tx.world().named(object->kind(), object->meta.project.id, restored->meta.name))
        return fail(error(Code::conflict, "there is another {} \"{}\" now", kind.name, restored->meta.name)
                        .with_hint("give it a new name: --name NEW")
                        .with_reason("already-exists"));
    TRY_VOID(check_refs_alive(tx, *restored));
    restored->meta.deletion.reset();
    ++restored->meta.generation;
    if (object->kind() == Kind::vm) TRY_VOID(restore_vm(tx, static_cast<Vm&>(*restored)));
    const Key key{restored->kind(), restored->meta.id};
    tx.replace(std::move(restored), true);
    if (object->meta.project.id) TRY_VOID(check_limits(tx, object->meta.project.id, used));
    return Mutated{.object = tx.world().get(key.kind, key.id)};
}

// What was downloaded before is gone on with.
Result<Mutated> import_again(Transaction& tx, const Mutation& m, const ObjectPtr& object) {
    const Image& image = static_cast<const Image&>(*object);
    const Uuid id = image.meta.id;
    if (image.status.phase == ImagePhase::ready) return nothing_to_do(object);
    if (image.spec.url.empty())
        return fail(
            error(Code::conflict, "image {} has no address to be imported from", image.meta.name)
                .with_hint(fmt::format("upload its content: axle image import {} --file PATH", image.meta.name)));
    const std::set<Uuid> open = tx.world().tasks_of(id);
    for (const Uuid& task : open) wait_task_for(tx, task, "");  // no longer for the next try: now
    if (image.status.phase != ImagePhase::failed) return after(tx, image, open.empty() ? Uuid{} : *open.begin());
    tx.update_status<Image>(id, [](Image& i) { i.status.phase = ImagePhase::pending; });
    return after(tx, image, make_task(tx, TaskGoal::image_import, image, m.who.name));
}

// The one that is under way, or a new one.
Uuid task_of_host(Transaction& tx, const Mutation& m, const Uuid& host, TaskGoal goal) {
    const Uuid open = open_task(tx.world(), host, goal);
    return open ? open : make_task(tx, goal, *tx.world().get(Kind::host, host), m.who.name);
}

Result<Mutated> cordon(Transaction& tx, const ObjectPtr& object, bool on) {
    const HostSpec& spec = static_cast<const Host&>(*object).spec;
    if (spec.unschedulable == on && (on || !spec.drain)) return nothing_to_do(object);
    tx.update_spec<Host>(object->meta.id, [&](Host& h) {
        h.spec.unschedulable = on;
        if (!on) h.spec.drain = false;
        if (on) h.spec.take_back = false;
        ++h.meta.generation;
    });
    return after(tx, *object, {});
}

Result<Mutated> undrain(Transaction& tx, const Mutation& m, const ObjectPtr& object) {
    TRY(arguments, arguments_of<UndrainArguments>(m));
    if (!arguments.take_back) return cordon(tx, object, false);
    const Host& host = static_cast<const Host&>(*object);
    if (host.status.away.empty() && !host.spec.unschedulable && !host.spec.drain) return nothing_to_do(object);
    tx.update_spec<Host>(host.meta.id, [](Host& h) {
        h.spec.unschedulable = h.spec.drain = false;
        h.spec.take_back = true;
        ++h.meta.generation;
    });
    return after(tx, *object, task_of_host(tx, m, host.meta.id, TaskGoal::host_return));
}

Result<Mutated> drain(Transaction& tx, const Mutation& m, const ObjectPtr& object) {
    TRY(arguments, arguments_of<DrainArguments>(m));
    tx.update_spec<Host>(object->meta.id, [&](Host& h) {
        h.spec.unschedulable = h.spec.drain = true;
        h.spec.take_back = false;
        h.spec.drain_parallel = arguments.parallel;
        ++h.meta.generation;
        std::erase_if(h.status.away, [&](const Ref& vm) { return tx.world().find<Vm>(vm.id) == nullptr; });
    });
    return after(tx, *object, task_of_host(tx, m, object->meta.id, TaskGoal::host_drain));
}

Result<Mutated> cancel(Transaction& tx, const ObjectPtr& object) {
    const Task& task = static_cast<const Task&>(*object);
    if (is_terminal(task.status.phase)) return fail(ended_already(task));
    const Vm* vm = tx.world().find<Vm>(task.spec.target.id);
    if (task.spec.goal == TaskGoal::vm_migrate && vm != nullptr && vm->status.migration &&
        vm->status.migration->phase == MigrationPhase::handed_over)
        return fail(error(Code::conflict, "VM {} was handed over to host {}: its move can't be cancelled any more",
                          vm->meta.name, vm->status.migration->host.name)
                        .with_hint(fmt::format("move it back when it is there: axle vm migrate {} --host {}",
                                               vm->meta.name, vm->status.placement->host.name)));
    if (task.spec.goal == TaskGoal::unclaimed_removed && !task.status.sent) {
        move_task(tx, task.meta.id, TaskPhase::cancelled);
        return after(tx, task, {});
    }
    const bool can_end = task.spec.goal == TaskGoal::image_import || task.spec.goal == TaskGoal::vm_migrate ||
                         task.spec.goal == TaskGoal::host_drain || task.spec.goal == TaskGoal::host_return;
    if (task.spec.goal == TaskGoal::unclaimed_removed)
        return fail(error(Code::conflict, "host {} was told to remove it: that can't be taken back any more",
                          task.spec.removal->host.name));
    if (!can_end)
        return fail(
            error(Code::conflict, "a {} can't be cancelled", text_of(task.spec.goal))
                .with_hint(
                    "ask for the opposite instead, e.g. stop after start: the newer wish replaces the older one"));
    move_task(tx, task.meta.id, TaskPhase::cancelling);
    return after(tx, task, {});
}

// Of a disk that is there; one that is yet to be made is made as large as it is to be.
bool grows(const Volume& before, const Volume& after) {
    return before.status.made && after.spec.size > before.spec.size;
}

}  // namespace

// The name that a disk had may be another's by now: then it comes back as VM-DISK, or with a part of its id.
std::string free_volume_name(const World& world, const Volume& volume, const std::string& vm, const std::string& disk) {
    const auto is_free = [&](const std::string& name) {
        return !why_no_name(info_of(Kind::volume), name) && !world.named(Kind::volume, volume.meta.project.id, name);
    };
    if (is_free(volume.meta.name)) return volume.meta.name;
    const std::string after_vm = vm + "-" + disk;
    if (is_free(after_vm)) return after_vm;
    return fmt::format("{}-{}", disk.substr(0, 50), volume.meta.id.str().substr(24));
}

Result<Mutated> act_on(Transaction& tx, const Mutation& m, const ObjectPtr& object) {
    if (find_action(m.target.kind, m.action) == nullptr) {
        std::string known;
        for (const ActionInfo& a : all_actions()) {
            if (a.kind == m.target.kind) known += (known.empty() ? "" : ", ") + std::string(a.name);
        }
        return fail(Code::not_found, "a {} has no action \"{}\"; it has {}", text_of(m.target.kind), m.action,
                    known.empty() ? "none" : known);
    }
    if (m.action == "restore") return restore(tx, m, object);
    if (m.target.kind == Kind::task) return cancel(tx, object);
    TRY_VOID(needs_life(*object));
    if (m.target.kind == Kind::image) return import_again(tx, m, object);
    if (m.action == "drain") return drain(tx, m, object);
    if (m.action == "undrain") return undrain(tx, m, object);
    if (m.target.kind == Kind::host) return cordon(tx, object, m.action == "cordon");
    if (m.action == "start") return start(tx, m, object);
    if (m.action == "stop") return stop(tx, m, object);
    if (m.action == "pause") return pause(tx, m, object);
    if (m.action == "resume") return resume(tx, m, object);
    if (m.action == "migrate") return migrate(tx, m, object);
    if (m.action == "attach") return attach(tx, m, object);
    if (m.action == "detach") return detach(tx, m, object);
    return order(tx, m, object, m.action == "reset" ? TaskGoal::vm_reset : TaskGoal::vm_reboot);
}

Uuid task_for_change(Transaction& tx, const std::string& requester, const Object& after, const Object* before) {
    switch (after.kind()) {
        case Kind::vm: {
            const Vm& vm = static_cast<const Vm&>(after);
            const Vm* was = static_cast<const Vm*>(before);
            const TaskGoal goal = vm.spec.power == Power::running  ? TaskGoal::vm_running
                                  : vm.spec.power == Power::paused ? TaskGoal::vm_paused
                                                                   : TaskGoal::vm_stopped;
            if (was != nullptr && was->spec.power == vm.spec.power && was->spec.start_serial == vm.spec.start_serial)
                return was->meta.generation == vm.meta.generation ? Uuid{}
                                                                  : make_task(tx, TaskGoal::vm_changed, vm, requester);
            return make_task(tx, goal, vm, requester);
        }
        case Kind::volume:
            return before == nullptr || grows(static_cast<const Volume&>(*before), static_cast<const Volume&>(after))
                       ? make_task(tx, TaskGoal::volume_ready, after, requester)
                       : Uuid{};
        case Kind::image:
            return before == nullptr ? make_task(tx, TaskGoal::image_import, after, requester) : Uuid{};
        default:
            return {};
    }
}

}  // namespace axle
