// Which documents a change of one object may touch (derive.hpp). To look at one is to make it, so what hosts only tell
// touches none. Whatever else a document is made of (derive.cpp, derive_vm.cpp, peers.cpp) is compared here.
#include <algorithm>

#include "orchestrator/core/derive.hpp"
#include "orchestrator/core/peers.hpp"

namespace axle {
namespace {

template <typename T>
Uuid host_of(const std::optional<T>& at) {
    return at ? at->host.id : Uuid{};
}

// For the networks that it is in.
bool same_standing(const Vm& was, const Vm& is) {
    const auto same_nic = [](const auto& a, const auto& b) {
        return a.first == b.first && a.second.network.id == b.second.network.id;
    };
    const auto same_address = [](const auto& a, const auto& b) {
        return a.first == b.first && a.second.mac == b.second.mac && a.second.address == b.second.address;
    };
    return host_of(was.status.placement) == host_of(is.status.placement) &&
           host_of(was.status.migration) == host_of(is.status.migration) && was.status.gone == is.status.gone &&
           was.is_deleted() == is.is_deleted() && was.is_final() == is.is_final() &&
           std::ranges::equal(was.spec.nics, is.spec.nics, same_nic) &&
           std::ranges::equal(was.status.nics, is.status.nics, same_address);
}

// For the image that it is made from.
bool same_standing(const Volume& was, const Volume& is) {
    return host_of(was.status.placement) == host_of(is.status.placement) && was.status.gone == is.status.gone &&
           was.is_final() == is.is_final() && was.spec.image_digest == is.spec.image_digest &&
           was.status.leftovers.size() == is.status.leftovers.size();
}

// For every document: only what hosts tell of it differs.
bool same_document(const Vm& was, const Vm& is) {
    const auto at_rest = [](const Vm& vm) { return !vm.status.migration && vm.status.leftovers.empty(); };
    const auto epoch_of = [](const Vm& vm) { return vm.status.placement ? vm.status.placement->epoch : Epoch{}; };
    return was.meta.revision == is.meta.revision && at_rest(was) && at_rest(is) && epoch_of(was) == epoch_of(is) &&
           was.status.machine == is.status.machine && was.status.cpu_model == is.status.cpu_model &&
           was.status.accelerator == is.status.accelerator && was.status.disk_slots == is.status.disk_slots &&
           same_standing(was, is);
}
bool same_document(const NetworkObject& was, const NetworkObject& is) {
    return was.meta.revision == is.meta.revision && was.status.vni == is.status.vni &&
           was.status.gateway_mac == is.status.gateway_mac;
}

bool same_document(const Object& was, const Object& is) {
    if (is.kind() == Kind::vm) return same_document(static_cast<const Vm&>(was), static_cast<const Vm&>(is));
    return is.kind() == Kind::network &&
           same_document(static_cast<const NetworkObject&>(was), static_cast<const NetworkObject&>(is));
}
bool same_standing(const Object& was, const Object& is) {
    if (is.kind() == Kind::vm) return same_standing(static_cast<const Vm&>(was), static_cast<const Vm&>(is));
    return is.kind() == Kind::volume && same_standing(static_cast<const Volume&>(was), static_cast<const Volume&>(is));
}

class Touched {
  public:
    Touched(const World& world, const Object* before, const Object* after) : world_(world) {
        if (before != nullptr && after != nullptr) {
            if (same_document(*before, *after)) return;
            same_ = same_standing(*before, *after);
        }
        if (before != nullptr) add(*before);
        if (after != nullptr) add(*after);
        for (const Uuid& network : networks_seen_elsewhere(world, before, after))
            for (const Uuid& host : hosts_of(world, network)) add(host, DocumentKind::network, network);
    }
    std::vector<std::pair<Uuid, DocumentRef>> documents() && { return std::move(out_); }

  private:
    void add(const Uuid& host, DocumentKind kind, const Uuid& id) { out_.push_back({host, {kind, id}}); }

    void add(const Object& object) {
        const Uuid id = object.meta.id;
        switch (object.kind()) {
            case Kind::vm:
                return add_vm(static_cast<const Vm&>(object));
            case Kind::volume: {
                const auto& volume = static_cast<const Volume&>(object);
                if (volume.status.placement) add_volume(volume, volume.status.placement->host.id);
                for (const VmPlacement& left : volume.status.leftovers) add_volume(volume, left.host.id);
                return;
            }
            case Kind::pool:
                for (const auto& [host, h] : world_.all(Kind::host)) add(host, DocumentKind::pool, id);
                return;
            case Kind::network:
                for (const Uuid& host : hosts_of(world_, id)) add(host, DocumentKind::network, id);
                for (const Uuid& host : world_.hosts_told(id)) add(host, DocumentKind::network, id);
                return;
            case Kind::portforward:
                if (const Vm* vm = world_.find<Vm>(static_cast<const PortForward&>(object).spec.vm.id)) add_vm(*vm);
                return;
            case Kind::sshkey:
                for (const Key& key : world_.referrers(id)) {
                    if (key.kind == Kind::vm) add_vm(*world_.find<Vm>(key.id));
                }
                return;
            case Kind::host:
                for (const auto& [pool, p] : world_.all(Kind::pool)) add(id, DocumentKind::pool, pool);
                return;
            default:
                return;
        }
    }

    void add_volume(const Volume& volume, const Uuid& host) {
        add(host, DocumentKind::volume, volume.meta.id);
        if (!same_ && !volume.spec.image_digest.empty())
            add(host, DocumentKind::image, image_document_id(volume.spec.pool.id, volume.spec.image_digest));
    }

    void add_vm(const Vm& vm) {
        const auto on = [&](const Uuid& host) {
            add(host, DocumentKind::vm, vm.meta.id);
            if (same_) return;
            for (const auto& [name, nic] : vm.spec.nics) add(host, DocumentKind::network, nic.network.id);
        };
        for (const VmPlacement& left : vm.status.leftovers) add(left.host.id, DocumentKind::vm, vm.meta.id);
        if (vm.status.placement) on(vm.status.placement->host.id);
        if (!vm.status.migration) return;
        on(vm.status.migration->host.id);
        for (const MigrationDisk& disk : vm.status.migration->disks) {
            const Volume* volume = world_.find<Volume>(disk.volume);
            if (volume == nullptr) continue;
            add_volume(*volume, vm.status.migration->host.id);
            if (vm.status.placement) add_volume(*volume, vm.status.placement->host.id);  // its size stands still
        }
    }

    const World& world_;
    bool same_ = false;  // networks and images see nothing of the change
    std::vector<std::pair<Uuid, DocumentRef>> out_;
};

}  // namespace

std::vector<std::pair<Uuid, DocumentRef>> affected_by(const World& world, const Object* before, const Object* after) {
    return Touched(world, before, after).documents();
}

}  // namespace axle
