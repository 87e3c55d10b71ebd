// The real moving of guests between hosts: the data port, libvirt's migration through it, disks of guests that are off.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "agent/migration/data_port.hpp"
#include "agent/migration/migration.hpp"
#include "agent/storage/pool_directory.hpp"
#include "common/loop/loop.hpp"

namespace axle {

struct PeerMigrationOptions {
    // Who this host is just now, by its current certificate; Code::unavailable where it has none yet. Any thread.
    std::function<Result<DataIdentity>()> identity;
    std::string folder = "/run/axle/moves";  // sockets, and the certificate for the port
    std::string libvirt_uri = "qemu:///system";
    std::string address;  // to listen on; empty: all
    int port = kDataPort;
    PoolSettings disks = {};  // of files that come: temporary names, owner
};

// Constructed and called on the core thread, unless said otherwise. io runs and outlives it, so does core.
class PeerMigration final : public Migration {
  public:
    PeerMigration(PeerMigrationOptions options, Loop& io, Executor& core);
    // Cuts all streams, gives up what is under way, waits for it. Not on io's thread.
    ~PeerMigration() override;

    // Begins to listen, where that has not been done, and takes up a renewed certificate. Any thread; blocks. expect()
    // does it, too.
    Result<> listen();
    // At which it listens; 0: it doesn't. Any thread.
    int port() const;

    void expect(MoveIn in, Done done) override;
    void dismiss(VmId vm, Done done) override;
    void on_handed_over(std::function<void(VmId, Epoch)> told) override;
    void send(MoveOut out, std::function<void(MoveProgress)> progress, Done done) override;
    void cancel(VmId vm, Done done) override;
    void tell_handed_over(MoveOut out, Done done) override;

  private:
    struct Parts;
    std::shared_ptr<Parts> parts_;
};

}  // namespace axle
