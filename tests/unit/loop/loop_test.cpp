// Loops, timers, watches, workers, randomness.
#include "common/loop/loop.hpp"

#include <atomic>
#include <condition_variable>
#include <fcntl.h>
#include <mutex>
#include <optional>
#include <set>
#include <signal.h>
#include <stdexcept>
#include <thread>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>

#include "common/base/file.hpp"
#include "common/loop/random.hpp"
#include "common/loop/workers.hpp"

using namespace axle;

namespace {

struct Pipe {
    Pipe() {
        int ends[2];
        REQUIRE(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
        read.reset(ends[0]);
        write.reset(ends[1]);
    }
    Fd read, write;
};

// A door that workers wait at.
class Gate {
  public:
    void pass() {
        std::unique_lock lock(mutex_);
        ++inside_;
        told_.notify_all();
        told_.wait(lock, [&] { return open_; });
    }
    void wait_for(int inside) {
        std::unique_lock lock(mutex_);
        told_.wait(lock, [&] { return inside_ >= inside; });
    }
    void open() {
        const std::lock_guard lock(mutex_);
        open_ = true;
        told_.notify_all();
    }

  private:
    std::mutex mutex_;
    std::condition_variable told_;
    int inside_ = 0;
    bool open_ = false;
};

}  // namespace

TEST_CASE("what is posted from many threads runs on the loop's thread, in order for each") {
    Loop loop("test");
    std::thread runner([&] { loop.run(); });
    std::vector<int> last(4, -1);
    std::atomic<bool> right = true;
    std::vector<std::thread> posters;
    for (std::size_t who = 0; who < last.size(); ++who)
        posters.emplace_back([&, who] {
            for (int i = 0; i < 1000; ++i)
                loop.post([&, who, i] {
                    if (last[who] != i - 1 || !loop.on_own_thread()) right = false;
                    last[who] = i;
                });
        });
    for (auto& poster : posters) poster.join();
    loop.stop();
    runner.join();
    CHECK(right);
    CHECK(last == std::vector<int>(4, 999));  // what was posted before stop() has run
}

TEST_CASE("call waits for its job, on the loop's thread while it runs, in place when it does not") {
    Loop loop("test");
    bool done = false;
    loop.call([&] { done = true; });
    CHECK(done);
    std::thread runner([&] { loop.run(); });
    bool there = false;
    loop.call([&] { loop.call([&] { there = loop.on_own_thread(); }); });
    loop.stop();
    runner.join();
    loop.call([&] { CHECK_FALSE(loop.on_own_thread()); });
}

TEST_CASE("a call while the loop starts runs before it or inside it, never beside it") {
    for (int round = 0; round < 500; ++round) {
        Loop loop("test");
        int owned = 0;  // by the loop: no lock
        loop.post([&] { ++owned; });
        std::thread runner([&] { loop.run(); });
        loop.call([&] {
            ++owned;
            const TimerId timer = loop.after(milliseconds{1}, [] {});  // ensures whose thread it is
            if (round % 2 == 0) sched_yield();
            loop.cancel(timer);
        });
        loop.stop();
        runner.join();
        REQUIRE(owned == 2);
    }
}

TEST_CASE("stop before run returns at once after what was posted, and a loop may run again") {
    Loop loop("test");
    int ran = 0;
    for (int round = 1; round <= 2; ++round) {
        loop.post([&] { ++ran; });
        loop.stop();
        loop.stop();
        loop.run();
        CHECK(ran == round);
    }
}

TEST_CASE("timers fire in order of time, not early, never inside after; cancelled ones don't") {
    Loop loop("test");
    std::vector<int> order;
    const BootTime start = loop.boot();
    BootTime fired;
    loop.after(milliseconds{30}, [&] {
        order.push_back(3);
        fired = loop.boot();
        loop.stop();
    });
    const TimerId wrong = loop.after(milliseconds{5}, [&] { order.push_back(-1); });
    loop.after(milliseconds{0}, [&] {
        order.push_back(1);
        loop.cancel(wrong);
        loop.cancel(wrong);
        loop.cancel(12345);
        loop.after(milliseconds{0}, [&] { order.push_back(2); });
        CHECK(order.size() == 1);
    });
    CHECK(order.empty());
    loop.run();
    CHECK(order == std::vector<int>{1, 2, 3});
    CHECK(fired - start >= milliseconds{29});
}

TEST_CASE("a timer may destroy itself in its callback, and repeat") {
    Loop loop("test");
    std::optional<Timer> timer;
    int fired = 0;
    timer.emplace(loop, "test", [&] {
        if (++fired < 3) return;
        timer.reset();
        loop.stop();
    });
    timer->repeat(milliseconds{1});
    CHECK(timer->active());
    loop.run();
    CHECK(fired == 3);
}

TEST_CASE("a watch is told of reading and writing, pauses, and may destroy itself") {
    Loop loop("test");
    Pipe pipe;
    std::optional<IoWatch> reader, writer;
    std::string got;
    reader.emplace(loop, "test", pipe.read.get(), true, false, [&](bool readable, bool writable) {
        CHECK(readable);
        CHECK_FALSE(writable);
        char bytes[16];
        const ssize_t n = read(pipe.read.get(), bytes, sizeof bytes);
        got.append(bytes, static_cast<std::size_t>(n));
        reader.reset();
        loop.stop();
    });
    int writes = 0;
    writer.emplace(loop, "test", pipe.write.get(), false, true, [&](bool, bool) {
        CHECK(++writes == 1);
        writer->want(false, false);
        CHECK_FALSE(writer->wants_write());
        loop.after(milliseconds{5}, [&] { CHECK(write(pipe.write.get(), "hello", 5) == 5); });
    });
    loop.run();
    CHECK(got == "hello");
    CHECK(writes == 1);
}

TEST_CASE("a signal comes to the loop") {
    Loop loop("test");
    bool told = false;
    loop.on_signal(SIGUSR2, [&] {
        told = true;
        loop.stop();
    });
    loop.post([] { kill(getpid(), SIGUSR2); });
    loop.run();
    CHECK(told);
}

TEST_CASE("a callback over 50 ms is counted") {
    Loop loop("watched");
    loop.post([&] {
        const BootTime start = loop.boot();
        while (loop.boot() - start < milliseconds{60}) {
        }
    });
    loop.stop();
    loop.run();
    CHECK(loop.slow_callbacks() == 1);
}

TEST_CASE("jobs that were never run are destroyed with the loop, also those that post when they go") {
    struct Poster {
        explicit Poster(Loop& owner, int& count) : loop(owner), gone(count) {}
        ~Poster() {
            if (++gone < 3) loop.post([next = std::make_shared<Poster>(loop, gone)] {});
        }
        Loop& loop;
        int& gone;
    };
    int gone = 0;
    {
        Loop loop("test");
        loop.post([poster = std::make_shared<Poster>(loop, gone)] {});
    }
    CHECK(gone == 3);
}

TEST_CASE("a full queue refuses, a closed pool too, and stop runs what waits") {
    Gate gate;
    std::atomic<int> ran = 0;
    Workers workers("test", {.threads = 1, .queue_max = 2});
    CHECK(workers.submit([&] { gate.pass(); }));
    gate.wait_for(1);
    CHECK(workers.submit([&] { ++ran; }));
    CHECK(workers.submit([&] { ++ran; }));
    CHECK_FALSE(workers.submit([&] { ++ran; }));
    CHECK(workers.waiting() == 2);
    gate.open();
    workers.stop();
    workers.stop();
    CHECK(ran == 2);
    CHECK_FALSE(workers.submit([&] { ++ran; }));
}

TEST_CASE("a busy lane holds its share of threads and places, the others go on") {
    Gate gate;
    Workers workers("test", {.threads = 3, .queue_max = 100, .lane_running_max = 2, .lane_queue_max = 4});
    std::atomic<int> slow = 0;
    int taken = 0;
    for (int i = 0; i < 2; ++i) taken += workers.submit("dead-host", [&] { gate.pass(), ++slow; }) ? 1 : 0;
    gate.wait_for(2);
    for (int i = 0; i < 10; ++i) taken += workers.submit("dead-host", [&] { ++slow; }) ? 1 : 0;
    CHECK(taken == 6);  // two run, four wait
    std::mutex mutex;
    std::condition_variable told;
    int others = 0;
    const auto done = [&] {
        const std::lock_guard lock(mutex);
        ++others;
        told.notify_all();
    };
    CHECK(workers.submit("live-host", done));
    CHECK(workers.submit(done));
    std::unique_lock lock(mutex);
    told.wait(lock, [&] { return others == 2; });
    CHECK(slow == 0);
    lock.unlock();
    gate.open();
    workers.stop();
    CHECK(slow == 6);
}

TEST_CASE("a lane with one thread runs its jobs in order") {
    std::vector<int> order;
    Workers workers("test", {.threads = 4});
    for (int i = 0; i < 100; ++i) CHECK(workers.submit("lane", [&, i] { order.push_back(i); }));
    workers.stop();
    REQUIRE(order.size() == 100);
    for (int i = 0; i < 100; ++i) CHECK(order[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("a job that throws ends no thread") {
    std::atomic<int> ran = 0;
    Workers workers("test", {.threads = 1});
    CHECK(workers.submit([] { throw std::runtime_error("planted"); }));
    CHECK(workers.submit([&] { ++ran; }));
    workers.stop();
    CHECK(ran == 1);
}

TEST_CASE("random numbers don't repeat") {
    SystemRandom random;
    std::set<std::uint64_t> seen;
    for (int i = 0; i < 1000; ++i) seen.insert(random.next());
    CHECK(seen.size() == 1000);
}
