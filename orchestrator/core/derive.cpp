#include "orchestrator/core/derive.hpp"

#include <algorithm>
#include <set>

#include "common/base/digest.hpp"
#include "common/model/format.hpp"
#include "orchestrator/core/peers.hpp"

namespace axle {
namespace {

bool is_final(const Object& o) {
    return o.meta.deletion && o.meta.deletion->final;
}
template <typename T>
bool is_on(const T& object, const Uuid& host) {
    return object.status.placement && object.status.placement->host.id == host && !object.status.gone &&
           !is_final(object);
}
std::string full_name(const Object& o) {
    return o.meta.project.name + "/" + o.meta.name;
}

template <typename F>
void each_vm_on(const World& world, const Uuid& host, F&& call) {
    for (const Key& key : world.referrers(host)) {
        if (key.kind != Kind::vm) continue;
        const Vm* vm = world.find<Vm>(key.id);
        if (is_on(*vm, host)) call(*vm);
    }
}

VmDocument vm_document(const World& world, const Vm& vm, const DeriveContext& context) {
    VmDocument d{.epoch = vm.status.placement->epoch,
                 .generation = vm.meta.generation,
                 .name = full_name(vm),
                 .cluster = context.cluster};
    d.id = VmId{vm.meta.id};
    d.cpus = vm.spec.cpus.value_or(1);
    d.memory = vm.spec.memory.value_or(kGiB);
    d.machine = vm.status.machine;
    d.cpu_model = vm.status.cpu_model;
    d.accelerator = vm.status.accelerator;
    d.power = vm.is_deleted() ? Power::stopped : vm.spec.power;
    d.force_stop = vm.is_deleted() || vm.spec.force_stop;
    d.start_serial = vm.spec.start_serial;
    d.stop_timeout_ms = vm.spec.stop_timeout;
    d.on_guest_shutdown = vm.spec.on_guest_shutdown;
    d.on_crash = vm.spec.on_crash;
    d.priority = vm.spec.priority;
    // The guest boots from root, else from the first. Only what takes no part in the boot comes and goes while it runs.
    const auto add_disk = [&](const std::string& name, const VmDisk& disk) {
        const Volume* volume = world.find<Volume>(disk.volume.id);
        if (volume == nullptr) return;
        VmDocumentDisk out{.name = name, .format = volume->spec.format, .boot_order = d.disks.empty() ? 1 : 0};
        out.volume = VolumeId{volume->meta.id};
        out.pool = PoolId{volume->spec.pool.id};
        const auto slot = vm.status.disk_slots.find(name);
        out.slot = slot == vm.status.disk_slots.end() ? 0 : slot->second;
        std::string serial = volume->meta.id.str();
        std::erase(serial, '-');
        out.serial = serial.substr(12);
        d.disks.push_back(std::move(out));
    };
    if (const auto root = vm.spec.disks.find("root"); root != vm.spec.disks.end()) add_disk("root", root->second);
    for (const auto& [name, disk] : vm.spec.disks) {
        if (name != "root") add_disk(name, disk);
    }
    for (const auto& [name, nic] : vm.spec.nics) {
        const auto status = vm.status.nics.find(name);
        if (status == vm.status.nics.end()) continue;
        VmDocumentNic out{
            .name = name, .mac = status->second.mac, .address = status->second.address, .slot = status->second.slot};
        out.network = NetworkId{nic.network.id};
        d.nics.push_back(std::move(out));
    }
    d.seed = {.instance_id = vm.meta.id.str(),
              .hostname = vm.spec.hostname.empty() ? vm.meta.name : vm.spec.hostname,
              .user_data = vm.spec.user_data.plain};
    for (const Ref& ref : vm.spec.ssh_keys) {
        if (const SshKey* key = world.find<SshKey>(ref.id)) d.seed.ssh_keys.push_back(key->spec.public_key);
    }
    d.seed_slot = 30;
    return d;
}

VolumeDocument volume_document(const Volume& volume) {
    VolumeDocument d{.epoch = volume.status.placement->epoch,
                     .size = volume.spec.size,
                     .format = volume.spec.format,
                     .image_digest = volume.spec.image_digest};
    d.id = VolumeId{volume.meta.id};
    d.pool = PoolId{volume.spec.pool.id};
    d.made = volume.status.made;
    d.name = full_name(volume);
    return d;
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
    each_vm_on(world, host, [&](const Vm& vm) { add_forwards(world, vm, network.meta.id, d.forwards); });
    add_peers(world, network, host, d);
    std::ranges::sort(d.forwards, {}, [](const Forward& f) { return std::pair(f.host_port, f.listen); });
    return d;
}

// The volume that needs an image there, or null. Linear in the host's volumes.
const Volume* volume_needing(const World& world, const Uuid& host, const Uuid& image_document) {
    for (const Key& key : world.referrers(host)) {
        if (key.kind != Kind::volume) continue;
        const Volume* volume = world.find<Volume>(key.id);
        if (is_on(*volume, host) && !volume->spec.image_digest.empty() &&
            image_document_id(volume->spec.pool.id, volume->spec.image_digest) == image_document)
            return volume;
    }
    return nullptr;
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
    return std::ranges::any_of(world.referrers(host), [&](const Key& key) {
        const Vm* vm = key.kind == Kind::vm ? world.find<Vm>(key.id) : nullptr;
        return vm != nullptr && is_on(*vm, host) &&
               std::ranges::any_of(vm->spec.nics, [&](const auto& nic) { return nic.second.network.id == network; });
    });
}

bool image_is_on(const World& world, const std::string& digest, const Uuid& host) {
    return std::ranges::any_of(world.referrers(host), [&](const Key& key) {
        if (key.kind != Kind::volume) return false;
        const Volume* volume = world.find<Volume>(key.id);
        return is_on(*volume, host) && volume->spec.image_digest == digest;
    });
}

bool pool_is_on(const Pool& pool, const Host& host) {
    if (is_final(pool)) return false;
    return std::ranges::all_of(pool.spec.host_selector, [&](const auto& wanted) {
        const auto label = host.meta.labels.find(wanted.first);
        return label != host.meta.labels.end() && label->second == wanted.second;
    });
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
            if (network == nullptr || is_final(*network) || !network_is_on(world, key.id, host)) return std::nullopt;
            return make_put(key, {}, network_document(world, *network, host));
        }
        case DocumentKind::volume: {
            const Volume* volume = world.find<Volume>(key.id);
            if (volume == nullptr || !is_on(*volume, host)) return std::nullopt;
            return make_put(key, volume->status.placement->epoch, volume_document(*volume));
        }
        case DocumentKind::vm: {
            const Vm* vm = world.find<Vm>(key.id);
            if (vm == nullptr || !is_on(*vm, host)) return std::nullopt;
            VmDocument d = vm_document(world, *vm, context);
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
    for (const Key& key : world.referrers(host)) {
        if (key.kind == Kind::volume) {
            const Volume* volume = world.find<Volume>(key.id);
            if (!is_on(*volume, host)) continue;
            keys.insert({DocumentKind::volume, key.id});
            if (!volume->spec.image_digest.empty())
                keys.insert({DocumentKind::image, image_document_id(volume->spec.pool.id, volume->spec.image_digest)});
        } else if (key.kind == Kind::vm) {
            const Vm* vm = world.find<Vm>(key.id);
            if (!is_on(*vm, host)) continue;
            keys.insert({DocumentKind::vm, key.id});
            for (const auto& [name, nic] : vm->spec.nics) {
                if (world.find<NetworkObject>(nic.network.id) != nullptr)
                    keys.insert({DocumentKind::network, nic.network.id});
            }
        }
    }
    return {keys.begin(), keys.end()};
}

bool is_leaving(const World& world, const Uuid& host, const DocumentRef& key) {
    const auto placed = [&](const auto* object) {
        return object != nullptr && is_final(*object) && object->status.placement && !object->status.gone &&
               object->status.placement->host.id == host;
    };
    const auto told = [&](const auto* object) {
        const Host* h = world.find<Host>(host);
        return object != nullptr && h != nullptr && is_final(*object) && object->status.hosts.contains(h->meta.name);
    };
    switch (key.kind) {
        case DocumentKind::vm:
            return placed(world.find<Vm>(key.id));
        case DocumentKind::volume:
            return placed(world.find<Volume>(key.id));
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
            return Farewell{.epoch = here ? vm->status.placement->epoch : held};
        }
        case DocumentKind::volume: {
            const Volume* volume = world.find<Volume>(key.id);
            if (volume == nullptr || !volume->status.placement || volume->status.placement->host.id != host)
                return std::nullopt;
            return Farewell{.destroy = is_final(*volume), .epoch = volume->status.placement->epoch};
        }
    }
    return std::nullopt;
}

std::vector<std::pair<Uuid, DocumentRef>> affected_by(const World& world, const Object* before, const Object* after) {
    std::vector<std::pair<Uuid, DocumentRef>> out;
    const auto of_vm = [&](const Vm& vm) {
        if (!vm.status.placement) return;
        const Uuid host = vm.status.placement->host.id;
        out.push_back({host, {DocumentKind::vm, vm.meta.id}});
        for (const auto& [name, nic] : vm.spec.nics) out.push_back({host, {DocumentKind::network, nic.network.id}});
    };
    const auto of = [&](const Object& object) {
        const Uuid id = object.meta.id;
        switch (object.kind()) {
            case Kind::vm:
                return of_vm(static_cast<const Vm&>(object));
            case Kind::volume: {
                const auto& volume = static_cast<const Volume&>(object);
                if (!volume.status.placement) return;
                const Uuid host = volume.status.placement->host.id;
                out.push_back({host, {DocumentKind::volume, id}});
                if (!volume.spec.image_digest.empty())
                    out.push_back(
                        {host,
                         {DocumentKind::image, image_document_id(volume.spec.pool.id, volume.spec.image_digest)}});
                return;
            }
            case Kind::pool:
                for (const auto& [host, h] : world.all(Kind::host)) out.push_back({host, {DocumentKind::pool, id}});
                return;
            case Kind::network:
                for (const Key& key : world.referrers(id)) {
                    if (key.kind != Kind::vm) continue;
                    if (const Vm* vm = world.find<Vm>(key.id); vm->status.placement)
                        out.push_back({vm->status.placement->host.id, {DocumentKind::network, id}});
                }
                for (const auto& [host, h] : world.all(Kind::host)) {
                    if (static_cast<const NetworkObject&>(object).status.hosts.contains(h->meta.name))
                        out.push_back({host, {DocumentKind::network, id}});
                }
                return;
            case Kind::portforward:
                if (const Vm* vm = world.find<Vm>(static_cast<const PortForward&>(object).spec.vm.id)) of_vm(*vm);
                return;
            case Kind::host:
                for (const auto& [pool, p] : world.all(Kind::pool)) out.push_back({id, {DocumentKind::pool, pool}});
                return;
            default:
                return;
        }
    };
    if (before != nullptr) of(*before);
    if (after != nullptr) of(*after);
    for (const Uuid& network : networks_seen_elsewhere(world, before, after)) {
        for (const Uuid& host : hosts_of(world, network)) out.push_back({host, {DocumentKind::network, network}});
    }
    return out;
}

}  // namespace axle
