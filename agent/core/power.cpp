#include "agent/core/power.hpp"

#include <algorithm>

#include "agent/core/planted.hpp"

namespace axle {

RunEnd resolve_end(const VmDocument& document, const RunRecord& run, const HostMoment& host, RunEnd observed,
                   RunEnd told) {
    if (!host.going_down_boot.empty() && run.boot_id == host.going_down_boot) return RunEnd::host_down;
    if (run.boot_id != host.boot_id) return RunEnd::unknown;  // went with the host: started after the new boot
    const bool pressed = run.stopping_until_ms > 0 && host.now.ms <= run.stopping_until_ms;
    if (document.power == Power::stopped || pressed) return RunEnd::stopped_by_us;
    // What libvirt says now is fresher than an event, which may be late and of an earlier run.
    if (observed != RunEnd::none && observed != RunEnd::unknown) return observed;
    return told == RunEnd::none ? RunEnd::unknown : told;
}

bool wants_run(const VmDocument& document, const RunRecord& run, const HostMoment& host) {
    if (document.power == Power::stopped) return false;
    if (run.serial != document.start_serial || run.ended == RunEnd::none) return true;
    if (run.ended == RunEnd::guest_shutdown)
        return document.on_guest_shutdown == OnGuestShutdown::restart || planted().forget_guest_shutdown;
    if (follows_on_crash(run.ended)) return document.on_crash == OnCrash::restart || run.boot_id != host.boot_id;
    return true;  // stopped by us, and wanted again; or the host went down and is up again
}

RunRecord after_start(const VmDocument& document, RunRecord run, const HostMoment& host) {
    if (run.serial != document.start_serial || run.boot_id != host.boot_id) {
        run.crashes = 0;
        run.crashes_since_ms = 0;
        run.restarts = 0;
    }
    const bool same_domain_run = run.open() && run.boot_id == host.boot_id;
    if (!same_domain_run) run.stopping_until_ms = 0;  // the pressed button was that of an earlier run
    run.vm = document.id;
    run.serial = document.start_serial;
    run.boot_id = host.boot_id;
    run.ended = RunEnd::none;
    return run;
}

RunRecord after_end(const VmDocument& document, RunRecord run, const HostMoment& host, RunEnd end) {
    if (!run.open() || run.boot_id.empty()) {  // over before it was recorded
        run.serial = document.start_serial;
        run.boot_id = host.boot_id;
    }
    run.vm = document.id;
    run.ended = end;
    run.stopping_until_ms = 0;
    if (follows_on_crash(end) && run.boot_id == host.boot_id) {
        ++run.restarts;
        const bool quiet = host.now.ms - run.crashes_since_ms > kCrashWindow.count();
        if (run.crashes == 0 || quiet) {
            run.crashes = 0;
            run.crashes_since_ms = host.now.ms;
        }
        ++run.crashes;
    }
    return run;
}

milliseconds crash_delay(const RunRecord& run) {
    if (!follows_on_crash(run.ended) || run.crashes == 0) return milliseconds{0};
    return std::min<milliseconds>(seconds{1} * (1LL << std::min<std::int64_t>(run.crashes - 1, 6)), seconds{60});
}

bool in_crash_loop(const RunRecord& run, const HostMoment& host) {
    return run.boot_id == host.boot_id && run.crashes > kCrashLimit &&
           host.now.ms - run.crashes_since_ms <= kCrashWindow.count();
}

}  // namespace axle
