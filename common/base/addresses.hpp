// The addresses of this machine, as its kernel tells them. Nothing is sent, no name is looked up.
#pragma once
#include <string>
#include <vector>

namespace axle {

// Numeric, without loopback, link-local ones and those of our guests' networks (axb…). IPv4 first; the one that leads
// to the rest of the world before all others.
std::vector<std::string> machine_addresses();
// Of any interface of this machine, loopback and our guests' gateways too. true also where the kernel doesn't tell.
bool is_machine_address(const std::string& numeric);
// From which IPv4 address packets to the rest of the world leave; empty: there is no way out.
std::string outward_address();
std::string machine_name();

}  // namespace axle
