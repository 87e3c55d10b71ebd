#include "orchestrator/core/derive.hpp"

#include <algorithm>
#include <set>

#include "common/base/digest.hpp"
#include "common/base/ensure.hpp"
#include "common/model/format.hpp"
#include "orchestrator/core/moves.hpp"
#include "orchestrator/core/peers.hpp"
#include "orchestrator/core/selector.hpp"
#include "orchestrator/scheduler/scheduler.hpp"

namespace axle {
namespace {

template <typename T>
bool is_on(const T& object, const Uuid& host) {
    return object.status.placement && object.status.placement->host.id == host && !object.status.gone &&
           !object.is_final();
}
std::string full_name(const Object& o) {
    return o.meta.project.name + "/" + o.meta.name;
}

// Placed there, or on its way there.
bool is_wanted_on(const Vm& vm, const Uuid& host) {
    return is_on(vm, host) || (move_to(vm, host) != nullptr && !vm.is_final());
}

// Those that refer to both, found by the one that fewer refer to: hosts and networks may have thousands.
const std::set<Key>& fewer(const World& world, const Uuid& one, const Uuid& other) {
    const std::set<Key>& these = world.referrers(one);
    const std::set<Key>& those = world.referrers(other);
    return these.size() < those.size() ? these : those;
}

// VMs on the host, with all that are in the network among them.
template <typename F>
void each_vm_of_both(const World& world, const Uuid& host, const Uuid& network, F&& call) {
    for (const Key& key : fewer(world, host, network)) {
        const Vm* vm = key.kind == Kind::vm ? world.find<Vm>(key.id) : nullptr;
        if (vm != nullptr && is_on(*vm, host)) call(*vm);
    }
}

VolumeDocument volume_document(const World& world, const Volume& volume) {
    VolumeDocument d{.epoch = volume.status.placement->epoch,
                     .size = volume.spec.size,
                     .format = volume.spec.format,
                     .image_digest = volume.spec.image_digest};
    d.id = VolumeId{volume.meta.id};
    d.pool = PoolId{volume.spec.pool.id};
    d.made = volume.status.made;
    d.name = full_name(volume);
    if (const auto moving = moving_disk(world, volume.meta.id); moving.vm != nullptr) d.size = moving.disk->size;
    return d;
}

// As the host gets it that the VM moves to: a file to be made and filled, or the one that both hosts see.
VolumeDocument coming_document(const World& world, const Volume& volume, const ComingDisk& coming) {
    VolumeDocument d = volume_document(world, volume);
    d.epoch = coming.vm->status.migration->epoch;
    d.size = coming.disk->size;
    d.made = !coming.disk->copied;
    return d;
}

// Volumes that lie there, and those that are on their way.
template <typename F>
void each_volume_on(const World& world, const Uuid& host, F&& call) {
    for (const Key& key : world.referrers(host)) {
        if (key.kind == Kind::volume) {
            if (const Volume* volume = world.find<Volume>(key.id); is_on(*volume, host)) call(*volume);
        } else if (key.kind == Kind::vm) {
            const VmMigration* move = move_to(*world.find<Vm>(key.id), host);
            if (move == nullptr) continue;
            for (const MigrationDisk& disk : move->disks)
                if (const Volume* volume = world.find<Volume>(disk.volume)) call(*volume);
        }
    }
}

// What the VM's port forwards ask of a network.
void add_forwards(const World& world, const Vm& vm, const Uuid& network, std::vector<Forward>& out) {
    if (vm.is_deleted()) return;
    for (const Key& key : world.referrers(vm.meta.id)) {
        if (key.kind != Kind::portforward) continue;
        const PortForwardSpec& forward = world.find<PortForward>(key.id)->spec;
        const auto nic = vm.spec.nics.find(forward.nic);
        const auto status = vm.status.nics.find(forward.nic);
        if (nic == vm.spec.nics.end() || nic->second.network.id != network || status == vm.status.nics.end()) continue;
        out.push_back(
            {forward.protocol, forward.host_port, forward.listen, status->second.address, forward.guest_port});
    }
}

NetworkDocument network_document(const World& world, const NetworkObject& network, const Uuid& host) {
    const NetworkSpec& spec = network.spec;
    NetworkDocument d{.name = full_name(network),
                      .type = spec.type,
                      .bridge = spec.bridge,
                      .cidr = spec.cidr,
                      .gateway = spec.gateway,
                      .gateway_mac = network.status.gateway_mac,
                      .dns = spec.dns,
                      .domain = spec.domain,
                      .mtu = spec.mtu.value_or(1500)};
    d.id = NetworkId{network.meta.id};
    if (spec.type == NetworkType::nat) d.bridge = "axb" + short_hash(network.meta.id);
    each_vm_of_both(world, host, network.meta.id,
                    [&](const Vm& vm) { add_forwards(world, vm, network.meta.id, d.forwards); });
    add_peers(world, network, host, d);
    std::ranges::sort(d.forwards, {}, [](const Forward& f) { return std::pair(f.host_port, f.listen); });
    return d;
}

// The volume that needs an image there, or null. Linear in the host's volumes.
const Volume* volume_needing(const World& world, const Uuid& host, const Uuid& image_document) {
    const Volume* found = nullptr;
    std::set<std::pair<Uuid, std::string_view>> looked_at;  // a few images, in hundreds of volumes
    each_volume_on(world, host, [&](const Volume& volume) {
        if (found != nullptr || volume.spec.image_digest.empty()) return;
        if (!looked_at.emplace(volume.spec.pool.id, volume.spec.image_digest).second) return;
        if (image_document_id(volume.spec.pool.id, volume.spec.image_digest) == image_document) found = &volume;
    });
    return found;
}

std::optional<ImageDocument> image_document(const World& world, const Uuid& host, const Uuid& id,
                                            const DeriveContext& context) {
    const Volume* volume = volume_needing(world, host, id);
    if (volume == nullptr) return std::nullopt;
    ImageDocument d{
        .id = id, .digest = volume->spec.image_digest, .source = context.image_source(volume->spec.image_digest)};
    d.pool = PoolId{volume->spec.pool.id};
    if (const Image* image = world.find<Image>(volume->spec.image.id);
        image != nullptr && image->status.digest == d.digest) {
        d.size = image->status.size;
        d.virtual_size = image->status.virtual_size;
    }
    return d;
}

template <typename T>
Put make_put(const DocumentRef& key, const Epoch& epoch, const T& document) {
    Put put{.kind = key.kind, .id = key.id, .epoch = epoch, .content = to_json_text(document)};
    put.hash = sha256_hex(put.content);
    return put;
}

}  // namespace

Uuid image_document_id(const Uuid& pool, const std::string& digest) {
    const std::string raw = sha256(pool.str() + digest);
    Uuid id;
    for (std::size_t i = 0; i < id.bytes.size(); ++i) id.bytes[i] = static_cast<std::uint8_t>(raw[i]);
    return id;
}

bool network_is_on(const World& world, const Uuid& network, const Uuid& host) {
    return std::ranges::any_of(fewer(world, host, network), [&](const Key& key) {
        const Vm* vm = key.kind == Kind::vm ? world.find<Vm>(key.id) : nullptr;
        return vm != nullptr && is_wanted_on(*vm, host) &&
               std::ranges::any_of(vm->spec.nics, [&](const auto& nic) { return nic.second.network.id == network; });
    });
}

bool image_is_on(const World& world, const std::string& digest, const Uuid& host) {
    bool found = false;
    each_volume_on(world, host, [&](const Volume& volume) { found = found || volume.spec.image_digest == digest; });
    return found;
}

bool pool_is_on(const Pool& pool, const Host& host) {
    if (pool.is_final()) return false;
    const Labels& selector = pool.spec.host_selector;
    const auto named = selector.find(kHostNameLabel);
    if (named == selector.end()) return selects(selector, host.meta.labels);
    Labels others = selector;
    others.erase(kHostNameLabel);
    return named->second == host.meta.name && selects(others, host.meta.labels);
}

std::optional<Put> derive(const World& world, const Uuid& host, const DocumentRef& key, const DeriveContext& context) {
    switch (key.kind) {
        case DocumentKind::pool: {
            const Pool* pool = world.find<Pool>(key.id);
            const Host* h = world.find<Host>(host);
            if (pool == nullptr || h == nullptr || !pool_is_on(*pool, *h)) return std::nullopt;
            PoolDocument d{.name = pool->meta.name,
                           .path = pool->spec.path,
                           .shared = pool->spec.shared,
                           .cluster = context.cluster};
            d.id = PoolId{pool->meta.id};
            return make_put(key, {}, d);
        }
        case DocumentKind::image: {
            const auto d = image_document(world, host, key.id, context);
            return d ? std::optional(make_put(key, {}, *d)) : std::nullopt;
        }
        case DocumentKind::network: {
            const auto* network = world.find<NetworkObject>(key.id);
            if (network == nullptr || network->is_final() || !network_is_on(world, key.id, host)) return std::nullopt;
            return make_put(key, {}, network_document(world, *network, host));
        }
        case DocumentKind::volume: {
            const Volume* volume = world.find<Volume>(key.id);
            if (volume == nullptr) return std::nullopt;
            if (is_on(*volume, host))
                return make_put(key, volume->status.placement->epoch, volume_document(world, *volume));
            const ComingDisk coming = coming_disk(world, key.id, host);
            if (coming.vm == nullptr || volume->is_final()) return std::nullopt;
            return make_put(key, coming.vm->status.migration->epoch, coming_document(world, *volume, coming));
        }
        case DocumentKind::vm: {
            const Vm* vm = world.find<Vm>(key.id);
            if (vm == nullptr || !is_wanted_on(*vm, host)) return std::nullopt;
            VmDocument d;
            if (vm->status.migration) {
                auto moving = moving_document(world, *vm, host);
                ENSURE(moving.has_value(), "what was written here can be read");
                d = std::move(*moving);
            } else {
                d = vm_document(world, *vm);
            }
            d.cluster = context.cluster;
            Put put = make_put(key, d.epoch, d);  // the hash is without rev: the same content keeps it
            d.rev = context.head;
            put.content = to_json_text(d);
            return put;
        }
    }
    return std::nullopt;
}

std::vector<DocumentRef> wanted_on(const World& world, const Uuid& host) {
    std::set<DocumentRef> keys;
    const Host* h = world.find<Host>(host);
    for (const auto& [id, object] : world.all(Kind::pool)) {
        if (h != nullptr && pool_is_on(static_cast<const Pool&>(*object), *h)) keys.insert({DocumentKind::pool, id});
    }
    each_volume_on(world, host, [&](const Volume& volume) {
        keys.insert({DocumentKind::volume, volume.meta.id});
        if (!volume.spec.image_digest.empty())
            keys.insert({DocumentKind::image, image_document_id(volume.spec.pool.id, volume.spec.image_digest)});
    });
    for (const Key& key : world.referrers(host)) {
        const Vm* vm = key.kind == Kind::vm ? world.find<Vm>(key.id) : nullptr;
        if (vm == nullptr || !is_wanted_on(*vm, host)) continue;
        keys.insert({DocumentKind::vm, key.id});
        for (const auto& [name, nic] : vm->spec.nics) {
            if (world.find<NetworkObject>(nic.network.id) != nullptr)
                keys.insert({DocumentKind::network, nic.network.id});
        }
    }
    return {keys.begin(), keys.end()};
}

bool is_leaving(const World& world, const Uuid& host, const DocumentRef& key) {
    const auto placed = [&](const auto* object) {
        return object != nullptr && object->is_final() && object->status.placement && !object->status.gone &&
               object->status.placement->host.id == host;
    };
    const auto left = [&](const auto* object) { return object != nullptr && leftover_on(*object, host) != nullptr; };
    const auto told = [&](const auto* object) {
        return object != nullptr && object->is_final() && world.hosts_told(key.id).contains(host);
    };
    switch (key.kind) {
        case DocumentKind::vm:
            return placed(world.find<Vm>(key.id)) || left(world.find<Vm>(key.id));
        case DocumentKind::volume: {
            const Volume* volume = world.find<Volume>(key.id);
            return placed(volume) || left(volume);
        }
        case DocumentKind::network:
            return told(world.find<NetworkObject>(key.id));
        case DocumentKind::pool:
            return told(world.find<Pool>(key.id));
        case DocumentKind::image:
            return false;
    }
    return false;
}

std::vector<DocumentRef> leaving_from(const World& world, const Uuid& host) {
    std::vector<DocumentRef> out;
    const auto look = [&](const DocumentRef& key) {
        if (is_leaving(world, host, key)) out.push_back(key);
    };
    for (const Key& key : world.referrers(host)) {
        if (key.kind == Kind::vm) look({DocumentKind::vm, key.id});
        if (key.kind == Kind::volume) look({DocumentKind::volume, key.id});
    }
    for (const auto& [id, object] : world.all(Kind::network)) look({DocumentKind::network, id});
    for (const auto& [id, object] : world.all(Kind::pool)) look({DocumentKind::pool, id});
    return out;
}

bool is_nowhere(const World& world, const Vm& vm) {
    return !vm.status.placement && !vm.spec.disks.empty() && std::ranges::none_of(vm.spec.disks, [&](const auto& disk) {
        const Volume* volume = world.find<Volume>(disk.second.volume.id);
        return volume != nullptr && volume->status.placement;
    });
}

std::optional<Farewell> farewell(const World& world, const Uuid& host, const DocumentRef& key, const Epoch& held) {
    switch (key.kind) {
        case DocumentKind::image:
            return Farewell{};  // a cache: nothing of the user's is in it
        case DocumentKind::pool:
            return world.find<Pool>(key.id) != nullptr ? std::optional(Farewell{}) : std::nullopt;
        case DocumentKind::network:
            return world.find<NetworkObject>(key.id) != nullptr ? std::optional(Farewell{}) : std::nullopt;
        case DocumentKind::vm: {
            const Vm* vm = world.find<Vm>(key.id);
            if (vm == nullptr) return std::nullopt;
            const bool here = vm->status.placement && vm->status.placement->host.id == host;
            const VmPlacement* left = leftover_on(*vm, host);
            if (left == nullptr && is_nowhere(world, *vm)) return std::nullopt;
            // Of a later placement than any that this store knows: it has lost a move, and the guest runs there.
            if (!here && left == nullptr && vm->status.placement && vm->status.placement->epoch < held)
                return std::nullopt;
            return Farewell{.epoch = here ? vm->status.placement->epoch : left != nullptr ? left->epoch : held};
        }
        case DocumentKind::volume: {
            const Volume* volume = world.find<Volume>(key.id);
            if (volume == nullptr || !volume->status.placement) return std::nullopt;
            if (const VmPlacement* left = leftover_on(*volume, host))
                return Farewell{.destroy = true, .epoch = left->epoch};
            if (volume->status.placement->host.id != host) {  // another host's file: only where it is the same one
                const Pool* pool = world.find<Pool>(volume->spec.pool.id);
                return pool != nullptr && pool->spec.shared ? std::optional(Farewell{.epoch = held}) : std::nullopt;
            }
            return Farewell{.destroy = volume->is_final(), .epoch = volume->status.placement->epoch};
        }
    }
    return std::nullopt;
}

}  // namespace axle
