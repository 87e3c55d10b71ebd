// What a child of the crash tests does with a store, and what a reader of it must find: revision r wrote k/r and both
// halves of the pair.
#pragma once
#include <functional>
#include <string>

#include "orchestrator/store/rocks_store.hpp"
#include "tests/support/seeded_random.hpp"
#include "tests/support/waiting_executor.hpp"

namespace axle::test {

RocksStoreOptions store_options(const std::string& dir);
Batch batch_of(Revision revision, std::size_t bytes = 100);

// An open store with the thread that its core would have.
struct Running {
    WaitingExecutor core;
    SeededRandom random{42};
    std::unique_ptr<RocksStore> store;
    Revision told = 0;

    Result<> open(RocksStoreOptions options);
    bool wait_for(Revision revision);  // told that it is durable
    Result<StoreState> accept_loss();
};

// "" or what is wrong: every acknowledged revision is there, what is there is whole, the counter fits.
std::string flaw_of(const Store& store, Revision acknowledged);

// The highest revision that the witness file of `dir` tells, 0 if there is none.
Revision witnessed(const std::string& dir);

}  // namespace axle::test
