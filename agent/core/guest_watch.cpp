#include "agent/core/guest_watch.hpp"

#include <algorithm>

namespace axle {

GuestWatch::GuestWatch(const Seams& seams, VmKeeper& vms, const NetworkKeeper& networks)
    : seams_(seams), vms_(vms), networks_(networks) {}

void GuestWatch::start() {
    seams_.clock.after(kPoll, life_.wrap([this] {
        poll();
        start();
    }));
}

void GuestWatch::poll() {
    std::set<NetworkId> wanted;
    std::set<std::pair<VmId, std::string>> still;
    for (const auto& guest : vms_.young_guests(kYoung)) {
        for (const auto& nic : guest.nics) {
            if (!networks_.is_nat(nic.network)) continue;
            if (guest.age < kPoll) answered_.erase({guest.vm, nic.name});  // a new run
            if (answered_.contains({guest.vm, nic.name})) {
                still.insert({guest.vm, nic.name});
            } else {
                wanted.insert(nic.network);
            }
        }
    }
    answered_ = std::move(still);
    for (const NetworkId network : wanted) {
        if (!asking_.insert(network).second) continue;  // one question at a time
        seams_.network.leases(network, life_.wrap([this, network](Result<std::vector<Lease>> leases) {
            asking_.erase(network);
            if (leases) on_leases(network, *leases);
        }));
    }
}

void GuestWatch::on_leases(NetworkId network, const std::vector<Lease>& leases) {
    for (const auto& guest : vms_.young_guests(kYoung)) {
        const std::int64_t began_ms = seams_.clock.wall().ms - guest.age.count();
        for (const auto& nic : guest.nics) {
            if (nic.network != network) continue;
            const auto lease = std::ranges::find(leases, nic.mac, &Lease::mac);
            const bool of_this_run =
                lease != leases.end() && (lease->at.ms == 0 || lease->at.ms + kSlack.count() >= began_ms);
            const DhcpStage stage = of_this_run ? lease->stage : DhcpStage::none;
            if (stage == DhcpStage::none) {
                if (guest.age >= kPatience) ask_guest(guest, nic.name);
                continue;
            }
            const bool has = stage == DhcpStage::answered;
            if (has) answered_.insert({guest.vm, nic.name});
            vms_.set_stage(guest.vm, nic.name, has ? "dhcp-answered" : "dhcp-asked", guest.age);
        }
    }
}

void GuestWatch::ask_guest(const YoungGuest& guest, const std::string& nic) {
    seams_.guests.last_stage(guest.vm, life_.wrap([this, guest, nic](Result<std::string> stage) {
        vms_.set_stage(guest.vm, nic, stage ? *stage : "none", guest.age);
    }));
}

}  // namespace axle
