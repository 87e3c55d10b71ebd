// Hardware read from trees of sysfs's form.
#include "agent/host/hardware.hpp"

#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>

#include "agent/host/linux_host.hpp"
#include "common/base/units.hpp"
#include "tests/support/temp_dir.hpp"

using namespace axle;

namespace {

struct Sysfs {
    test::TempDir dir;
    void has(const std::string& path, const std::string& text) const {
        const std::filesystem::path at = dir.path() + "/" + path;
        std::filesystem::create_directories(at.parent_path());
        std::ofstream(at) << text << "\n";
    }
};

}  // namespace

TEST_CASE("NUMA nodes come by number with their processors and memory") {
    const Sysfs sys;
    sys.has("devices/system/node/node10/cpulist", "64-127");
    sys.has("devices/system/node/node10/meminfo", "Node 10 MemTotal:       1048576 kB\nNode 10 MemFree: 5 kB");
    sys.has("devices/system/node/node2/cpulist", "0-63");
    sys.has("devices/system/node/node2/meminfo", "Node 2 MemTotal:       2097152 kB");
    sys.has("devices/system/node/possible", "0-10");
    const auto nodes = read_numa_nodes(sys.dir.path());
    REQUIRE(nodes.size() == 2);
    CHECK(nodes[0].id == 2);
    CHECK(nodes[0].memory == 2 * kGiB);
    CHECK(nodes[1].id == 10);
    CHECK(nodes[1].cpus == "64-127");
}

TEST_CASE("huge pages come by size, also where none are set aside") {
    const Sysfs sys;
    sys.has("kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "16");
    sys.has("kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0");
    const auto pages = read_hugepages(sys.dir.path());
    REQUIRE(pages.size() == 2);
    CHECK(pages[0].size == 2 * kMiB);
    CHECK(pages[0].total == 0);
    CHECK(pages[1].size == kGiB);
    CHECK(pages[1].total == 16);
}

TEST_CASE("disks are those that hardware gives, not what is built of others") {
    const Sysfs sys;
    sys.has("block/sda/size", "4194304");
    sys.has("block/sda/device/model", "ST2000  ");
    sys.has("block/sda/queue/rotational", "1");
    sys.has("block/nvme0n1/size", "2097152");
    sys.has("block/nvme0n1/queue/rotational", "0");
    for (const char* other : {"loop0", "dm-0", "md127", "zram0", "sr0"})
        sys.has(fmt::format("block/{}/size", other), "8");
    sys.has("block/sdb/size", "0");  // a card reader without a card
    const auto disks = read_block_devices(sys.dir.path());
    REQUIRE(disks.size() == 2);
    CHECK(disks[0].name == "nvme0n1");
    CHECK(disks[0].size == kGiB);
    CHECK_FALSE(disks[0].rotational);
    CHECK(disks[1].model == "ST2000");
    CHECK(disks[1].rotational);
}

TEST_CASE("a machine that tells nothing has nothing, and a link without carrier no speed") {
    const Sysfs sys;
    CHECK(read_numa_nodes(sys.dir.path()).empty());
    CHECK(read_hugepages(sys.dir.path()).empty());
    CHECK(read_block_devices(sys.dir.path()).empty());
    sys.has("class/net/eth0/speed", "-1");
    sys.has("class/net/eth1/speed", "25000");
    CHECK(read_link_speed(sys.dir.path(), "eth0") == 0);
    CHECK(read_link_speed(sys.dir.path(), "eth1") == 25'000);
    CHECK(read_link_speed(sys.dir.path(), "eth2") == 0);
    sys.has("class/net/eth0/operstate", "lowerlayerdown");
    sys.has("class/net/eth1/operstate", "up");
    sys.has("class/net/tun0/operstate", "unknown");
    CHECK(read_link_state(sys.dir.path(), "eth0") == "down");
    CHECK(read_link_state(sys.dir.path(), "eth1") == "up");
    CHECK(read_link_state(sys.dir.path(), "tun0") == "unknown");
}

TEST_CASE("this machine's facts hang together") {
    const HostFacts facts = read_host_facts();
    CHECK(facts.cpus > 0);
    CHECK((" " + facts.cpu_flags + " ").find(" sse2 ") != std::string::npos);
    std::int64_t memory = 0;
    for (const NumaNode& node : facts.numa) memory += node.memory;
    CHECK(memory <= facts.memory + facts.memory / 10);
    for (const HostInterface& link : facts.interfaces) {
        CHECK_FALSE(link.name.empty());
        CHECK(link.mtu > 0);
        CHECK_FALSE(link.name.starts_with("axb"));
    }
}
