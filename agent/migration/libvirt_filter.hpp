// What of a source's libvirt reaches ours: the few calls that a migration of this one guest makes. The parameters of
// those that matter are not compared but replaced by our own, so there is nothing in them to get wrong. Pure.
//
//   frame:  length | program | version | procedure | type | serial | status | arguments     each a big-endian word
//
// Passed: 66 auth-list, 1 open (of qemu:///system alone), 60 supports-feature, 303 prepare (the XML, name and sockets
// of our own plan, our flags), 306 finish (our name and flags), 2 close; and pings of the keep-alive program.
#pragma once
#include <string>

#include "agent/migration/migration.hpp"

namespace axle {

struct MigrationSockets {
    std::string memory, disks;  // where QEMU listens on this host
};

class LibvirtFilter {
  public:
    LibvirtFilter(const MoveIn& in, MigrationSockets sockets);

    // What comes from the source, cut anywhere: gives back what libvirt is to get of it now. An error is final: the
    // stream is to be ended, and why.
    Result<std::string> feed(std::string_view bytes);

  private:
    struct Frame {
        std::uint32_t program = 0, version = 0, procedure = 0, type = 0, serial = 0, status = 0;
        std::string_view arguments;
    };
    Result<std::string> judge(std::string_view whole);
    Result<std::string> call(const Frame& frame, std::string_view whole);
    Result<std::string> prepare(const Frame& frame);
    Result<std::string> finish(const Frame& frame);

    const std::string name_, xml_;
    const MigrationSockets sockets_;
    const std::vector<std::string> copied_disks_;  // as libvirt calls them
    const std::uint32_t flags_;
    std::string waiting_;  // the beginning of a frame
    bool opened_ = false, prepared_ = false, finished_ = false, broken_ = false;
};

}  // namespace axle
