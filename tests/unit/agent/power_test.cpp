#include "agent/core/power.hpp"

#include <doctest/doctest.h>

using namespace axle;

namespace {

VmDocument document(Power power = Power::running, std::int64_t serial = 3) {
    return {.power = power, .start_serial = serial};
}
RunRecord run(RunEnd ended, std::int64_t serial = 3, std::string boot = "b2") {
    return {.serial = serial, .boot_id = std::move(boot), .ended = ended};
}
const HostMoment kHost{.boot_id = "b2", .now = {1'000'000}};

}  // namespace

TEST_CASE("whether a guest should run follows its document and how its run ended") {
    struct Row {
        const char* claim;
        VmDocument document;
        RunRecord run;
        bool wants;
    };
    auto restarting = document();
    restarting.on_guest_shutdown = OnGuestShutdown::restart;
    auto staying = document();
    staying.on_crash = OnCrash::stay_off;
    const Row rows[] = {
        {"never started, wanted running: starts", document(), {}, true},
        {"wanted paused: starts", document(Power::paused), {}, true},
        {"wanted stopped: stays off", document(Power::stopped), {}, false},
        {"runs already: wanted", document(), run(RunEnd::none), true},
        {"shut itself down: holds for its serial", document(), run(RunEnd::guest_shutdown), false},
        {"shut itself down: holds over a reboot of the host", document(), run(RunEnd::guest_shutdown, 3, "b1"), false},
        {"shut itself down, started by a person since: starts", document(Power::running, 4),
         run(RunEnd::guest_shutdown), true},
        {"shut itself down, wanted back: starts", restarting, run(RunEnd::guest_shutdown), true},
        {"crashed: starts", document(), run(RunEnd::crashed), true},
        {"virsh destroy follows onCrash", document(), run(RunEnd::destroyed), true},
        {"virsh destroy, onCrash stay-off: stays off", staying, run(RunEnd::destroyed), false},
        {"crashed, onCrash stay-off: stays off", staying, run(RunEnd::crashed), false},
        {"crashed before a reboot, onCrash stay-off: starts after it", staying, run(RunEnd::crashed, 3, "b1"), true},
        {"cause unknown, onCrash stay-off: stays off in this boot", staying, run(RunEnd::unknown), false},
        {"went with the host: starts", staying, run(RunEnd::host_down, 3, "b1"), true},
        {"stopped by us and wanted again: starts", document(), run(RunEnd::stopped_by_us), true},
    };
    for (const Row& row : rows) {
        CAPTURE(row.claim);
        CHECK(wants_run(row.document, row.run, kHost) == row.wants);
    }
}

TEST_CASE("how a run ended follows libvirt, the event, and what we did") {
    struct Row {
        const char* claim;
        VmDocument document;
        RunRecord run;
        HostMoment host;
        RunEnd observed, told, end;
    };
    auto pressed = run(RunEnd::none);
    pressed.stopping_until_ms = 1'000'500;
    auto pressed_long_ago = run(RunEnd::none);
    pressed_long_ago.stopping_until_ms = 999'999;
    HostMoment down = kHost;
    down.going_down_boot = "b2";
    HostMoment was_down = kHost;
    was_down.going_down_boot = "b1";
    const auto open = run(RunEnd::none);
    const auto before_boot = run(RunEnd::none, 3, "b1");
    using enum RunEnd;
    const Row rows[] = {
        {"libvirt says shutdown in the same boot: clean", document(), open, kHost, guest_shutdown, none,
         guest_shutdown},
        {"libvirt says nothing: the event counts", document(), open, kHost, unknown, guest_shutdown, guest_shutdown},
        {"an event of an earlier run does not hide a crash", document(), open, kHost, crashed, guest_shutdown, crashed},
        {"nobody says anything: unknown", document(), open, kHost, none, none, unknown},
        {"the boot is another: unknown, whatever libvirt says", document(), before_boot, kHost, guest_shutdown, none,
         unknown},
        {"the host was going down: not the guest's wish", document(), open, down, guest_shutdown, guest_shutdown,
         host_down},
        {"it went with the last boot's shutdown", document(), before_boot, was_down, unknown, none, host_down},
        {"wanted stopped: ours", document(Power::stopped), open, kHost, guest_shutdown, none, stopped_by_us},
        {"the button was pressed and it is wanted again: ours", document(), pressed, kHost, guest_shutdown, none,
         stopped_by_us},
        {"the button was pressed long ago: its own", document(), pressed_long_ago, kHost, guest_shutdown, none,
         guest_shutdown},
    };
    for (const Row& row : rows) {
        CAPTURE(row.claim);
        CHECK(resolve_end(row.document, row.run, row.host, row.observed, row.told) == row.end);
    }
}

TEST_CASE("crashes slow the restarts down, then stop them, and quiet heals") {
    HostMoment host = kHost;
    RunRecord record = after_start(document(), {}, host);
    milliseconds last{0};
    for (int i = 1; i <= 5; ++i) {
        record = after_end(document(), record, host, RunEnd::crashed);
        CHECK(record.restarts == i);
        CHECK(crash_delay(record) > last);
        last = crash_delay(record);
        CHECK_FALSE(in_crash_loop(record, host));
        record = after_start(document(), record, host);
    }
    record = after_end(document(), record, host, RunEnd::crashed);
    CHECK(in_crash_loop(record, host));

    SUBCASE("after the window it is tried again, and counted anew") {
        host.now = host.now + kCrashWindow + milliseconds{1};
        CHECK_FALSE(in_crash_loop(record, host));
        record = after_end(document(), after_start(document(), record, host), host, RunEnd::crashed);
        CHECK(record.crashes == 1);
        CHECK(record.restarts == 7);
    }
    SUBCASE("a start by a person forgets the crashes") {
        record = after_start(document(Power::running, 4), record, host);
        CHECK(record.crashes == 0);
        CHECK(record.restarts == 0);
    }
    SUBCASE("a new boot forgets the crashes") {
        host.boot_id = "b3";
        CHECK_FALSE(in_crash_loop(record, host));
        CHECK(after_start(document(), record, host).crashes == 0);
    }
}

TEST_CASE("a pressed button is remembered over a new start while the guest is still on") {
    RunRecord record = run(RunEnd::none, 3);
    record.stopping_until_ms = 1'000'500;
    CHECK(after_start(document(Power::running, 4), record, kHost).stopping_until_ms == 1'000'500);
    record.ended = RunEnd::stopped_by_us;
    CHECK(after_start(document(Power::running, 4), record, kHost).stopping_until_ms == 0);
}
