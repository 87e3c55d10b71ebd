// Room on disks from what is deleted and could still be restored: where a disk finds no other place, its project's
// oldest deleted VMs and volumes go for good before their time, no more of them than it takes (DESIGN 4).
#include <algorithm>
#include <tuple>

#include "orchestrator/core/controllers.hpp"
#include "orchestrator/core/deadlines.hpp"

namespace axle {
namespace {

constexpr std::size_t kLookedAtMax = 64;

// A deleted VM with the disks that go with it, or a deleted volume.
struct Deleted {
    Key key;
    bool going = false;  // its time has come already
    std::int64_t at = 0;
    std::vector<const Volume*> volumes;
};

std::vector<Deleted> deleted_of(const Transaction& tx, const World& world, const Uuid& project,
                                const std::set<PoolId>& pools) {
    std::map<Key, Deleted> found;
    for (const Key& key : world.referrers(project)) {
        const Volume* volume = key.kind == Kind::volume ? world.find<Volume>(key.id) : nullptr;
        if (volume == nullptr || !volume->is_deleted() || !volume->status.placement ||
            !pools.contains(PoolId{volume->spec.pool.id}))
            continue;
        const Vm* owner = world.find<Vm>(volume->status.attached_to.id);
        const Object& whole = owner != nullptr ? static_cast<const Object&>(*owner) : *volume;
        if (!whole.is_deleted()) continue;
        Deleted& entry = found[{whole.kind(), whole.meta.id}];
        entry.key = {whole.kind(), whole.meta.id};
        entry.going = whole.meta.deletion->final || whole.meta.deletion->expunge_at <= tx.moment().cluster_time;
        entry.at = whole.meta.deletion->at;
        entry.volumes.push_back(volume);
    }
    std::vector<Deleted> out;
    for (auto& [key, entry] : found) out.push_back(std::move(entry));
    // What is going already counts first, then the oldest.
    std::ranges::sort(out, [](const Deleted& a, const Deleted& b) {
        return std::tuple(!a.going, a.at, a.key.id) < std::tuple(!b.going, b.at, b.key.id);
    });
    return out;
}

void give_back(std::vector<HostState>& hosts, const Volume& volume) {
    for (HostState& host : hosts) {
        if (host.id != HostId{volume.status.placement->host.id}) continue;
        const auto pool = host.pools.find(PoolId{volume.spec.pool.id});
        if (pool == host.pools.end()) continue;
        pool->second.claimed -= volume.spec.size;
        pool->second.free += volume.status.allocated;
    }
}

void let_go_now(Transaction& tx, const Deleted& deleted) {
    const std::int64_t now = tx.moment().cluster_time;
    for (const Volume* volume : deleted.volumes) expunge_by(tx, {Kind::volume, volume->meta.id}, now);
    if (deleted.key.kind == Kind::vm) expunge_by(tx, deleted.key, now);
}

}  // namespace

bool Controllers::make_room(Transaction& tx, const Uuid& project, const VmRequest& request,
                            std::vector<HostState> hosts) {
    std::set<PoolId> pools;
    for (const VolumeRequest& volume : request.volumes) pools.insert(volume.pool);
    const std::vector<Deleted> deleted = deleted_of(tx, tx.world(), project, pools);
    for (std::size_t taken = 0; taken < std::min(deleted.size(), kLookedAtMax); ++taken) {
        for (const Volume* volume : deleted[taken].volumes) give_back(hosts, *volume);
        if (decide(request, hosts).host.empty()) continue;
        for (std::size_t i = 0; i <= taken; ++i) {
            if (!deleted[i].going) let_go_now(tx, deleted[i]);
        }
        return true;
    }
    return false;
}

}  // namespace axle
