// What a guest's power should be: the rules of DESIGN 4, Power. Pure.
#pragma once
#include <string>

#include "agent/core/records.hpp"
#include "agent/hypervisor/hypervisor.hpp"
#include "common/base/clock.hpp"

namespace axle {

constexpr bool is_on(DomainState state) {
    return state == DomainState::running || state == DomainState::paused || state == DomainState::stopping;
}
// Ends that follow onCrash: all that are neither the guest's own clean shutdown nor our doing.
constexpr bool follows_on_crash(RunEnd end) {
    return end == RunEnd::destroyed || end == RunEnd::crashed || end == RunEnd::failed || end == RunEnd::unknown;
}

// The host's side of the question.
struct HostMoment {
    std::string boot_id;
    BootTime now;
    std::string going_down_boot;  // boot in which the host began to shut down; empty: never
    bool going_down() const { return !going_down_boot.empty() && going_down_boot == boot_id; }
};

// How the open run ended, seen that the domain is off. told: cause that an event gave, none if it was missed.
RunEnd resolve_end(const VmDocument& document, const RunRecord& run, const HostMoment& host, RunEnd observed,
                   RunEnd told);
// Whether the guest should be running (or paused) now, apart from what it must wait for.
bool wants_run(const VmDocument& document, const RunRecord& run, const HostMoment& host);
// The record after a start was seen, and after an end was.
RunRecord after_start(const VmDocument& document, RunRecord run, const HostMoment& host);
RunRecord after_end(const VmDocument& document, RunRecord run, const HostMoment& host, RunEnd end);

// A guest that crashed this often within the window is left off until the window is over (condition CrashLoop).
constexpr std::int64_t kCrashLimit = 5;
constexpr milliseconds kCrashWindow{600'000};
// How long after the end of a crashed run the next start waits. Zero: no wait.
milliseconds crash_delay(const RunRecord& run);
bool in_crash_loop(const RunRecord& run, const HostMoment& host);

}  // namespace axle
