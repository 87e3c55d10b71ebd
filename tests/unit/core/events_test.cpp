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
    CHECK(vm_change([](Vm& v) { v.status.phase = VmPhase::stopping; }) == "Stopping");
    CHECK(vm_change([](Vm& v) { v.status.phase = VmPhase::stopped; }, VmPhase::stopping) == "Stopped");
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
    // A host's report stands among the conditions as well: it is told once.
    bad.status.report.conditions =
        bad.status.conditions = {{"NoAddress", true, "KernelSeen", "no address after 60 s", ""}};
    CHECK(said(&fine, &bad) == "NoAddress!");
    CHECK(said(&bad, &fine) == "Mended");
    Vm longer = bad;
    longer.status.conditions[0].message = "no address after 90 s";
    CHECK(said(&bad, &longer) == "");
    longer.status.conditions[0].reason = "DhcpAsked";
    CHECK(said(&bad, &longer) == "NoAddress!");
    Vm waiting = fine;
    waiting.status.conditions = {{"Scheduled", false, "NoCapacity", "no host has room", ""}};
    CHECK(said(&fine, &waiting) == "NoCapacity!");
    CHECK(events_of(&fine, &waiting)[0].message == "vm web has a trouble: no host has room");
    Vm failing = fine;
    failing.status.conditions = {{"Ready", false, "no-space", "the disk is full", ""}};
    CHECK(said(&fine, &failing) == "NoSpace!");
}

TEST_CASE("what goes on by itself is no trouble, and what a machine lacks is said once") {
    struct Row {
        const char *type, *reason, *told;
    };
    for (const Row& row : {Row{"Ready", "Preparing", ""}, Row{"Ready", "Stopping", ""}, Row{"Ready", "Moving", ""},
                           Row{"Ready", "CrashBackOff", ""}, Row{"Ready", "Waiting", "Waiting!"},
                           Row{"Scheduled", "ImagePending", "ImagePending"}}) {
        CAPTURE(row.reason);
        const Vm before = vm_in(VmPhase::creating);
        Vm after = before;
        after.status.conditions = {{row.type, false, row.reason, "its image is importing", ""}};
        CHECK(said(&before, &after) == row.told);
        CHECK(said(&after, &before).find("Mended") == (std::string(row.told).ends_with('!') ? 0 : std::string::npos));
    }
    Volume made, waits;
    waits.status.conditions = {{"Placed", false, "WaitsForVm", "it is made when a VM that uses it is placed", ""}};
    CHECK(said(&made, &waits) == "WaitsForVm");
    CHECK(said(&waits, &made) == "");
    Host plain, slow;
    plain.meta.name = slow.meta.name = "h1";
    slow.status.facts.conditions = {{"NoAccelerator", true, "NoKvm", "guests are emulated", ""}};
    CHECK(said(&plain, &slow) == "NoAccelerator");
    CHECK(events_of(&plain, &slow)[0].message == "host h1: guests are emulated");
}

TEST_CASE("of a move its begin and its end are told, not how the guest stands still meanwhile") {
    Vm there = vm_in(VmPhase::running);
    there.status.placement = VmPlacement{{Uuid{}, "h1"}, {1, 2}};
    Vm moving = there;
    moving.status.migration = VmMigration{.host = {Uuid{}, "h2"}, .live = true, .epoch = {1, 3}};
    CHECK(said(&there, &moving) == "Moving");
    Vm halted = moving;
    halted.status.phase = VmPhase::paused;
    CHECK(said(&moving, &halted) == "");
    CHECK(said(&halted, &moving) == "");
    Vm moved = there;
    moved.status.placement = VmPlacement{{Uuid{}, "h2"}, {1, 3}};
    CHECK(said(&moving, &moved) == "Moved");
    CHECK(said(&moving, &there) == "MoveEnded");
    Vm died = moving;
    died.status.phase = VmPhase::crashed;
    CHECK(said(&moving, &died) == "Crashed!");
    moving.status.migration->live = halted.status.migration->live = false;
    halted.status.phase = VmPhase::stopped;
    CHECK(said(&moving, &halted) == "");
}

TEST_CASE("a failure is told once, by what it happened to, with its cause") {
    Image importing, failed;
    importing.status.phase = ImagePhase::importing;
    failed.status.phase = ImagePhase::failed;
    failed.status.conditions = {{"Ready", false, "ImportFailed", "the server said 404", ""}};
    CHECK(said(&importing, &failed) == "Failed!");
    CHECK(events_of(&importing, &failed)[0].message.find("404") != std::string::npos);
    Task task, ended;
    task.spec.goal = ended.spec.goal = TaskGoal::image_import;
    ended.status.phase = TaskPhase::failed;
    CHECK(said(&task, &ended) == "");
    ended.spec.goal = TaskGoal::vm_stopped;
    ended.status.error = TaskError{"stop-timed-out", "the guest did not shut down", ""};
    CHECK(said(&task, &ended) == "");
    ended.status.error->code = "guest-is-off";
    CHECK(said(&task, &ended) == "TaskFailed!");
    Host joined;
    joined.status.enrolled = 1;
    CHECK(said(nullptr, &joined) == "Joined");
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
    failed.status.error = TaskError{"aborted", "the line was cut", ""};
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
