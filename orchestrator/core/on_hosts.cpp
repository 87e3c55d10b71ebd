#include "orchestrator/core/on_hosts.hpp"

#include <algorithm>

#include "common/model/codec.hpp"

namespace axle {
namespace {

constexpr std::size_t kHostsShown = 100, kConditionsTold = 50;

struct Row {
    Uuid host{}, network{};
    NetworkOnHost there;
};

Result<Row> row_of(std::string_view key, std::string_view value) {
    const auto host = Uuid::parse(key.substr(0, key.find('/')));
    const auto network = Uuid::parse(key.substr(std::min(key.size(), key.find('/') + 1)));
    if (!host || !network) return fail(Code::corrupt, "\"{}\" names no host and network", key);
    TRY(there, from_json_text<NetworkOnHost>(value));
    return Row{*host, *network, std::move(there)};
}

}  // namespace

const ReportedPool* reported_pool(const Host& host, const Uuid& pool) {
    const auto found = std::ranges::find(host.status.pools, pool, [](const auto& there) { return there.pool.id; });
    return found == host.status.pools.end() ? nullptr : &*found;
}

ReportedPool& note_pool(Host& host, const Ref& pool) {
    if (const ReportedPool* there = reported_pool(host, pool.id)) return const_cast<ReportedPool&>(*there);
    ReportedPool& made = host.status.pools.emplace_back();
    made.pool = pool;
    return made;
}

void note_networks(Transaction& tx, const Vm& vm, const Uuid& host) {
    for (const auto& [name, nic] : vm.spec.nics) {
        const Uuid network = nic.network.id;
        if (tx.world().find<NetworkObject>(network) != nullptr && tx.world().network_on(host, network) == nullptr)
            tx.put_network_on(host, network, NetworkOnHost{});
    }
}

std::string network_on_key(const Uuid& host, const Uuid& network) {
    return fmt::format("{}/{}", host.str(), network.str());
}

Result<> load_networks_on_hosts(const Store& store, World& world) {
    Result<> outcome;
    TRY_VOID(store.scan(Table::networks_on_hosts, "", "", false, [&](std::string_view key, std::string_view value) {
        auto row = row_of(key, value);
        if (row)
            world.put_network_on(row->host, row->network, std::move(row->there));
        else
            outcome = fail(std::move(row.error()).in("networks on hosts"));
        return outcome.has_value();
    }));
    return outcome;
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
    NetworkSummary sum;
    std::size_t told = world.hosts_told(network).size();
    bool works = true;
    for (const Uuid& id : world.hosts_in_trouble(network)) {
        const Host* host = world.find<Host>(id);
        const NetworkOnHost* there = world.network_on(id, network);
        const bool silent = !there->ready && there->conditions.empty();  // it has only just been given it
        told -= silent ? 1 : 0;
        works = works && (silent || there->ready);
        for (Condition c : there->conditions) {
            if (sum.conditions.size() == kConditionsTold) break;
            c.message = fmt::format("on {}: {}", host->meta.name, c.message);
            sum.conditions.push_back(std::move(c));
        }
    }
    sum.ready = works && told > 0;
    return sum;
}

std::vector<Key> pools_no_longer_told(const ChangeEvent& event) {
    std::vector<Key> out;
    if (!event.before) return out;
    const auto* after = static_cast<const Host*>(event.object.get());
    for (const ReportedPool& was : static_cast<const Host&>(*event.before).status.pools) {
        if (after == nullptr || reported_pool(*after, was.pool.id) == nullptr) out.push_back({Kind::pool, was.pool.id});
    }
    return out;
}

}  // namespace axle
