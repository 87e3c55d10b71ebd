// Durable batches a second, at several depths of the queue, beside RocksDB itself with as many writing threads; and how
// long a store of many objects takes to open. usage: bench_store [SECONDS] [OBJECTS]
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <malloc.h>
#include <string>
#include <thread>

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include "orchestrator/store/rocks_store.hpp"
#include "tests/support/seeded_random.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/waiting_executor.hpp"

namespace axle::test {
namespace {

using Clock = std::chrono::steady_clock;
const std::string kValue(900, 'x');

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

Batch batch_of(Revision revision) {
    return {.last_revision = revision,
            .writes = {{Table::objects, "vm/" + std::to_string(revision), kValue},
                       {Table::changes, revision_key(revision), kValue}}};
}

std::unique_ptr<RocksStore> open_store(const std::string& dir, Executor& core, Random& random) {
    auto opened = RocksStore::open({.directory = dir + "/store", .identity_directory = dir + "/identity"}, core, random,
                                   {1'800'000'000'000});
    if (!opened) {
        std::fprintf(stderr, "%s\n", opened.error().message.c_str());
        std::exit(1);
    }
    return *std::move(opened);
}

double through_store(std::size_t depth, double seconds) {
    const TempDir dir;
    WaitingExecutor core;
    SeededRandom random(1);
    auto store = open_store(dir.path(), core, random);
    Revision told = 0, next = 1;
    store->on_durable([&](Revision revision) { told = revision; });
    const auto start = Clock::now();
    while (seconds_since(start) < seconds) {
        while (next - 1 < told + depth) store->commit(batch_of(next++));
        const Revision before = told;
        core.run_until([&] { return told > before; });
    }
    return static_cast<double>(told) / seconds_since(start);
}

double through_rocksdb(std::size_t threads, double seconds) {
    const TempDir dir;
    rocksdb::Options options;
    options.create_if_missing = true;
    rocksdb::DB* raw = nullptr;
    if (!rocksdb::DB::Open(options, dir / "db", &raw).ok()) std::exit(1);
    const std::unique_ptr<rocksdb::DB> db(raw);
    std::atomic<std::uint64_t> revision{0};
    const auto start = Clock::now();
    std::vector<std::jthread> writers;
    for (std::size_t i = 0; i < threads; ++i)
        writers.emplace_back([&] {
            rocksdb::WriteOptions synced;
            synced.sync = true;
            while (seconds_since(start) < seconds) {
                const std::uint64_t r = ++revision;
                rocksdb::WriteBatch batch;
                if (!batch.Put("o/" + std::to_string(r), kValue).ok() ||
                    !batch.Put("c/" + revision_key(r), kValue).ok() || !db->Write(synced, &batch).ok())
                    std::exit(1);
            }
        });
    writers.clear();
    return static_cast<double>(revision) / seconds_since(start);
}

// Anonymous memory of this process, in MiB.
long anonymous_mib() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("RssAnon:")) return std::atol(line.c_str() + 8) / 1024;
    return -1;
}

void measure_opening(Revision objects) {
    const TempDir dir;
    WaitingExecutor core;
    SeededRandom random(1);
    {
        auto store = open_store(dir.path(), core, random);
        for (Revision r = 1; r <= objects; ++r) {
            store->commit(batch_of(r));
            if (r % 10'000 == 0) core.run_until([&] { return store->queued() < 1000; });
        }
    }
    ::malloc_trim(0);  // what the filling left behind is not the opening's
    const auto start = Clock::now();
    auto store = open_store(dir.path(), core, random);
    const double opened = seconds_since(start);
    std::size_t bytes = 0;
    const auto scanned = store->scan(Table::objects, "", "", false, [&](std::string_view, std::string_view value) {
        bytes += value.size();
        return true;
    });
    std::printf("store of %llu objects: open %.2f s, open and read all %.2f s (%zu MiB)%s, then %ld MiB anonymous\n",
                static_cast<unsigned long long>(objects), opened, seconds_since(start), bytes >> 20,
                scanned ? "" : " FAILED", anonymous_mib());
    std::printf("figure: store-open %.2f s\n", opened);
}

}  // namespace
}  // namespace axle::test

int main(int count, char** words) {
    using namespace axle::test;
    const double seconds = count > 1 ? std::atof(words[1]) : 3;
    std::printf("anonymous memory: %ld MiB\n", anonymous_mib());
    for (const std::size_t depth : {1, 8, 64, 256}) {
        const double raw = through_rocksdb(depth, seconds), ours = through_store(depth, seconds);
        std::printf("depth %3zu: store %7.0f batches/s, RocksDB itself %7.0f/s, ratio %.2f\n", depth, ours, raw,
                    ours / raw);
        std::printf("figure: store-depth-%zu %.0f 1/s\nfigure: store-depth-%zu-of-rocksdb %.2f ratio\n", depth, ours,
                    depth, ours / raw);
        std::fflush(stdout);
    }
    std::printf("anonymous memory: %ld MiB\n", anonymous_mib());
    measure_opening(count > 2 ? std::strtoull(words[2], nullptr, 10) : 100'000);
}
