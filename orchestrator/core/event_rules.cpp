#include "orchestrator/core/event_rules.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "common/model/compute.hpp"
#include "common/model/fleet.hpp"
#include "common/model/network.hpp"
#include "common/model/storage.hpp"
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

// "shut-off" -> "ShutOff": the phases' own words are the reasons.
std::string camel_case(std::string_view words) {
    std::string out;
    bool upper = true;
    for (const char c : words) {
        if (c == '-') {
            upper = true;
            continue;
        }
        out += upper && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
        upper = false;
    }
    return out;
}

const Condition* trouble(const Conditions& all, const std::string& type) {
    const Condition* found = find_condition(all, type);
    return found != nullptr && is_trouble(*found) ? found : nullptr;
}

// A trouble is told when it comes, when its reason changes, and when it is over; not when only its numbers change.
void tell_conditions(Telling& t, const Conditions& before, const Conditions& after) {
    for (const Condition& now : after) {
        if (!is_trouble(now)) continue;
        const Condition* then = trouble(before, now.type);
        if (then == nullptr || then->reason != now.reason) t.warn(now.type, "has a trouble: " + now.message);
    }
    for (const Condition& then : before)
        if (is_trouble(then) && trouble(after, then.type) == nullptr)
            t.normal("Mended", fmt::format("no longer has the trouble {}", then.type));
}

std::string how_it_ended(const VmReport& report) {
    if (report.last_end == RunEnd::none) return "";
    return fmt::format(" (how its run ended: {})", text_of(report.last_end));
}

void tell(Telling& t, const Vm& vm) {
    const Vm fresh;
    const Vm& was = t.before != nullptr ? *t.former<Vm>() : fresh;
    if (vm.status.placement && (!was.status.placement || was.status.placement->epoch != vm.status.placement->epoch))
        t.normal("Placed", "goes to host " + vm.status.placement->host.name);
    if (vm.status.migration && !was.status.migration)
        t.normal("Moving",
                 fmt::format("moves from host {} to host {}, {}", vm.status.placement->host.name,
                             vm.status.migration->host.name, vm.status.migration->live ? "live" : "switched off"));
    if (was.status.migration && !vm.status.migration && vm.status.placement->epoch == was.status.placement->epoch)
        t.warn("MoveEnded", fmt::format("did not move to host {} and stays on host {}", was.status.migration->host.name,
                                        vm.status.placement->host.name));
    if (vm.meta.deletion && vm.status.addresses.size() < was.status.addresses.size())
        t.normal("AddressFreed", "gave up its address, which another VM needed; a restore gives it a new one");
    const VmPhase phase = vm.status.phase;
    const bool told_as_deletion = vm.meta.deletion || was.meta.deletion;
    if (phase != was.status.phase && !told_as_deletion) {
        if (phase == VmPhase::crashed)
            t.warn("Crashed", "died" + how_it_ended(vm.status.report));
        else if (phase == VmPhase::stopped)
            t.normal("Stopped", "is off" + how_it_ended(vm.status.report));
        else if ((phase == VmPhase::running || phase == VmPhase::paused) && was.status.phase != VmPhase::unknown)
            t.normal(camel_case(text_of(phase)), fmt::format("is {}", text_of(phase)));
    }
    tell_conditions(t, was.status.conditions, vm.status.conditions);
    tell_conditions(t, was.status.report.conditions, vm.status.report.conditions);
}

void tell(Telling& t, const Volume& volume) {
    const Volume fresh;
    const Volume& was = t.before != nullptr ? *t.former<Volume>() : fresh;
    const VolumePhase phase = volume.status.phase;
    if (phase != was.status.phase) {
        if (phase == VolumePhase::lost) t.warn("Lost", "was made, and its file is missing");
        if (phase == VolumePhase::failed) t.warn("Failed", "could not be made");
        if (phase == VolumePhase::ready && !volume.meta.deletion && !was.meta.deletion) t.normal("Ready", "is ready");
    }
    tell_conditions(t, was.status.conditions, volume.status.conditions);
}

void tell(Telling& t, const Image& image) {
    const Image fresh;
    const Image& was = t.before != nullptr ? *t.former<Image>() : fresh;
    if (image.status.phase != was.status.phase) {
        if (image.status.phase == ImagePhase::ready) t.normal("Ready", "is ready");
        if (image.status.phase == ImagePhase::failed) t.warn("Failed", "could not be imported");
    }
    tell_conditions(t, was.status.conditions, image.status.conditions);
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
    if (t.before == nullptr) return t.normal("Created", "was created");
    const auto& was = t.before->meta.deletion;
    if (now && !was) t.normal("Deleted", now->final ? "is being removed for good" : "was deleted; it can be restored");
    if (!now && was) t.normal("Restored", "was restored");
    if (now && was && now->expunge_at < was->expunge_at) t.normal("Expunging", "goes for good before its time");
    if (t.before->meta.name != t.after.meta.name) t.normal("Renamed", "was called " + t.before->meta.name);
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
    if (task.status.phase != TaskPhase::failed || (before != nullptr && before->status.phase == TaskPhase::failed))
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
