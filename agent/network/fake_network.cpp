#include "agent/network/fake_network.hpp"

#include <algorithm>

#include "common/model/format.hpp"

namespace axle {
namespace {

SimpleReport refused(const char* reason, std::string message) {
    return {.ready = false,
            .conditions = {{.type = reason, .status = true, .reason = reason, .message = std::move(message)}}};
}

}  // namespace

void FakeNetwork::answer_by(std::function<void()> job) {
    if (deliver)
        deliver(std::move(job));
    else
        core_.post(std::move(job));
}

SimpleReport FakeNetwork::make(const NetworkDocument& network) {
    if (network.type == NetworkType::bridged) {
        if (!host_bridges.contains(network.bridge))
            return refused("BridgeMissing", fmt::format("the host has no bridge {}", network.bridge));
        return {.ready = true};
    }
    const auto range = parse_cidr(network.cidr);
    for (const std::string& route : host_routes) {
        const auto theirs = parse_cidr(route);
        if (range && theirs && theirs->overlaps(*range) && !networks_.contains(network.id))
            return refused("RangeOverlaps", fmt::format("range {} overlaps {}", network.cidr, route));
    }
    return {.ready = true};
}

void FakeNetwork::apply(NetworkPlan plan, std::function<void(Result<NetworkReport>)> answer) {
    if (auto error = fails("apply"))
        return answer_by([answer = std::move(answer), error = std::move(*error)] { answer(fail(error)); });
    NetworkReport report;
    std::map<NetworkId, NetworkDocument> networks;
    for (const NetworkDocument& network : plan.networks) {
        SimpleReport made = make(network);
        if (made.ready) networks[network.id] = network;
        report.networks[network.id] = std::move(made);
    }
    std::map<std::string, NicPlan> taps;
    for (const NicPlan& nic : plan.nics) {
        if (networks.contains(nic.network))
            taps[nic.tap] = nic;
        else
            report.tap_errors[nic.tap] = "its network is not ready here";
    }
    for (const auto& [tap, nic] : taps_) {
        const bool stays = open_.contains(tap) && !taps.contains(tap);
        if (!stays) continue;
        taps[tap] = nic;
        networks.insert({nic.network, networks_[nic.network]});
    }
    networks_ = std::move(networks);
    taps_ = std::move(taps);
    std::erase_if(leases_, [&](const auto& entry) { return !networks_.contains(entry.first); });
    answer_by([answer = std::move(answer), report = std::move(report)]() mutable { answer(std::move(report)); });
}

void FakeNetwork::leases(NetworkId network, std::function<void(Result<std::vector<Lease>>)> answer) {
    if (auto error = fails("leases"))
        return answer_by([answer = std::move(answer), error = std::move(*error)] { answer(fail(error)); });
    std::vector<Lease> out;
    for (const auto& [mac, lease] : leases_[network]) out.push_back(lease);
    answer_by([answer = std::move(answer), out = std::move(out)]() mutable { answer(std::move(out)); });
}

void FakeNetwork::remove_all(std::function<void(Result<>)> done) {
    if (auto error = fails("remove_all"))
        return answer_by([done = std::move(done), error = std::move(*error)] { done(fail(error)); });
    networks_.clear();
    taps_.clear();
    leases_.clear();
    open_.clear();
    answer_by([done = std::move(done)] { done({}); });
}

std::optional<std::string> FakeNetwork::ask_dhcp(const std::string& tap) {
    const auto nic = taps_.find(tap);
    if (nic == taps_.end() || !open_.contains(tap)) return std::nullopt;
    const auto network = networks_.find(nic->second.network);
    if (network == networks_.end() || network->second.type != NetworkType::nat) return std::nullopt;
    const std::string& mac = nic->second.mac;
    Lease& lease = leases_[network->first][mac];
    lease.mac = mac;
    const auto& reservations = network->second.reservations;
    const auto reserved = std::ranges::find(reservations, mac, &Reservation::mac);
    if (reserved == reservations.end()) {
        lease.stage = DhcpStage::asked;
        return std::nullopt;
    }
    lease = {mac, reserved->address, DhcpStage::answered};
    return lease.address;
}

std::string FakeNetwork::broken() const {
    std::map<NetworkId, std::set<std::string>> seen;
    for (const auto& [tap, nic] : taps_) {
        if (!networks_.contains(nic.network)) return fmt::format("tap {} is on a network that is not there", tap);
        for (const std::string& mine : {nic.mac, nic.address}) {
            if (!mine.empty() && !seen[nic.network].insert(mine).second)
                return fmt::format("{} is twice in network {}", mine, nic.network.str());
        }
    }
    for (const auto& [id, network] : networks_) {
        for (const NetworkPeer& peer : network.peers) {
            for (const std::string& theirs : {peer.mac, peer.address}) {
                if (!theirs.empty() && !seen[id].insert(theirs).second)
                    return fmt::format("{} is here and on host {} in network {}", theirs, peer.host, id.str());
            }
        }
    }
    for (const std::string& tap : open_) {
        if (!taps_.contains(tap)) return fmt::format("tap {} is open and was taken away", tap);
    }
    return "";
}

}  // namespace axle
