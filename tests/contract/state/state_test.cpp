// What state_files.hpp promises, of the files on disk and of those in memory.
#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <memory>

#include <doctest/doctest.h>

#include "agent/state/directory_state_files.hpp"
#include "agent/state/memory_state_files.hpp"
#include "common/base/file.hpp"
#include "common/base/io.hpp"
#include "tests/support/failing_call.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/virtual_clock.hpp"
#include "tests/support/waiting_executor.hpp"

namespace axle::test {
namespace {

class OnDisk {
  public:
    OnDisk() { restart(); }
    ~OnDisk() { io::fail_call(0, 0); }
    void restart() {
        files_.reset();
        core.run();
        files_ = std::make_unique<DirectoryStateFiles>(
            core, DirectoryStateOptions{.directory = dir / "agent",
                                        .reserve_bytes = 1 << 20,
                                        .on_fatal = [this](Error e) { fatal.push_back(e); }});
    }
    StateFiles& files() { return *files_; }
    bool run_until(const std::function<bool()>& done) { return core.run_until(done); }
    void break_next() { io::fail_call(1, EIO); }

    TempDir dir;
    WaitingExecutor core;
    std::vector<Error> fatal;

  private:
    std::unique_ptr<DirectoryStateFiles> files_;
};

class InMemory {
  public:
    InMemory() { restart(); }
    void restart() {
        files_.reset();
        clock_ = std::make_unique<VirtualClock>(time_);
        files_ = std::make_unique<MemoryStateFiles>(
            disk, *clock_, random,
            MemoryStateOptions{.fault =
                                   [this](const std::string&) {
                                       const bool breaks = std::exchange(breaks_, false);
                                       return breaks ? std::optional(error(Code::internal, "broken")) : std::nullopt;
                                   },
                               .on_fatal = [this](Error e) { fatal.push_back(e); }});
    }
    StateFiles& files() { return *files_; }
    bool run_until(const std::function<bool()>& done) { return time_.run_until(done, seconds{10}); }
    void break_next() { breaks_ = true; }

    MemoryFiles disk;
    SeededRandom random{3};
    std::vector<Error> fatal;

  private:
    VirtualTime time_;
    std::unique_ptr<VirtualClock> clock_;
    std::unique_ptr<MemoryStateFiles> files_;
    bool breaks_ = false;
};

template <typename R>
std::map<std::string, std::string> load(R& room) {
    std::optional<Result<std::vector<StateFile>>> loaded;
    room.files().load([&](auto result) { loaded = std::move(result); });
    REQUIRE(room.run_until([&] { return loaded.has_value(); }));
    REQUIRE_MESSAGE(loaded->has_value(), (loaded->has_value() ? "" : loaded->error().message));
    std::map<std::string, std::string> all;
    for (const auto& file : **loaded) all[file.name] = file.content;
    return all;
}
template <typename R>
Result<> put(R& room, const std::string& name, const std::string& content) {
    std::optional<Result<>> done;
    room.files().put(name, content, [&](Result<> result) { done = result; });
    REQUIRE_FALSE(done);
    REQUIRE(room.run_until([&] { return done.has_value(); }));
    return *done;
}
template <typename R>
Result<> remove(R& room, const std::string& name) {
    std::optional<Result<>> done;
    room.files().remove(name, [&](Result<> result) { done = result; });
    REQUIRE(room.run_until([&] { return done.has_value(); }));
    return *done;
}

#define BOTH OnDisk, InMemory

TEST_CASE_TEMPLATE("what was put is there after a restart, what was removed isn't", R, BOTH) {
    R room;
    CHECK(load(room).empty());
    REQUIRE(put(room, "desired/vm-1.json", "{\"a\": 1}"));
    REQUIRE(put(room, "boot.json", "{}"));
    REQUIRE(put(room, "desired/vm-1.json", "{\"a\": 2}"));
    REQUIRE(put(room, "desired/vm-2.json", "{}"));
    REQUIRE(remove(room, "desired/vm-2.json"));
    REQUIRE(remove(room, "desired/vm-2.json"));
    REQUIRE(remove(room, "nowhere/x.json"));
    room.restart();
    CHECK(load(room) == std::map<std::string, std::string>{{"boot.json", "{}"}, {"desired/vm-1.json", "{\"a\": 2}"}});
}

TEST_CASE_TEMPLATE("answers come in the order of the calls, and the last word counts", R, BOTH) {
    R room;
    std::vector<int> answered;
    for (int i = 0; i < 300; ++i) {
        const auto done = [&answered, i](Result<> result) {
            CHECK(result);
            answered.push_back(i);
        };
        if (i % 7 == 6)
            room.files().remove("desired/" + std::to_string(i % 5), done);
        else
            room.files().put("desired/" + std::to_string(i % 5), std::to_string(i), done);
    }
    REQUIRE(room.run_until([&] { return answered.size() == 300; }));
    CHECK(std::ranges::is_sorted(answered));
    room.restart();
    const auto all = load(room);
    CHECK(all.at("desired/0") == "295");
    CHECK(all.at("desired/4") == "299");
    CHECK(all.count("desired/2") == 1);
}

TEST_CASE_TEMPLATE("a write that fails is answered so, and ends the agent", R, BOTH) {
    R room;
    REQUIRE(put(room, "a", "1"));
    room.break_next();
    const auto failed = put(room, "a", "2");
    REQUIRE_FALSE(failed);
    CHECK(room.fatal.size() == 1);
    room.restart();
    CHECK(load(room).at("a") == "1");
}

TEST_CASE("a power cut loses nothing that was answered; the rest is old or new, each file whole") {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        CAPTURE(seed);
        InMemory room;
        room.random = SeededRandom(seed);
        int answered = 0;
        for (int i = 1; i <= 20; ++i) room.files().put("n" + std::to_string(i), "x", [&](Result<>) { ++answered; });
        room.run_until([&] { return answered == 7; });
        room.restart();
        room.disk.power_cut(room.random);
        const auto all = load(room);
        for (int i = 1; i <= 7; ++i) CHECK(all.contains("n" + std::to_string(i)));
        CHECK(all.size() <= 8);
    }
}

TEST_CASE("on disk: a full disk is answered with no_space and ends nothing") {
    OnDisk room;
    REQUIRE(put(room, "a", "1"));
#ifndef AXLE_FAULTS
    SKIP_TEST("failures are compiled into dev builds only");
#endif
    io::fail_call(2, ENOSPC);
    const auto failed = put(room, "a", "2");
    REQUIRE_FALSE(failed);
    CHECK(failed.error().code == Code::no_space);
    CHECK(room.fatal.empty());
    CHECK(put(room, "a", "3"));
    CHECK(load(room).at("a") == "3");
}

TEST_CASE("on disk: whichever call fails, the file is old or new, and a start finds no leftovers") {
#ifndef AXLE_FAULTS
    SKIP_TEST("failures are compiled into dev builds only");
#endif
    for (int n = 1;; ++n) {
        CAPTURE(n);
        REQUIRE(n < 100);
        OnDisk room;
        REQUIRE(put(room, "desired/a", "old"));
        Result<> result;
        const bool reached = with_failing_call(n, EIO, [&] { result = put(room, "desired/a", "new"); });
        room.restart();
        const auto all = load(room);
        if (result) CHECK(all.at("desired/a") == "new");
        CHECK((all.at("desired/a") == "new" || all.at("desired/a") == "old"));
        CHECK(all.size() == 1);
        CHECK(result.has_value() == !reached);
        if (!reached) {
            CHECK(n > 4);
            break;
        }
    }
}

TEST_CASE("on disk: a damaged file is refused by name") {
    OnDisk room;
    REQUIRE(put(room, "desired/vm-1.json", "{}"));
    for (const std::string& content : {std::string(), std::string(4096, '\0')}) {
        REQUIRE(write_file_durably(room.dir / "agent/desired/vm-1.json", content));
        std::optional<Result<std::vector<StateFile>>> loaded;
        room.restart();
        room.files().load([&](auto result) { loaded = std::move(result); });
        REQUIRE(room.run_until([&] { return loaded.has_value(); }));
        REQUIRE_FALSE(loaded->has_value());
        CHECK(loaded->error().code == Code::corrupt);
        CHECK(loaded->error().message.find("desired/vm-1.json") != std::string::npos);
    }
}

TEST_CASE("on disk: what a crash left is swept, what isn't ours stays, the files are ours alone") {
    OnDisk room;
    REQUIRE(load(room).empty());
    REQUIRE(put(room, "desired/a.json", "{}"));
    REQUIRE(write_file_durably(room.dir / "agent/desired/b.json.new", "half"));
    REQUIRE(write_file_durably(room.dir / "agent/.hidden", "theirs"));
    room.restart();
    CHECK(load(room).size() == 1);
    CHECK_FALSE(file_exists(room.dir / "agent/desired/b.json.new"));
    CHECK(file_exists(room.dir / "agent/.hidden"));
    const auto mode = [&](const std::string& name) {
        return static_cast<int>(std::filesystem::status(room.dir / name).permissions()) & 0777;
    };
    CHECK(mode("agent") == 0700);
    CHECK(mode("agent/desired/a.json") == 0600);
}

TEST_CASE("on disk: a reserve is kept, and given back at a start") {
    OnDisk room;
    REQUIRE(put(room, "a", "1"));
    REQUIRE(put(room, "a", "2"));
    room.restart();
    CHECK(file_exists(room.dir / "agent/reserve"));
    CHECK(std::filesystem::file_size(room.dir / "agent/reserve") == 1 << 20);
    CHECK(load(room).size() == 1);
}

}  // namespace
}  // namespace axle::test
