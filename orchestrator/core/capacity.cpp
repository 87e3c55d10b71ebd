// How much more fits: the scheduler's own filters asked what they would say (axle capacity).
#include <algorithm>

#include "orchestrator/core/admit.hpp"
#include "orchestrator/core/orchestrator.hpp"
#include "orchestrator/scheduler/fitting.hpp"

namespace axle {
namespace {

constexpr std::size_t kGuestsMax = 10'000;

Result<> fill_size(const World& world, const CapacityQuery& query, CapacityAnswer& answer) {
    FlavorSpec size;
    if (!query.flavor.empty()) {
        const ObjectPtr flavor = world.named(Kind::flavor, {}, query.flavor);
        if (!flavor)
            return fail(error(Code::not_found, "no flavor \"{}\"", query.flavor).with_hint("axle flavor list"));
        size = static_cast<const Flavor&>(*flavor).spec;
    }
    answer.cpus = query.cpus.value_or(size.cpus);
    answer.memory = query.memory.value_or(size.memory);
    answer.disk = query.disk.value_or(size.disk.value_or(0));
    return {};
}

Result<VolumeRequest> volume_for(const World& world, const CapacityQuery& query, std::int64_t size) {
    const ObjectPtr named = world.named(Kind::pool, {}, query.pool);
    const Pool* pool = query.pool.empty() ? default_pool(world) : static_cast<const Pool*>(named.get());
    if (pool != nullptr)
        return VolumeRequest{.pool = PoolId{pool->meta.id}, .pool_name = pool->meta.name, .size = size};
    if (query.pool.empty())
        return fail(error(Code::invalid, "no pool is the default one").with_hint("name one: --pool NAME"));
    return fail(error(Code::not_found, "no pool \"{}\"", query.pool).with_hint("axle pool list"));
}

}  // namespace

Result<CapacityAnswer> Orchestrator::capacity_of(const CapacityQuery& query) const {
    const World& world = pipeline_.world();
    if (!may_read(query.who, Kind::host, {}))
        return fail(error(Code::forbidden, "{} may not see the hosts", query.who.name)
                        .with_hint("ask for a token that holds in all projects"));
    CapacityAnswer answer;
    TRY_VOID(fill_size(world, query, answer));
    VmRequest request{.name = "one more", .cpus = answer.cpus, .memory = answer.memory};
    if (answer.disk > 0) {
        TRY(volume, volume_for(world, query, answer.disk));
        answer.pool = volume.pool_name;
        request.volumes.push_back(std::move(volume));
    }
    std::vector<HostState> hosts = controllers_.host_states();
    if (!query.without.empty()) {
        const auto lost = std::ranges::find(hosts, query.without, &HostState::name);
        if (lost == hosts.end())
            return fail(error(Code::not_found, "no host \"{}\"", query.without).with_hint("axle host list"));
        const Uuid id = lost->id;
        hosts.erase(lost);
        answer.moved = refuges_of(guests_of(id), hosts);
    }
    answer.hosts = how_many_fit(request, hosts);
    for (const Fit& fit : answer.hosts) answer.count += fit.count;
    return answer;
}

// Those that are to run, the most important first.
std::vector<VmRequest> Orchestrator::guests_of(const Uuid& host) const {
    std::vector<const Vm*> there = pipeline_.world().vms_on(host);
    std::erase_if(there, [](const Vm* vm) { return vm->is_deleted(); });
    if (there.size() > kGuestsMax) there.resize(kGuestsMax);
    std::ranges::stable_sort(there, [](const Vm* a, const Vm* b) { return a->spec.priority > b->spec.priority; });
    std::vector<VmRequest> out;
    for (const Vm* vm : there) {
        auto request = controllers_.request_for(*vm);
        if (!request) continue;
        request->name = vm->meta.project.name + "/" + vm->meta.name;
        out.push_back(std::move(*request));
    }
    return out;
}

void Orchestrator::capacity(CapacityQuery query, Answered<CapacityAnswer> answer) {
    answer_durably<CapacityAnswer>(std::move(answer), capacity_of(query));
}

}  // namespace axle
