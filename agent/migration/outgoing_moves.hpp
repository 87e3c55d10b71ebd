// Guests on their way to other hosts: the source's half of peer_migration. Blocks where it says so.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>

#include "agent/hypervisor/live_move.hpp"
#include "agent/migration/data_client.hpp"
#include "agent/migration/join.hpp"
#include "agent/migration/migration.hpp"

namespace axle {

struct OutgoingOptions {
    std::string folder;  // sockets of a guest in <folder>/<vm>.out
    std::string libvirt_uri;
    std::optional<FileOwner> guests;  // QEMU's user: it connects to the disks' socket itself
};

class OutgoingMove {
  public:
    using Progress = std::function<void(MoveProgress)>;  // any thread

    // io, dials and client outlive it.
    OutgoingMove(OutgoingOptions options, MoveOut out, const DataClient& client, Loop& io, Workers& dials);

    // Blocks until the guest is there, or is not. Code::conflict after cancel().
    Result<> run(const Progress& progress);
    void cancel();  // any thread, also before run()

  private:
    Result<> run_live(const Progress& progress);
    Result<> run_copies(const Progress& progress);
    Result<std::unique_ptr<LocalDoor>> open_door(const std::string& stream);
    Error explained(Error e);

    const OutgoingOptions options_;
    const MoveOut out_;
    const std::string folder_;
    const DataClient& client_;
    Loop& io_;
    Workers& dials_;
    std::stop_source stop_;
    LiveMove live_;
    std::mutex mutex_;
    std::string line_trouble_;  // guarded: why the first stream that broke did
};

}  // namespace axle
