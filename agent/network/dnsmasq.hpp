// DHCP and DNS of nat networks: one dnsmasq per network, which outlives us and is adopted again (pid file, and /proc
// says that it runs with our configuration). Workers only; one thread at a time.
#pragma once
#include <string>
#include <vector>

#include "agent/network/dhcp_log.hpp"
#include "agent/network/network.hpp"

namespace axle {

// Text of the configuration file; pure. folder: where its files lie.
std::string dnsmasq_config(const NetworkDocument& network, const std::string& folder);

class Dnsmasq {
  public:
    explicit Dnsmasq(std::string folder);  // a folder for each network is made below

    // Running with this configuration and exactly these reservations. Adding one needs no restart.
    Result<> apply(const NetworkDocument& network);
    // Ends it and removes its files. Not there: success.
    Result<> remove(NetworkId network);
    // Networks that have files here, whoever runs.
    Result<std::vector<NetworkId>> known() const;
    Result<std::vector<Lease>> leases(NetworkId network) const;

  private:
    std::string folder_of(NetworkId network) const { return folder_ + "/" + network.str(); }
    int running_pid(const std::string& folder) const;  // 0: not running
    Result<> start(const std::string& folder);
    Result<> stop(const std::string& folder);
    void shorten_log(const std::string& folder) const;
    bool has_taken_address(const NetworkDocument& network, const std::string& folder) const;
    Result<> forget_leases(const NetworkDocument& network, const std::string& folder) const;
    Result<bool> write_reservations(const NetworkDocument& network,
                                    const std::string& folder);  // true: some went or changed

    std::string folder_;
};

}  // namespace axle
