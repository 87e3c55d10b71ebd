// /etc/axle/axle.yaml. All of it is optional; a mistake keeps the program from starting and its message names line and
// field.
#pragma once
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "common/model/compute.hpp"

namespace axle {

struct ServiceConfig {
    std::string state_directory = "/var/lib/axle";
    std::string log_directory = "/var/log/axle";
    std::string run_directory = "/run/axle";
    std::string listen = "[::]:7443";  // "none": the unix socket only
    // Where other hosts bring guests that move to this one (TLS, of both sides); 0: nowhere.
    std::int64_t data_port = 7444;
    // Names and addresses under which other machines reach the port; empty: the addresses of this machine.
    std::vector<std::string> advertise;
    std::string packages = "/usr/share/axle/packages";  // given to new hosts
    std::string group = "axle";                         // its members are administrators on the unix socket
    std::string libvirt_uri = "qemu:///system";
    std::string libvirt_definitions = "/etc/libvirt/qemu";
    WantedAccelerator accelerator = WantedAccelerator::automatic;  // kvm, qemu: whatever this machine seems to have
    std::string first_pool;  // where the first start makes the pool "main"; default: <stateDirectory>/pools/main
};

// Not there: the defaults, unless `must_exist`.
Result<ServiceConfig> read_config(const std::string& path, bool must_exist);

// The whole of it as JSON, what was left to its default too.
std::string config_text(const ServiceConfig& config);
std::vector<std::string> config_fields();

struct ListenAddress {
    std::string address;  // numeric
    int port = 0;
};
Result<ListenAddress> parse_listen(const std::string& text);      // "[::]:7443", "127.0.0.1:7443", ":7443"
Result<ListenAddress> parse_advertised(const std::string& text);  // "cloud.example", "192.0.2.1:7443", "[2001:db8::1]"

}  // namespace axle
