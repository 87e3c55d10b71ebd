// The two implementations behind one set of words, for the one suite: a store that can be opened, closed, and have
// misfortunes befall it between.
#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "common/base/file.hpp"
#include "orchestrator/store/identity.hpp"
#include "orchestrator/store/memory_store.hpp"
#include "orchestrator/store/rocks_store.hpp"
#include "tests/support/seeded_random.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/waiting_executor.hpp"

namespace axle::test {

// A clock that stands still until it is moved.
class HandClock final : public Clock {
  public:
    WallTime wall() const override { return {1'800'000'000'000 + now_.ms}; }
    BootTime boot() const override { return now_; }
    TimerId after(milliseconds delay, std::function<void()> then) override {
        timers_[{now_ + delay, ++last_}] = std::move(then);
        return last_;
    }
    void cancel(TimerId timer) override {
        std::erase_if(timers_, [timer](const auto& entry) { return entry.first.second == timer; });
    }
    // Goes to the next timer and runs it; false if there is none.
    bool step() {
        if (timers_.empty()) return false;
        auto first = timers_.extract(timers_.begin());
        now_ = std::max(now_, first.key().first);
        first.mapped()();
        return true;
    }

  private:
    BootTime now_{};
    TimerId last_ = 0;
    std::map<std::pair<BootTime, TimerId>, std::function<void()>> timers_;
};

class MemoryFixture {
  public:
    Result<> open() {
        TRY(opened, MemoryStore::open(disk_, core_, clock_, random_, {.agents = agents}));
        store_ = std::move(opened);
        return {};
    }
    void close() {
        run_until([&] { return store_->queued() == 0; });
        for (int i = 0; i < 10 && clock_.step(); ++i) core_.run();  // the witness follows
        store_.reset();
    }
    Store& store() { return *store_; }
    bool run_until(const std::function<bool()>& done) {
        for (int i = 0; i < 10'000; ++i) {
            core_.run();
            if (done()) return true;
            if (!clock_.step()) return done();
        }
        return false;
    }
    void lose_store() { disk_.lose_store(); }
    void lose_witness() { disk_.witness.reset(); }
    void lose_identity() { disk_.identity.reset(); }
    void keep_copy() { copy_ = disk_.tables; }
    void restore_copy() { disk_.tables = copy_; }
    void have_agent_state() { disk_.agent_state = true; }
    Seen agents;

  private:
    MemoryDisk disk_;
    std::array<MemoryDisk::Rows, kTables> copy_;
    HandClock clock_;
    WaitingExecutor core_;
    SeededRandom random_{1};
    std::unique_ptr<MemoryStore> store_;
};

class RocksFixture {
  public:
    Result<> open() {
        RocksStoreOptions options{.directory = dir_ / "store", .identity_directory = dir_ / "identity"};
        options.agent_state = agent_state_;
        options.agents = agents;
        options.any_file_system = true;
        options.reserve_bytes = 1 << 20;
        options.witness_every = milliseconds{20};
        TRY(opened, RocksStore::open(options, core_, random_, {1'800'000'000'000}));
        store_ = std::move(opened);
        return {};
    }
    void close() {
        store_.reset();
        core_.run();
    }
    Store& store() { return *store_; }
    bool run_until(const std::function<bool()>& done) { return core_.run_until(done); }
    void lose_store() { std::filesystem::remove_all(dir_ / "store/db"); }
    void lose_witness() { std::filesystem::remove(witness_path(dir_ / "identity")); }
    void lose_identity() {
        std::filesystem::remove(cluster_id_path(dir_ / "identity"));
        std::filesystem::remove(secret_key_path(dir_ / "identity"));
    }
    void keep_copy() { std::filesystem::copy(dir_ / "store/db", dir_ / "copy", kRecursive); }
    void restore_copy() {
        lose_store();
        std::filesystem::copy(dir_ / "copy", dir_ / "store/db", kRecursive);
    }
    void have_agent_state() { agent_state_ = true; }
    Seen agents;

  private:
    static constexpr auto kRecursive = std::filesystem::copy_options::recursive;
    TempDir dir_;
    WaitingExecutor core_;
    SeededRandom random_{1};
    bool agent_state_ = false;
    std::unique_ptr<RocksStore> store_;
};

}  // namespace axle::test
