// Work in a child that is killed at one of its kill points, and what it said before.
#pragma once
#include <csignal>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "common/base/ensure.hpp"
#include "common/base/id.hpp"

namespace axle::test {

inline Uuid uuid(int n) {
    Uuid id;
    id.bytes[0] = 1;
    id.bytes[15] = static_cast<std::uint8_t>(n);
    return id;
}

struct Ended {
    int answered = 0;
    bool killed = false;
};

// The work in a child that is killed at the n-th kill point.
template <typename Machine>
Ended work_in_child(const Machine& machine, int kill_at) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        arm_kill_point(kill_at);
        const auto done = machine.work([&](int step) {
            const char byte = static_cast<char>(step);
            if (::write(ends[1], &byte, 1) != 1) ::_exit(3);
        });
        ::_exit(done ? 0 : 2);
    }
    ::close(ends[1]);
    Ended ended;
    char byte = 0;
    while (::read(ends[0], &byte, 1) == 1) ended.answered = byte;
    ::close(ends[0]);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    ended.killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    if (!ended.killed) CHECK(WEXITSTATUS(status) == 0);
    return ended;
}

}  // namespace axle::test
