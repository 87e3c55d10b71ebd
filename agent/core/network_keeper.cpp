#include "agent/core/network_keeper.hpp"

#include <algorithm>

#include "agent/core/storage_keeper.hpp"
#include "common/model/codec.hpp"

namespace axle {

NetworkKeeper::NetworkKeeper(const Seams& seams, Ledger& ledger, Reporter& reporter, Hooks hooks)
    : seams_(seams),
      ledger_(ledger),
      reporter_(reporter),
      hooks_(std::move(hooks)),
      attempt_(seams.clock, seams.random, [this] { look(); }) {}

void NetworkKeeper::apply(const DocumentRecord& record) {
    auto document = from_json_text<NetworkDocument>(record.content);
    if (!document) return seams_.log(log::Level::error, "network document: " + document.error().message);
    Entry& entry = networks_[NetworkId{record.id}];
    entry.document = std::move(*document);
    entry.verdict = record.verdict;
    mark();
}

void NetworkKeeper::mark() {
    attempt_.kick_now();
}

void NetworkKeeper::look_again() {
    const BootTime now = seams_.clock.boot();
    if (now < next_hint_) return attempt_.look_after(next_hint_ - now);
    next_hint_ = now + kHintEvery;
    attempt_.kick_now();
}

NetworkPlan NetworkKeeper::make_plan() const {
    NetworkPlan plan;
    for (const auto& [id, entry] : networks_) {
        if (entry.verdict == Verdict::keep || hooks_.used(id)) plan.networks.push_back(entry.document);
    }
    for (NicPlan& nic : hooks_.nics()) {
        const auto network = std::ranges::find(plan.networks, nic.network, &NetworkDocument::id);
        if (network == plan.networks.end()) continue;
        // At home here, whatever the orchestrator knows of it yet.
        if (!hooks_.is_coming(nic.vm)) std::erase_if(network->peers, [&](const auto& p) { return p.mac == nic.mac; });
        if (!nic.address.empty()) network->reservations.push_back({nic.mac, nic.address, nic.hostname});
        plan.nics.push_back(std::move(nic));
    }
    for (NetworkDocument& network : plan.networks) std::ranges::sort(network.reservations, {}, &Reservation::mac);
    return plan;
}

void NetworkKeeper::look() {
    NetworkPlan plan = make_plan();
    std::map<std::string, NicPlan> staying;
    for (const NicPlan& nic : plan.nics) {
        maybe_.insert(nic.vm);
        if (auto it = usable_.find(nic.tap); it != usable_.end()) staying.insert(*it);
    }
    usable_ = std::move(staying);
    auto answer = attempt_.job<NetworkReport>(
        [this, plan](Result<NetworkReport> report) { on_applied(plan, std::move(report)); });
    seams_.network.apply(std::move(plan), std::move(answer));
}

void NetworkKeeper::on_applied(const NetworkPlan& plan, Result<NetworkReport> report) {
    if (!report) {
        for (auto& [id, entry] : networks_) {
            SimpleReport failed{.conditions = {not_ready(report.error())}};
            keep_since(entry.report.conditions, failed.conditions, seams_.clock.wall());
            failed.ready = entry.report.ready;  // a failed apply leaves what was right
            entry.report = std::move(failed);
            reporter_.set({DocumentKind::network, id}, {}, to_json_text(entry.report));
        }
        return attempt_.back_off();
    }
    applied_once_ = true;
    usable_.clear();
    maybe_.clear();
    for (const NicPlan& nic : plan.nics) {
        usable_[nic.tap] = nic;
        maybe_.insert(nic.vm);
    }
    tap_errors_ = std::move(report->tap_errors);
    bool all_well = tap_errors_.empty();
    for (auto& [id, fresh] : report->networks) {
        auto it = networks_.find(id);
        if (it == networks_.end()) continue;
        keep_since(it->second.report.conditions, fresh.conditions, seams_.clock.wall());
        it->second.report = std::move(fresh);
        all_well = all_well && it->second.report.ready;
        reporter_.set({DocumentKind::network, id}, {}, to_json_text(it->second.report));
    }
    finish_released(plan);
    hooks_.changed();
    if (all_well) return attempt_.ease();
    attempt_.back_off();  // what is missing (a bridge, a port) may come
}

void NetworkKeeper::finish_released(const NetworkPlan& plan) {
    for (auto it = networks_.begin(); it != networks_.end();) {
        const DocumentKey key{DocumentKind::network, it->first};
        const bool applied = std::ranges::any_of(plan.networks, [&](const auto& n) { return n.id == it->first; });
        if (it->second.verdict == Verdict::keep || applied || hooks_.used(it->first) || ledger_.writing(key)) {
            ++it;
            continue;
        }
        ledger_.forget_document(key);
        reporter_.gone(key, {});
        it = networks_.erase(it);
    }
}

Missing NetworkKeeper::missing(const VmDocument& vm) const {
    for (const auto& nic : vm.nics) {
        auto network = networks_.find(nic.network);
        if (network == networks_.end())
            return {fmt::format("nic {} is on network {}, which this host was not given", nic.name, nic.network.str())};
        const std::string tap = tap_name(vm.id, nic.name);
        auto applied = usable_.find(tap);
        const bool same = applied != usable_.end() && applied->second.mac == nic.mac &&
                          applied->second.address == nic.address && applied->second.network == nic.network;
        const auto& conditions = network->second.report.conditions;
        if (auto trouble = tap_errors_.find(tap); trouble != tap_errors_.end())
            return {fmt::format("nic {}: {}", nic.name, trouble->second)};
        if (!network->second.report.ready)
            return {fmt::format("network {} is not ready{}", network->second.document.name,
                                conditions.empty() ? "" : ": " + conditions.front().message),
                    conditions.empty()};
        if (!same) return {fmt::format("nic {} is being connected", nic.name), true};
    }
    return {};
}

bool NetworkKeeper::without(VmId vm) const {
    return applied_once_ && !maybe_.contains(vm);
}

std::string NetworkKeeper::bridge_to(VmId vm, const std::string& address) const {
    for (const auto& [tap, nic] : usable_) {
        if (nic.vm != vm || nic.address.empty() || nic.address != address) continue;
        const auto network = networks_.find(nic.network);
        if (network != networks_.end()) return network->second.document.bridge;
    }
    return {};
}

bool NetworkKeeper::is_nat(NetworkId network) const {
    auto it = networks_.find(network);
    return it != networks_.end() && it->second.document.type == NetworkType::nat;
}

std::int64_t NetworkKeeper::mtu(NetworkId network) const {
    auto it = networks_.find(network);
    return it == networks_.end() ? 1500 : it->second.document.mtu;
}

}  // namespace axle
