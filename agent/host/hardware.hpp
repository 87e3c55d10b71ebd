// What the machine is made of, as sysfs tells it. Blocks shortly; what can't be read is left out. sys: "/sys", or a
// tree of its form in tests.
#pragma once
#include <string>
#include <vector>

#include "common/channel/machine.hpp"

namespace axle {

std::vector<NumaNode> read_numa_nodes(const std::string& sys);
std::vector<HugePages> read_hugepages(
    const std::string& sys);  // of sizes that the processor has, also with none set aside
// Whole disks that hardware or a hypervisor gives: no partitions, loop devices, memory disks, nor what is built of
// others.
std::vector<BlockDevice> read_block_devices(const std::string& sys);
std::string read_link_state(const std::string& sys, const std::string& interface);   // "up", "down", "unknown"
std::int64_t read_link_speed(const std::string& sys, const std::string& interface);  // Mbit/s; 0: it doesn't tell

}  // namespace axle
