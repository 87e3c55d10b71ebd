// One guest's way to another host, the source's part: libvirt's own live migration over unix sockets that somebody else
// serves and leads to the target (agent/migration). It decides nothing, and keeps the definition here.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "agent/hypervisor/hypervisor.hpp"
#include "agent/hypervisor/move_tally.hpp"

namespace axle {

struct LiveMoveWish {
    std::string libvirt_uri = "qemu:///system";  // our own
    DomainPlan plan;                             // of the running guest
    std::vector<VolumeId> copies;                // disks that go with it; the others lie where both hosts reach them
    std::int64_t bandwidth = 0;                  // bytes a second at most; 0: no limit
    // Each leads to the target: to its libvirt, and to the QEMU that takes the guest in there. Where that one listens
    // is the word of the target's agent, so the paths need not be the same there.
    std::string libvirt_socket, memory_socket, disk_socket;
};

class LiveMove {
  public:
    explicit LiveMove(LiveMoveWish wish);
    ~LiveMove();  // not while run() runs
    LiveMove(const LiveMove&) = delete;
    LiveMove& operator=(const LiveMove&) = delete;

    // Blocks for as long as it takes: on a thread of its own. Success: the guest stands paused on the target and has
    // ended here. Any error: observe; libvirt lets it run on here. Code::conflict after cancel(), and where the guest
    // is not as the plan says. progress: on another thread, at most twice a second, and once at the end.
    Result<> run(const std::function<void(LiveMoveProgress)>& progress);
    // Any thread, also before run(). libvirt is asked to give it up, until run() ends.
    void cancel();

  private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

// How libvirt is told to move a guest: the same words on both sides. copies: disks go with it.
unsigned live_move_flags(bool copies);

// Where the libvirt that this URI means listens on this machine; empty: it is reached in another way.
std::string libvirt_socket_of(const std::string& uri);

}  // namespace axle
