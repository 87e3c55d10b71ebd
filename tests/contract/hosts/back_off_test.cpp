// How agents that can't reach their orchestrator try again: less and less often, and not all at once.
#include "agent/link/back_off.hpp"

#include <mutex>

#include <doctest/doctest.h>

#include "agent/link/orchestrator_link.hpp"
#include "common/loop/random.hpp"
#include "tests/contract/hosts/door_fixture.hpp"
#include "tests/support/waiting_executor.hpp"

using namespace axle;
using namespace axle::test;

namespace {

struct Draw {
    std::uint64_t number;
    BootTime at;
};

// Real random numbers, written down. Each wait of a link takes one.
class RecordedRandom final : public Random {
  public:
    std::uint64_t next() override {
        const std::lock_guard lock(mutex_);
        return draws_.emplace_back(real_.next(), boot_now()).number;
    }
    std::vector<Draw> draws() const {
        const std::lock_guard lock(mutex_);
        return draws_;
    }

  private:
    mutable std::mutex mutex_;
    SystemRandom real_;
    std::vector<Draw> draws_;  // guarded
};

// Gives the numbers of a recording again.
class ReplayedRandom final : public Random {
  public:
    explicit ReplayedRandom(std::vector<std::uint64_t> numbers) : numbers_(std::move(numbers)) {}
    std::uint64_t next() override { return numbers_.at(at_++); }

  private:
    const std::vector<std::uint64_t> numbers_;
    std::size_t at_ = 0;
};

constexpr LinkTimes kTimes{.first_retry = milliseconds{20}, .retry_max = milliseconds{100}};
constexpr milliseconds kDelays[] = {milliseconds{20},  milliseconds{40},  milliseconds{80},
                                    milliseconds{100}, milliseconds{100}, milliseconds{100}};

// An agent whose orchestrator is not there.
struct Lost {
    explicit Lost(std::vector<std::string> endpoints) {
        HostIdentity identity{.host = host_number(1), .cluster = "c", .endpoints = std::move(endpoints)};
        thread = std::thread([this] { io.run(); });
        link = std::make_unique<OrchestratorLink>(OrchestratorLink::Seams{.io = io,
                                                                          .workers = workers,
                                                                          .core = core,
                                                                          .random = random,
                                                                          .connected = [](std::unique_ptr<Channel>) {},
                                                                          .local_address = {},
                                                                          .endpoints = {}},
                                                  std::move(identity), folder / "identity.json", kTimes);
        link->start();
    }
    ~Lost() {
        link->stop();
        workers.stop();
        io.stop();
        thread.join();
    }
    std::vector<Draw> drawn(std::size_t count) {
        REQUIRE(eventually([&] { return random.draws().size() >= count; }));
        auto draws = random.draws();
        draws.resize(count);
        return draws;
    }

    TempDir folder;
    WaitingExecutor core;
    RecordedRandom random;
    Loop io{"agent io"};
    Workers workers{"agent link", {.threads = 1}};
    std::thread thread;
    std::unique_ptr<OrchestratorLink> link;
};

std::vector<milliseconds> waits_of(const std::vector<Draw>& draws) {
    std::vector<std::uint64_t> numbers;
    for (const Draw& draw : draws) numbers.push_back(draw.number);
    ReplayedRandom random(numbers);
    BackOff back_off(kTimes.first_retry, kTimes.retry_max);
    std::vector<milliseconds> out;
    for (std::size_t i = 0; i < draws.size(); ++i) out.push_back(back_off.next(random));
    return out;
}

}  // namespace

TEST_CASE("waits are random ones from half to one and a half of a delay that doubles up to its maximum") {
    SystemRandom real;
    const auto is_within = [](milliseconds wait, milliseconds delay) {
        return wait >= delay / 2 && wait <= delay + delay / 2;
    };
    int others = 0;
    for (int round = 0; round < 200; ++round) {
        BackOff back_off(kTimes.first_retry, kTimes.retry_max);
        for (const milliseconds delay : kDelays) others += is_within(back_off.next(real), delay) ? 0 : 1;
        back_off.reset();
        others += is_within(back_off.next(real), kTimes.first_retry) ? 0 : 1;
    }
    CHECK(others == 0);
    // Both ends are reached.
    ReplayedRandom lowest({0}), highest({20});
    CHECK(jittered(milliseconds{20}, lowest) == milliseconds{10});
    CHECK(jittered(milliseconds{20}, highest) == milliseconds{30});
}

TEST_CASE("a link waits so long before each try, and two that lost one orchestrator come back at different times") {
    const std::vector<std::string> nobody{"https://127.0.0.1:1"};
    Lost one(nobody), other(nobody);
    const auto draws = one.drawn(std::size(kDelays) + 1);
    const auto waits = waits_of(draws);
    for (std::size_t i = 0; i + 1 < draws.size(); ++i) {
        CAPTURE(i);
        CHECK(draws[i + 1].at - draws[i].at >= waits[i]);  // a slow machine makes it longer, none makes it shorter
    }
    CHECK(waits != waits_of(other.drawn(draws.size())));
}
