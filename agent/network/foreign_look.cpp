// Looking at this host's foreign rules and the way out of it.
#include <algorithm>

#include "agent/network/firewall.hpp"
#include "agent/network/foreign_firewall.hpp"
#include "agent/network/rtnetlink.hpp"
#include "common/base/file.hpp"
#include "common/base/process.hpp"

namespace axle {

Result<std::vector<ForeignChain>> read_legacy_rules() {
    const auto tables = read_file("/proc/net/ip_tables_names", 4096);
    if (!tables || tables->find("filter") == std::string::npos) return std::vector<ForeignChain>{};
    TRY(listing, run_checked({.program = "iptables-legacy-save", .arguments = {"-t", "filter"}}));
    return read_iptables_save(listing);
}

Result<std::vector<ForeignChain>> read_foreign_rules() {
    TRY(listing, Firewall().list_ruleset());
    TRY(chains, read_nft_ruleset(listing));
    TRY(legacy, read_legacy_rules());
    chains.insert(chains.end(), legacy.begin(), legacy.end());
    return std::move(chains);
}

Result<HostPath> read_host_path() {
    TRY(rtnl, Rtnetlink::open());
    TRY(links, rtnl->links());
    TRY(routes, rtnl->routes());
    HostPath path;
    const auto way = std::ranges::find(routes, "0.0.0.0/0", &Route::destination);
    if (way != routes.end()) {
        const auto link = std::ranges::find(links, way->out_index, &Link::index);
        if (link != links.end()) path.uplink = link->name;
    }
    path.bridged_filtered = read_file("/proc/sys/net/bridge/bridge-nf-call-iptables", 16).value_or("").starts_with('1');
    return path;
}

Result<bool> others_forward() {
    if (read_file("/proc/net/ip_tables_names", 4096).value_or("").find("nat") != std::string::npos) return true;
    TRY(listing, Firewall().list_ruleset());
    // As nft writes its own statements and those of iptables-nft.
    for (const char* statement : {"\"masquerade\"", "\"MASQUERADE\"", "\"snat\"", "\"SNAT\"", "\"dnat\"", "\"DNAT\""}) {
        if (listing.find(statement) != std::string::npos) return true;
    }
    return false;
}

Result<std::vector<std::string>> blocking_programs() {
    TRY(chains, read_foreign_rules());
    TRY(path, read_host_path());
    const NetworkDocument any{
        .type = NetworkType::nat, .bridge = "axbaaaaaaaaaaaa", .gateway = "10.0.0.1", .forwards = {{.host_port = 80}}};
    std::vector<std::string> out;
    for (const ForeignBlock& block : foreign_blocks(chains, any, path)) {
        for (const std::string& program : block.programs) {
            if (std::ranges::find(out, program) == out.end()) out.push_back(program);
        }
    }
    return out;
}

}  // namespace axle
