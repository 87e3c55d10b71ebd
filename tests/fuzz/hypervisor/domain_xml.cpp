// The XML of any domain of the host, ours or not.
#include "agent/hypervisor/domain_xml.hpp"

#include <cstddef>
#include <cstdint>

#include "common/base/ensure.hpp"
#include "tests/support/fuzz_input.hpp"

using namespace axle;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string xml(reinterpret_cast<const char*>(data), size);
    const DomainReading reading = read_domain_xml(xml);
    for (const auto& disk : reading.disks) {
        ENSURE(disk_element(xml, disk.name).has_value(), "a disk that is told is found");
        (void)disk_target(xml, disk.name);
    }
    for (const auto& nic : reading.nics) ENSURE(nic_element(xml, nic.name).has_value(), "a NIC that is told is found");
    return test::told(reading.ours);
}
