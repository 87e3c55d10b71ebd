#include "common/base/ensure.hpp"

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

namespace axle {
namespace {

struct KillState {
    std::atomic<int> passed{0};
    std::atomic<int> kill_at{0};
    const char* only = std::getenv("AXLE_KILL_POINT");
    KillState() {
        if (const char* n = std::getenv("AXLE_KILL_AT")) kill_at = std::atoi(n);
    }
};
KillState& kill_state() {
    static KillState state;
    return state;
}

}  // namespace

void ensure_failed(const char* claim, const char* why, const char* file, int line) {
    std::fprintf(stderr, "axle: %s:%d: %s does not hold: %s\n", file, line, claim, why);
    std::abort();
}

void pass_kill_point(const char* name) {
    auto& state = kill_state();
    if (state.only != nullptr && std::strcmp(state.only, name) != 0) return;
    if (++state.passed == state.kill_at) ::kill(::getpid(), SIGKILL);
}
void arm_kill_point(int n) {
    kill_state().passed = 0;
    kill_state().kill_at = n;
}
int kill_points_passed() {
    return kill_state().passed;
}

}  // namespace axle
