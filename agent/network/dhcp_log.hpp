// What dnsmasq has written of DHCP, as facts per MAC. Pure. Parts of its lines are chosen by guests (host names, vendor
// classes), so each line is taken by its whole form or not at all.
#pragma once
#include <string_view>
#include <vector>

#include "agent/network/network.hpp"

namespace axle {

// "Nov 23 06:48:58 dnsmasq-dhcp[20]: DHCPACK(axb...) 10.0.0.5 52:54:00:00:00:01 name" and its like. The times are local
// and name no year: they are of the twelve months before `now` (and a day after, for a clock that was set back).
std::vector<Lease> read_dhcp_log(std::string_view log, WallTime now);

constexpr seconds kLeaseTime{12 * 3600};

// The lease file: "expiry mac address name client-id" a line, expiry in seconds since 1970. All were given for
// kLeaseTime.
std::vector<Lease> read_lease_file(std::string_view text);

// Both: a MAC with a lease was answered, whatever is left of the log.
std::vector<Lease> join_leases(std::vector<Lease> from_log, const std::vector<Lease>& from_file);

}  // namespace axle
