// How busy this machine is, as heartbeats tell it.
#include <doctest/doctest.h>

#include "agent/host/linux_host.hpp"
#include "tests/support/waiting_executor.hpp"

using namespace axle;
using namespace axle::test;

TEST_CASE("a machine's load is a part of its processors and some of its memory, from the first look on") {
    WaitingExecutor core;
    Workers workers{"host", {.threads = 1}};
    LinuxHost host(workers, core);
    const auto look = [&] {
        std::optional<HostLoad> load;
        host.load([&](Result<HostLoad> answer) {
            REQUIRE(answer.has_value());
            load = *answer;
        });
        REQUIRE(core.run_until([&] { return load.has_value(); }));
        return *load;
    };
    const HostLoad first = look();
    CHECK(first.cpu > 0);  // since the kernel was started: something ran
    CHECK(first.cpu <= 1);
    CHECK(first.memory_free > 0);
    const HostLoad second = look();
    CHECK(second.cpu >= 0);
    CHECK(second.cpu <= 1);
    workers.stop();
}
