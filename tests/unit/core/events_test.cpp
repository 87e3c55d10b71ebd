// What people read in the history, for each kind of change.
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "common/model/compute.hpp"
#include "common/model/fleet.hpp"
#include "common/model/storage.hpp"
#include "orchestrator/core/event_rules.hpp"

using namespace axle;

namespace {

Vm vm_in(VmPhase phase) {
    Vm vm;
    vm.meta.name = "web";
    vm.status.phase = phase;
    return vm;
}
// "reason" or "reason!" for a warning, joined by spaces.
std::string said(const Object* before, const Object* after) {
    std::string out;
    for (const EventText& e : events_of(before, after))
        out += (out.empty() ? "" : " ") + e.reason + (e.warning ? "!" : "");
    return out;
}
template <typename F>
std::string vm_change(F&& change, VmPhase from = VmPhase::running) {
    const Vm before = vm_in(from);
    Vm after = before;
    change(after);
    return said(&before, &after);
}

}  // namespace

TEST_CASE("the life of a VM is told: made, placed, its phases, deleted, restored, gone") {
    const Vm pending = vm_in(VmPhase::pending);
    CHECK(said(nullptr, &pending) == "Created");
    CHECK(said(&pending, nullptr) == "Removed");
    CHECK(vm_change([](Vm& v) { v.status.placement = VmPlacement{{Uuid{}, "h1"}, {1, 2}}; }) == "Placed");
    CHECK(vm_change([](Vm& v) { v.status.phase = VmPhase::paused; }) == "Paused");
    CHECK(vm_change([](Vm& v) { v.status.phase = VmPhase::crashed; }) == "Crashed!");
    CHECK(vm_change([](Vm& v) { v.status.phase = VmPhase::running; }, VmPhase::starting) == "Running");
    CHECK(vm_change([](Vm& v) { v.status.phase = VmPhase::starting; }, VmPhase::creating) == "");
    // That a host is silent and speaks again is told once, of the host; not of each of its VMs.
    CHECK(vm_change([](Vm& v) { v.status.phase = VmPhase::unknown; }) == "");
    CHECK(vm_change([](Vm& v) { v.status.phase = VmPhase::running; }, VmPhase::unknown) == "");
    CHECK(vm_change([](Vm& v) { v.status.phase = VmPhase::crashed; }, VmPhase::unknown) == "Crashed!");
    CHECK(vm_change([](Vm& v) {
              v.meta.deletion = Deletion{};
              v.status.phase = VmPhase::deleted;
          }) == "Deleted");
    CHECK(vm_change([](Vm& v) { v.meta.name = "www"; }) == "Renamed");
    Vm deleted = vm_in(VmPhase::deleted), restored = vm_in(VmPhase::stopped);
    deleted.meta.deletion = Deletion{};
    CHECK(said(&deleted, &restored) == "Restored");
}

TEST_CASE("a trouble is told when it comes, changes its reason and is over, not when its numbers change") {
    Vm fine = vm_in(VmPhase::running), bad = fine;
    bad.status.report.conditions = {{"NoAddress", true, "KernelSeen", "no address after 60 s", ""}};
    CHECK(said(&fine, &bad) == "NoAddress!");
    CHECK(said(&bad, &fine) == "Mended");
    Vm longer = bad;
    longer.status.report.conditions[0].message = "no address after 90 s";
    CHECK(said(&bad, &longer) == "");
    longer.status.report.conditions[0].reason = "DhcpAsked";
    CHECK(said(&bad, &longer) == "NoAddress!");
    Vm waiting = fine;
    waiting.status.conditions = {{"Scheduled", false, "NoCapacity", "no host has room", ""}};
    CHECK(said(&fine, &waiting) == "Scheduled!");
    CHECK(events_of(&fine, &waiting)[0].message == "vm web has a trouble: no host has room");
}

TEST_CASE("hosts, volumes and tasks tell what a person must know") {
    Host up, down;
    up.status.connected = true;
    CHECK(said(&down, &up) == "Connected");
    CHECK(said(&up, &down) == "Disconnected!");
    Volume made, lost;
    made.status.phase = VolumePhase::ready;
    lost.status.phase = VolumePhase::lost;
    CHECK(said(&made, &lost) == "Lost!");
    Task running, failed;
    running.meta.name = failed.meta.name = "t";
    failed.status.phase = TaskPhase::failed;
    failed.spec.target = {"vm", Uuid{}, "web"};
    failed.status.error = TaskError{"stop-timed-out", "the guest did not shut down", ""};
    CHECK(said(nullptr, &running) == "");
    CHECK(said(&running, &failed) == "TaskFailed!");
    CHECK(said(&failed, &failed) == "");
    const auto record =
        nlohmann::json::parse(event_record(events_of(&running, &failed)[0], failed, "2027-01-15T00:00:00Z"));
    CHECK(record["kind"] == "vm");
    CHECK(record["name"] == "web");
    CHECK(record["type"] == "warning");
    CHECK(record["at"] == "2027-01-15T00:00:00Z");
}
