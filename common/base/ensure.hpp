// Assertions that stay on in release builds, and the named points at which tests kill the process.
#pragma once

namespace axle {

// Prints the claim and aborts; systemd restarts the process and start-up is the recovery path.
[[noreturn]] void ensure_failed(const char* claim, const char* why, const char* file, int line);

// Called at each KILL_POINT in dev builds. With AXLE_KILL_AT=N in the environment (or arm_kill_point) the N-th point
// passed ends the process at once, as kill -9 would. With AXLE_KILL_POINT=name only points of that name count.
void pass_kill_point(const char* name);
void arm_kill_point(int n);
int kill_points_passed();

}  // namespace axle

#define ENSURE(claim, why) (static_cast<bool>(claim) ? void(0) : ::axle::ensure_failed(#claim, why, __FILE__, __LINE__))

// Stands between two durable steps. The name says which: "agent.desired.before-rename".
#ifdef AXLE_FAULTS
#define KILL_POINT(name) ::axle::pass_kill_point(name)
#else
#define KILL_POINT(name) void(0)
#endif
