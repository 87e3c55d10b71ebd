// A cloud of one host whose orchestrator keeps a real RocksStore and whose agent keeps real state files, below one
// directory. Guests are simulated; their disks' names survive in a file beside.
#pragma once
#include <memory>
#include <string>

#include "agent/state/directory_state_files.hpp"
#include "orchestrator/store/rocks_store.hpp"
#include "tests/support/cloud/eyes.hpp"
#include "tests/support/waiting_executor.hpp"

namespace axle::test {

class CloudOnDisk {
  public:
    explicit CloudOnDisk(std::string directory);
    ~CloudOnDisk();
    Cloud& cloud() { return *cloud_; }

  private:
    struct Mirror;
    void wait_for_disks();
    void save_machine();
    void load_machine(SimulatedMachine& machine);

    std::string directory_;
    WaitingExecutor core_;
    SeededRandom random_{1};
    std::unique_ptr<DirectoryStateFiles> real_files_;
    std::unique_ptr<Mirror> mirror_;
    std::unique_ptr<Cloud> cloud_;
    std::string saved_;
    int unanswered_ = 0;
};

}  // namespace axle::test
