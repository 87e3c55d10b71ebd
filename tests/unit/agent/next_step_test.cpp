#include "agent/core/next_step.hpp"

#include <doctest/doctest.h>

using namespace axle;

namespace axle {
static doctest::String toString(Step step) {
    static const char* const names[] = {
        "none",       "wait",     "record_run",   "record_end", "note_stop", "make_seed", "check",  "define",
        "start",      "suspend",  "resume",       "ask",        "destroy",   "attach",    "detach", "attach_nic",
        "detach_nic", "undefine", "remove_files", "drop_taps",  "finish",    "begin",     "send",   "abort",
        "hand_over",  "tell",     "expect",       "accept",     "dismiss"};
    return names[static_cast<int>(step)];
}
}  // namespace axle

namespace {

const VolumeId kRoot{*Uuid::parse("01890000-0000-7000-8000-000000000001")};
const VolumeId kData{*Uuid::parse("01890000-0000-7000-8000-000000000002")};

// A guest that runs as wished, and all that is known of it; a row changes what it is about.
struct Scene {
    VmDocument document{.epoch = {1, 5}, .power = Power::running, .start_serial = 1};
    VmWish wish{.epoch = {1, 5}, .hardware_hash = "h"};
    DomainObservation seen{
        .state = DomainState::running, .epoch = {1, 5}, .hardware_hash = "h", .live_fixed_hash = "h"};
    VmMemory memory{.run = {.serial = 1, .boot_id = "b"}, .host = {.boot_id = "b", .now = {1000}}, .seed_made = true};

    Scene() {
        document.disks = {{.name = "root", .volume = kRoot, .boot_order = 1}};
        seen.live_disks = {{"root", kRoot}};
    }
    StepDecision decide() {
        wish.document = &document;
        return next_step(wish, seen, memory);
    }
    void off(RunEnd ended) {
        seen.state = DomainState::shut_off;
        seen.live_disks.clear();
        seen.live_fixed_hash.clear();
        memory.run.ended = ended;
    }
};

}  // namespace

TEST_CASE("the next step of a guest") {
    struct Row {
        const char* claim;
        Step step;
        void (*change)(Scene&);
    };
    const Row rows[] = {
        {"runs as wished: nothing", Step::none, [](Scene&) {}},
        {"runs, not recorded in this boot: recorded", Step::record_run, [](Scene& s) { s.memory.run.boot_id = "a"; }},
        {"runs, a new start was wished: recorded, not started again", Step::record_run,
         [](Scene& s) { s.document.start_serial = 2; }},
        {"is off, its run is open: the end is recorded first", Step::record_end, [](Scene& s) { s.off(RunEnd::none); }},
        {"a start was answered and it is off again: recorded", Step::record_end,
         [](Scene& s) { s.off(RunEnd::crashed), s.memory.started = true; }},
        {"shut itself down: nothing", Step::none, [](Scene& s) { s.off(RunEnd::guest_shutdown); }},
        {"off, wanted: its volumes are checked before it starts", Step::check_volumes,
         [](Scene& s) { s.off(RunEnd::host_down); }},
        {"its seed comes first", Step::make_seed,
         [](Scene& s) { s.off(RunEnd::host_down), s.memory.seed_made = false; }},
        {"checked: starts", Step::start, [](Scene& s) { s.off(RunEnd::host_down), s.memory.volumes_checked = true; }},
        {"checked, another definition: defined first", Step::define,
         [](Scene& s) { s.off(RunEnd::host_down), s.memory.volumes_checked = true, s.seen.hardware_hash = "x"; }},
        {"checked, an older epoch in the definition: defined first", Step::define,
         [](Scene& s) {
             s.off(RunEnd::host_down), s.memory.volumes_checked = true, s.seen.epoch = {1, 4};
         }},
        {"the domain is of a later epoch: untouched", Step::wait,
         [](Scene& s) {
             s.off(RunEnd::host_down), s.seen.epoch = {2, 1};
         }},
        {"something is missing: waits", Step::wait,
         [](Scene& s) { s.off(RunEnd::host_down), s.memory.missing = "disk root is lost"; }},
        {"not confirmed on a shared pool: waits", Step::wait,
         [](Scene& s) { s.off(RunEnd::host_down), s.memory.confirmed = false; }},
        {"the host goes down: no start", Step::wait,
         [](Scene& s) { s.off(RunEnd::host_down), s.memory.host.going_down_boot = "b"; }},
        {"crashed, back-off not over: waits", Step::wait,
         [](Scene& s) { s.off(RunEnd::crashed), s.memory.restart_due = false; }},
        {"crash loop: waits", Step::wait,
         [](Scene& s) { s.off(RunEnd::crashed), s.memory.run.crashes = 6, s.memory.run.crashes_since_ms = 900; }},
        {"crashed and kept by libvirt: powered off", Step::destroy,
         [](Scene& s) { s.off(RunEnd::crashed), s.seen.state = DomainState::crashed; }},

        {"wanted stopped: the wish to stop is noted first", Step::note_stop,
         [](Scene& s) { s.document.power = Power::stopped; }},
        {"noted: asked", Step::ask_shutdown,
         [](Scene& s) { s.document.power = Power::stopped, s.memory.stop_noted = s.memory.ask_due = true; }},
        {"asked: waits", Step::wait, [](Scene& s) { s.document.power = Power::stopped, s.memory.stop_noted = true; }},
        {"paused and wanted stopped: resumed, it could not hear", Step::resume,
         [](Scene& s) {
             s.document.power = Power::stopped, s.memory.stop_noted = true, s.seen.state = DomainState::paused;
         }},
        {"did not obey in time: runs on", Step::none,
         [](Scene& s) { s.document.power = Power::stopped, s.memory.stop_noted = s.memory.stop_expired = true; }},
        {"forced: powered off", Step::destroy,
         [](Scene& s) { s.document.power = Power::stopped, s.document.force_stop = true; }},
        {"off and wanted stopped: nothing", Step::none,
         [](Scene& s) { s.off(RunEnd::stopped_by_us), s.document.power = Power::stopped; }},

        {"changed hardware while it runs: defined only", Step::define, [](Scene& s) { s.seen.hardware_hash = "x"; }},
        {"changed hardware, defined: nothing, it needs a reboot", Step::none,
         [](Scene& s) { s.seen.live_fixed_hash = "x"; }},
        {"a new data disk: attached", Step::attach_disk,
         [](Scene& s) { s.document.disks.push_back({.name = "data", .volume = kData}); }},
        {"a new data disk that isn't ready: waits", Step::wait,
         [](Scene& s) {
             s.document.disks.push_back({.name = "data", .volume = kData});
             s.memory.missing = "disk data is pending";
         }},
        {"something is missing and nothing is to be attached: nothing", Step::none,
         [](Scene& s) { s.memory.missing = "network blue is not ready"; }},
        {"a disk no longer wished: detached", Step::detach_disk,
         [](Scene& s) {
             s.seen.live_disks.push_back({"data", kData});
         }},
        {"another disk under a name: the old one goes first", Step::detach_disk,
         [](Scene& s) {
             s.document.disks.push_back({.name = "data", .volume = kData});
             s.seen.live_disks.push_back({"data", VolumeId{}});
         }},
        {"a new NIC: attached", Step::attach_nic, [](Scene& s) { s.document.nics.push_back({.name = "eth1"}); }},
        {"a new NIC whose network isn't ready: waits", Step::wait,
         [](Scene& s) {
             s.document.nics.push_back({.name = "eth1"});
             s.memory.missing = "network blue is not ready";
         }},
        {"a NIC no longer wished: detached", Step::detach_nic,
         [](Scene& s) {
             s.seen.live_nics = {{"eth1", "m"}};
         }},
        {"another card under a name: the old one goes first", Step::detach_nic,
         [](Scene& s) {
             s.document.nics.push_back({.name = "eth1", .mac = "n"});
             s.seen.live_nics = {{"eth1", "m"}};
         }},
        {"disks before NICs", Step::attach_disk,
         [](Scene& s) {
             s.document.nics.push_back({.name = "eth1"});
             s.document.disks.push_back({.name = "data", .volume = kData});
         }},
        {"another root disk: with the next start", Step::none, [](Scene& s) { s.document.disks[0].volume = kData; }},
        {"the edge tells no open disks: no hot-plug", Step::none,
         [](Scene& s) {
             s.seen.live_disks.clear();
             s.document.disks.push_back({.name = "data", .volume = kData});
         }},
        {"wanted paused: suspended", Step::suspend, [](Scene& s) { s.document.power = Power::paused; }},
        {"paused, wanted running: resumed", Step::resume, [](Scene& s) { s.seen.state = DomainState::paused; }},

        {"released, runs: powered off", Step::destroy, [](Scene& s) { s.wish.release = true; }},
        {"released, off: undefined", Step::undefine, [](Scene& s) { s.wish.release = true, s.off(RunEnd::none); }},
        {"released, a later placement's domain: untouched", Step::wait,
         [](Scene& s) {
             s.wish.release = true, s.seen.epoch = {1, 6};
         }},
        {"released, undefined: its seed and its log go", Step::remove_files,
         [](Scene& s) { s.wish.release = true, s.seen = {}; }},
        {"released, no seed: its taps go", Step::drop_taps,
         [](Scene& s) { s.wish.release = s.memory.files_removed = true, s.seen = {}; }},
        {"released, nothing left: finished", Step::finish,
         [](Scene& s) { s.wish.release = s.memory.files_removed = s.memory.taps_gone = true, s.seen = {}; }},
    };
    for (const Row& row : rows) {
        CAPTURE(row.claim);
        Scene scene;
        row.change(scene);
        CHECK(scene.decide().step == row.step);
    }
}

TEST_CASE("what is being made is a step on the way, what is in the way is told as such") {
    for (const bool comes : {false, true}) {
        Scene scene;
        scene.off(RunEnd::host_down);
        scene.memory.missing = "nic eth0 is being connected";
        scene.memory.missing_comes = comes;
        CHECK(scene.decide().reason == (comes ? "Preparing" : "Waiting"));
    }
}

TEST_CASE("no step ever powers off a guest that is kept and should run") {
    for (const DomainState state : {DomainState::running, DomainState::paused, DomainState::stopping}) {
        for (const Power power : {Power::running, Power::paused}) {
            for (int bits = 0; bits < 64; ++bits) {
                Scene scene;
                scene.document.power = power;
                scene.seen.state = state;
                scene.seen.hardware_hash = bits & 1 ? "h" : "x";
                scene.memory.seed_made = bits & 2;
                scene.memory.run.serial = bits & 4 ? 1 : 0;
                scene.memory.stop_noted = bits & 8;
                scene.memory.host.going_down_boot = bits & 16 ? "b" : "";
                scene.document.force_stop = bits & 32;
                const Step step = scene.decide().step;
                CHECK(step != Step::destroy);
                CHECK(step != Step::undefine);
                CHECK(step != Step::ask_shutdown);
            }
        }
    }
}
