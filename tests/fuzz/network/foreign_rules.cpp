// The rules of others' firewalls, as nft's JSON and as iptables-legacy-save: read, and walked with packets of ours,
// even where chains jump in circles.
#include "agent/network/foreign_rules.hpp"

#include <cstddef>
#include <cstdint>

#include "common/base/ensure.hpp"
#include "tests/support/fuzz_input.hpp"

using namespace axle;

// The first byte: 'n' for nft, else iptables.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
    const auto chains = data[0] == 'n' ? read_nft_ruleset(text) : read_iptables_save(text);
    if (!chains) return test::told(false);
    const Packet packets[] = {
        {.hook = "forward", .in = "axb1", .out = "eth0", .source = "10.0.0.5", .destination = "192.0.2.1"},
        {.hook = "forward", .in = "eth0", .out = "axb1", .port = "80", .status = "dnat", .destination = "10.0.0.5"},
        {.hook = "input", .in = "axb1", .protocol = "udp", .port = "67", .destination_type = "broadcast"}};
    for (const Packet& packet : packets) {
        const auto drop = find_drop(*chains, packet);
        ENSURE(!drop || (drop->chain != nullptr && !drop->where.empty()), "what drops it is named");
    }
    return test::told(!chains->empty());
}
