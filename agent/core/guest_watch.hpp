// Watches young guests until they have their addresses, so that who waits is told how far each has got. Core thread.
#pragma once
#include <map>
#include <set>
#include <string>

#include "agent/core/network_keeper.hpp"
#include "agent/core/seams.hpp"
#include "agent/core/vm_keeper.hpp"

namespace axle {

class GuestWatch {
  public:
    GuestWatch(const Seams& seams, VmKeeper& vms, const NetworkKeeper& networks);
    void start();

    static constexpr milliseconds kPoll{5'000};
    static constexpr milliseconds kYoung{600'000};
    static constexpr milliseconds kSlack{2'000};      // DHCP's times are to the second
    static constexpr milliseconds kPatience{60'000};  // after this the guest's own output is asked, too

  private:
    void poll();
    void on_leases(NetworkId network, const std::vector<Lease>& leases);
    void ask_guest(const YoungGuest& guest, const std::string& nic);

    Seams seams_;
    VmKeeper& vms_;
    const NetworkKeeper& networks_;
    std::set<NetworkId> asking_;
    std::set<std::pair<VmId, std::string>> answered_;
    Life life_;
};

}  // namespace axle
