// dnsmasq's log and its lease file, both with words that guests choose: whatever they are, no MAC has two leases, and
// nothing else than a MAC and an address is taken from a line.
#include <cstddef>
#include <cstdint>
#include <set>

#include "agent/network/dhcp_log.hpp"
#include "common/base/ensure.hpp"
#include "common/model/format.hpp"
#include "tests/support/fuzz_input.hpp"

using namespace axle;

namespace {

constexpr WallTime kNow{INT64_C(1'800'000'000'000)};

void check(const Lease& lease) {
    ENSURE(!why_not(Format::mac, lease.mac), "a lease is of a MAC");
    ENSURE(lease.address.empty() ? lease.stage == DhcpStage::asked : parse_ipv4(lease.address).has_value(),
           "and an address is one");
}

}  // namespace

// The first byte: 'l' for the log, else the lease file.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    const std::vector<Lease> log = read_dhcp_log(data[0] == 'l' ? text : "", kNow);
    std::set<std::string> macs;
    for (const Lease& lease : log) {
        check(lease);
        ENSURE(macs.insert(lease.mac).second, "of each MAC the last is told");
    }
    const std::vector<Lease> file = read_lease_file(data[0] == 'l' ? "" : text);
    for (const Lease& lease : file) check(lease);
    return test::told(!join_leases(log, file).empty());
}
