#include "agent/network/network.hpp"
#include "common/base/digest.hpp"

namespace axle {

std::string bridge_name(NetworkId network) {
    return "axb" + short_hash(network);
}

std::string tunnel_name(NetworkId network) {
    return "axv" + short_hash(network);
}

// The NIC's name is part of what is hashed: made into an id so that short_hash() stays the one place of the rule.
std::string tap_name(VmId vm, const std::string& nic) {
    Uuid both;
    const std::string digest = sha256(vm.str() + "/" + nic);
    for (std::size_t i = 0; i < both.bytes.size(); ++i) both.bytes[i] = static_cast<std::uint8_t>(digest[i]);
    return "axt" + short_hash(both);
}

bool is_our_name(std::string_view interface) {
    return interface.starts_with("axb") || interface.starts_with("axt") || interface.starts_with("axv");
}

}  // namespace axle
