#include "orchestrator/core/on_hosts.hpp"

#include <algorithm>

namespace axle {
namespace {

constexpr std::size_t kHostsShown = 100, kConditionsTold = 50;

// subject: the member that says what an entry is about.
template <typename T>
const T* entry(const std::vector<T>& reports, Ref T::*subject, const Uuid& of) {
    const auto found = std::ranges::find(reports, of, [&](const T& there) { return (there.*subject).id; });
    return found == reports.end() ? nullptr : &*found;
}

template <typename T>
T& entry_or_new(std::vector<T>& reports, Ref T::*subject, const Ref& of) {
    const auto found = std::ranges::find(reports, of.id, [&](const T& there) { return (there.*subject).id; });
    if (found != reports.end()) return *found;
    T& made = reports.emplace_back();
    made.*subject = of;
    return made;
}

template <typename T>
void add_left(const std::vector<T>& before, const std::vector<T>* after, Ref T::*subject, Kind kind,
              std::vector<Key>& out) {
    for (std::size_t i = 0; i < before.size(); ++i) {
        const Uuid& of = (before[i].*subject).id;
        const bool in_place = after != nullptr && i < after->size() && ((*after)[i].*subject).id == of;
        if (!in_place && (after == nullptr || entry(*after, subject, of) == nullptr)) out.push_back({kind, of});
    }
}

}  // namespace

const ReportedPool* reported_pool(const Host& host, const Uuid& pool) {
    return entry(host.status.pools, &ReportedPool::pool, pool);
}
const ReportedNetwork* reported_network(const Host& host, const Uuid& network) {
    return entry(host.status.networks, &ReportedNetwork::network, network);
}

ReportedPool& note_pool(Host& host, const Ref& pool) {
    return entry_or_new(host.status.pools, &ReportedPool::pool, pool);
}
ReportedNetwork& note_network(Host& host, const Ref& network) {
    return entry_or_new(host.status.networks, &ReportedNetwork::network, network);
}

void note_networks(Transaction& tx, const Vm& vm, const Uuid& host) {
    std::vector<Ref> missing;
    for (const auto& [name, nic] : vm.spec.nics) {
        const auto* network = tx.world().find<NetworkObject>(nic.network.id);
        if (network != nullptr && !tx.world().hosts_told(nic.network.id).contains(host))
            missing.push_back({nic.network.id, network->meta.name});
    }
    if (missing.empty()) return;
    tx.update_status<Host>(host, [&](Host& h) {
        for (const Ref& network : missing) note_network(h, network);
    });
}

ObjectPtr pool_as_told(const World& world, const Pool& pool) {
    std::vector<std::pair<const Host*, const ReportedPool*>> hosts;
    for (const Uuid& id : world.hosts_told(pool.meta.id)) {
        const Host* host = world.find<Host>(id);
        hosts.emplace_back(host, reported_pool(*host, pool.meta.id));
    }
    auto view = std::make_shared<Pool>(pool);
    PoolStatus& status = view->status = {};
    status.host_count = static_cast<std::int64_t>(hosts.size());
    for (const auto& [host, there] : hosts) {
        status.ready_count += there->ready ? 1 : 0;
        const bool same = pool.spec.shared && status.size > 0;  // one directory, seen from another host
        status.size += same ? 0 : there->size;
        status.free += same ? 0 : there->free;
    }
    std::ranges::sort(hosts, {}, [](const auto& h) { return std::pair(h.second->ready, h.first->meta.name); });
    if (hosts.size() > kHostsShown) hosts.resize(kHostsShown);
    for (const auto& [host, there] : hosts) status.hosts[host->meta.name] = *there;
    return view;
}

NetworkSummary summary_of(const World& world, const Uuid& network) {
    NetworkSummary sum{.ready = !world.hosts_told(network).empty()};
    for (const Uuid& id : world.hosts_in_trouble(network)) {
        const Host* host = world.find<Host>(id);
        const ReportedNetwork* there = reported_network(*host, network);
        sum.ready = sum.ready && there->ready;
        for (Condition c : there->conditions) {
            if (sum.conditions.size() == kConditionsTold) break;
            c.message = fmt::format("on {}: {}", host->meta.name, c.message);
            sum.conditions.push_back(std::move(c));
        }
    }
    return sum;
}

std::vector<Key> no_longer_told(const ChangeEvent& event) {
    std::vector<Key> out;
    if (!event.before) return out;
    const HostStatus& before = static_cast<const Host&>(*event.before).status;
    const HostStatus* after = event.object ? &static_cast<const Host&>(*event.object).status : nullptr;
    add_left(before.pools, after == nullptr ? nullptr : &after->pools, &ReportedPool::pool, Kind::pool, out);
    add_left(before.networks, after == nullptr ? nullptr : &after->networks, &ReportedNetwork::network, Kind::network,
             out);
    return out;
}

}  // namespace axle
