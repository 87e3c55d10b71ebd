#include "orchestrator/core/event_rules.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "common/model/compute.hpp"
#include "common/model/fleet.hpp"
#include "common/model/network.hpp"
#include "common/model/storage.hpp"
#include "orchestrator/core/severity.hpp"
#include "orchestrator/core/vm_rules.hpp"

namespace axle {
namespace {

using Conditions = std::vector<Condition>;

// One change of one object, and what is told of it.
struct Telling {
    const Object* before;
    const Object& after;
    std::string subject;  // "vm web1"
    std::vector<EventText> out;

    void normal(std::string reason, const std::string& what) {
        out.push_back({false, std::move(reason), subject + " " + what});
    }
    void warn(std::string reason, const std::string& what) {
        out.push_back({true, std::move(reason), subject + " " + what});
    }
    template <typename T>
    const T* former() const {
        return static_cast<const T*>(before);
    }
};

bool is_of(const Condition& c, Severity severity) {
    return severity_of(c) == severity;
}

const Condition* trouble(const Conditions& all, const std::string& type) {
    const Condition* found = find_condition(all, type);
    return found != nullptr && is_trouble(*found) ? found : nullptr;
}

// A trouble is told when it comes, when its reason changes, and when it is over; not when only its numbers change. A
// note, and what waits for a decision here, is told once; the steps of hosts are not: phases and moves tell of them.
void tell_condition(Telling& t, const Conditions& before, const Condition& now) {
    const Condition* then = find_condition(before, now.type);
    if (then != nullptr && severity_of(*then) == severity_of(now) && then->reason == now.reason) return;
    if (is_of(now, Severity::trouble)) t.warn(name_of(now), "has a trouble: " + now.message);
    if (is_of(now, Severity::step) && now.type != "Ready") t.normal(name_of(now), "waits: " + now.message);
    if (is_of(now, Severity::note)) t.out.push_back({false, name_of(now), t.subject + ": " + now.message});
}

void tell_conditions(Telling& t, const Conditions& before, const Conditions& after, bool ready_is_told = false) {
    for (const Condition& now : after) {
        if (now.type != "Ready" || !ready_is_told) tell_condition(t, before, now);
    }
    for (const Condition& then : before) {
        if (is_trouble(then) && trouble(after, then.type) == nullptr)
            t.normal("Mended", "no longer has this trouble: " + then.message);
    }
}

// What became of something, with the cause that its condition gives.
bool tell_loss(Telling& t, const char* reason, const std::string& what, const Conditions& now) {
    const Condition* why = trouble(now, "Ready");
    t.warn(reason, why == nullptr ? what : what + ": " + why->message);
    return true;
}

std::string how_it_ended(const VmReport& report) {
    if (report.last_end == RunEnd::none) return "";
    return fmt::format(" (how its run ended: {})", text_of(report.last_end));
}

void tell_place(Telling& t, const Vm& was, const Vm& vm) {
    const auto &before = was.status.migration, &move = vm.status.migration;
    const auto &from = was.status.placement, &place = vm.status.placement;
    const bool is_new = place && (!from || from->epoch != place->epoch);
    if (is_new && before && before->epoch == place->epoch)
        t.normal("Moved", "is on host " + place->host.name + " now");
    else if (is_new)
        t.normal("Placed", "goes to host " + place->host.name);
    if (move && !before)
        t.normal("Moving", fmt::format("moves from host {} to host {}, {}", place->host.name, move->host.name,
                                       move->live ? "live" : "switched off"));
    if (before && !move && place && from && place->epoch == from->epoch)  // why, its task tells
        t.normal("MoveEnded",
                 fmt::format("did not move to host {} and stays on host {}", before->host.name, place->host.name));
}

// A guest that moves is paused, or off, and runs again; one whose host was silent goes on as it was.
bool goes_on(const Vm& was, const Vm& vm) {
    const VmPhase phase = vm.status.phase;
    const bool on = phase == VmPhase::running || phase == VmPhase::paused;
    if (was.status.phase == VmPhase::unknown) return on;
    if (!vm.status.migration) return false;
    return on || (!vm.status.migration->live && (phase == VmPhase::stopped || phase == VmPhase::stopping));
}

void tell_phase(Telling& t, const Vm& vm) {
    switch (vm.status.phase) {
        case VmPhase::crashed:
            return t.warn("Crashed", "died" + how_it_ended(vm.status.report));
        case VmPhase::stopping:
            return t.normal("Stopping", "is asked to shut down");
        case VmPhase::stopped:
            return t.normal("Stopped", "is off" + how_it_ended(vm.status.report));
        case VmPhase::running:
            return t.normal("Running", "is running");
        case VmPhase::paused:
            return t.normal("Paused", "is paused");
        default:
            return;
    }
}

void tell(Telling& t, const Vm& vm) {
    const Vm fresh;
    const Vm& was = t.before != nullptr ? *t.former<Vm>() : fresh;
    tell_place(t, was, vm);
    if (vm.meta.deletion && vm.status.addresses.size() < was.status.addresses.size())
        t.normal("AddressFreed", "gave up its address, which another VM needed; a restore gives it a new one");
    const bool told_as_deletion = vm.meta.deletion || was.meta.deletion;
    if (vm.status.phase != was.status.phase && !told_as_deletion && !goes_on(was, vm)) tell_phase(t, vm);
    tell_conditions(t, was.status.conditions, vm.status.conditions);  // with those of its host's report
}

void tell(Telling& t, const Volume& volume) {
    const Volume fresh;
    const Volume& was = t.before != nullptr ? *t.former<Volume>() : fresh;
    const VolumePhase phase = volume.status.phase;
    bool told = false;
    if (phase != was.status.phase) {
        if (phase == VolumePhase::lost) told = tell_loss(t, "Lost", "is lost", volume.status.conditions);
        if (phase == VolumePhase::failed) told = tell_loss(t, "Failed", "could not be made", volume.status.conditions);
        if (phase == VolumePhase::ready && !volume.meta.deletion && !was.meta.deletion) t.normal("Ready", "is ready");
    }
    tell_conditions(t, was.status.conditions, volume.status.conditions, told);
}

void tell(Telling& t, const Image& image) {
    const Image fresh;
    const Image& was = t.before != nullptr ? *t.former<Image>() : fresh;
    bool told = false;
    if (image.status.phase != was.status.phase) {
        if (image.status.phase == ImagePhase::ready) t.normal("Ready", "is ready");
        if (image.status.phase == ImagePhase::failed)
            told = tell_loss(t, "Failed", "could not be imported", image.status.conditions);
    }
    tell_conditions(t, was.status.conditions, image.status.conditions, told);
}

void tell(Telling& t, const Host& host) {
    const Host fresh;
    const Host& was = t.before != nullptr ? *t.former<Host>() : fresh;
    if (host.status.enrolled != was.status.enrolled) t.normal("Joined", "has joined");
    if (host.status.connected && !was.status.connected) t.normal("Connected", "is connected");
    if (!host.status.connected && was.status.connected) t.warn("Disconnected", "has no connection");
    if (host.spec.unschedulable != was.spec.unschedulable)
        t.normal(host.spec.unschedulable ? "Cordoned" : "Uncordoned",
                 host.spec.unschedulable ? "takes no new VMs" : "takes new VMs again");
    tell_conditions(t, was.status.conditions, host.status.conditions);
    tell_conditions(t, was.status.facts.conditions, host.status.facts.conditions);
}

template <typename T>
void tell_conditions_of(Telling& t, const T& object) {
    const T fresh;
    tell_conditions(t, t.before != nullptr ? t.former<T>()->status.conditions : fresh.status.conditions,
                    object.status.conditions);
}

void tell_life(Telling& t) {
    const auto& now = t.after.meta.deletion;
    const bool told_as_join = t.after.kind() == Kind::host && static_cast<const Host&>(t.after).status.enrolled != 0;
    if (t.before == nullptr) return told_as_join ? void() : t.normal("Created", "was created");
    const auto& was = t.before->meta.deletion;
    if (now && !was) t.normal("Deleted", now->final ? "is being removed for good" : "was deleted; it can be restored");
    if (!now && was) t.normal("Restored", "was restored");
    if (now && was && now->expunge_at < was->expunge_at) t.normal("Expunging", "goes for good before its time");
    if (t.before->meta.name != t.after.meta.name) t.normal("Renamed", "was called " + t.before->meta.name);
}

// Its target tells the same failure, with the same cause.
bool told_by_target(const Task& task) {
    const TaskGoal goal = task.spec.goal;
    return goal == TaskGoal::image_import || goal == TaskGoal::volume_ready ||
           (task.status.error && task.status.error->code == "stop-timed-out");
}

// Of a task only its failure: what it reached is told by its target.
std::vector<EventText> events_of_task(const Task* before, const Task& task) {
    if (task.spec.removal && (before == nullptr || task.status.phase == TaskPhase::succeeded)) {
        const bool over = task.status.phase == TaskPhase::succeeded;
        return {{!over, over ? "UnclaimedRemoved" : "RemovingUnclaimed",
                 fmt::format("unclaimed {} {} on host {} {}{}", task.spec.target.kind, task.spec.target.name,
                             task.spec.removal->host.name,
                             over ? "is gone for good" : "is to be removed for good, says " + task.spec.requester,
                             task.spec.removal->path.empty() ? "" : ": " + task.spec.removal->path)}};
    }
    if (task.status.phase != TaskPhase::failed || (before != nullptr && before->status.phase == TaskPhase::failed) ||
        told_by_target(task))
        return {};
    const std::string cause = task.status.error ? task.status.error->message : "no reason was given";
    return {{true, "TaskFailed",
             fmt::format("{} of {} {} failed: {}", text_of(task.spec.goal), task.spec.target.kind,
                         task.spec.target.name, cause)}};
}

}  // namespace

std::vector<EventText> events_of(const Object* before, const Object* after) {
    const Object& subject = after != nullptr ? *after : *before;
    const std::string name = fmt::format("{} {}", text_of(subject.kind()), subject.meta.name);
    if (subject.kind() == Kind::task)
        return after == nullptr ? std::vector<EventText>{}
                                : events_of_task(static_cast<const Task*>(before), static_cast<const Task&>(*after));
    if (after == nullptr) return {{false, "Removed", name + " is gone for good"}};
    Telling t{before, *after, name, {}};
    tell_life(t);
    switch (subject.kind()) {
        case Kind::vm:
            tell(t, static_cast<const Vm&>(*after));
            break;
        case Kind::volume:
            tell(t, static_cast<const Volume&>(*after));
            break;
        case Kind::image:
            tell(t, static_cast<const Image&>(*after));
            break;
        case Kind::host:
            tell(t, static_cast<const Host&>(*after));
            break;
        case Kind::network:
            tell_conditions_of(t, static_cast<const NetworkObject&>(*after));
            break;
        case Kind::portforward:
            tell_conditions_of(t, static_cast<const PortForward&>(*after));
            break;
        default:
            break;
    }
    return std::move(t.out);
}

std::string event_record(const EventText& event, const Object& object, const std::string& at) {
    std::string kind = text_of(object.kind()), id = object.meta.id.str(), name = object.meta.name;
    if (object.kind() == Kind::task) {
        const TaskTarget& target = static_cast<const Task&>(object).spec.target;
        kind = target.kind;
        id = target.id.str();
        name = target.name;
    }
    std::string text =
        fmt::format(R"({{"v":1,"at":"{}","type":"{}","reason":"{}","kind":"{}","id":"{}","project":"{}")", at,
                    event.warning ? "warning" : "normal", event.reason, kind, id,
                    object.meta.project ? object.meta.project.id.str() : "");
    for (const auto& [field, value] :
         {std::pair{"projectName", &object.meta.project.name}, {"name", &name}, {"message", &event.message}}) {
        text += fmt::format(",\"{}\":", field);
        write_json_string(text, *value);
    }
    return text + '}';
}

}  // namespace axle
