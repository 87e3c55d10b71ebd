#include "orchestrator/core/world.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "common/base/ensure.hpp"
#include "common/model/format.hpp"

namespace axle {
namespace {

// Puts a member into the set of a key, or takes it out (sign < 0); no empty set stays.
template <typename Map, typename K>
void put_member(Map& map, const K& key, const typename Map::mapped_type::key_type& member, std::int64_t sign) {
    if (sign > 0) {
        map[key].insert(member);
        return;
    }
    const auto found = map.find(key);
    if (found == map.end()) return;
    found->second.erase(member);
    if (found->second.empty()) map.erase(found);
}

// An empty one where the key is not in it.
template <typename Map, typename K>
const typename Map::mapped_type& value_of(const Map& map, const K& key) {
    static const typename Map::mapped_type none{};
    const auto found = map.find(key);
    return found == map.end() ? none : found->second;
}

void add(Usage& to, const Usage& what, std::int64_t sign) {
    to.vms += sign * what.vms;
    to.cpus += sign * what.cpus;
    to.memory += sign * what.memory;
    to.disk += sign * what.disk;
}

void put_range(RangeBook& book, const Cidr& range, const Uuid& owner, std::int64_t sign) {
    if (sign > 0)
        book.add(range, owner);
    else
        book.remove(range, owner);
}

template <typename Map, typename K>
void add_to(Map& map, const K& key, const Usage& what, std::int64_t sign) {
    auto& entry = map[key];
    add(entry, what, sign);
    if (entry == Usage{}) map.erase(key);
}

}  // namespace

ObjectPtr World::get(Kind kind, const Uuid& id) const {
    const auto& table = objects_[static_cast<std::size_t>(kind)];
    const auto found = table.find(id);
    return found == table.end() ? nullptr : found->second;
}

ObjectPtr World::named(Kind kind, const Uuid& project, const std::string& name) const {
    const auto& names = names_of(kind);
    const auto found = names.find(NameKey{project, name});
    return found == names.end() ? nullptr : get(kind, found->second);
}

void World::put(ObjectPtr object) {
    auto& slot = objects_[static_cast<std::size_t>(object->kind())][object->meta.id];
    if (slot) {
        unindex_names(*slot);
        count(*slot, -1);
    }
    slot = std::move(object);
    index_names(*slot);
    count(*slot, +1);
}

void World::erase(Kind kind, const Uuid& id) {
    auto& table = objects_[static_cast<std::size_t>(kind)];
    const auto found = table.find(id);
    if (found == table.end()) return;
    unindex_names(*found->second);
    count(*found->second, -1);
    table.erase(found);
}

const NetworkOnHost* World::network_on(const Uuid& host, const Uuid& network) const {
    const auto found = networks_on_.find({host, network});
    return found == networks_on_.end() ? nullptr : &found->second;
}

std::vector<Uuid> World::networks_on(const Uuid& host) const {
    std::vector<Uuid> out;
    for (auto there = networks_on_.lower_bound({host, {}}); there != networks_on_.end(); ++there) {
        if (there->first.first != host) break;
        out.push_back(there->first.second);
    }
    return out;
}

void World::put_network_on(const Uuid& host, const Uuid& network, std::optional<NetworkOnHost> there) {
    if (const auto was = networks_on_.find({host, network}); was != networks_on_.end()) {
        count_network(host, network, was->second, -1);
        networks_on_.erase(was);
    }
    if (!there) return;
    count_network(host, network, *there, +1);
    networks_on_.emplace(std::pair(host, network), std::move(*there));
}

void World::index_names(const Object& object) {
    const Key key{object.kind(), object.meta.id};
    if (!object.is_deleted())
        names_[static_cast<std::size_t>(key.kind)][NameKey{object.meta.project.id, object.meta.name}] = key.id;
    count_references(object, +1);
}

void World::unindex_names(const Object& object) {
    const Key key{object.kind(), object.meta.id};
    if (!object.is_deleted()) {
        auto& names = names_[static_cast<std::size_t>(key.kind)];
        const auto found = names.find(NameKey{object.meta.project.id, object.meta.name});
        if (found != names.end() && found->second == key.id) names.erase(found);
    }
    count_references(object, -1);
}

void World::count_references(const Object& object, std::int64_t sign) {
    const Key key{object.kind(), object.meta.id};
    if (object.meta.project.id) put_member(referrers_, object.meta.project.id, key, sign);
    for_each_ref(const_cast<Object&>(object), [&](const std::string&, Kind, Ref& ref) {
        if (ref.id) put_member(referrers_, ref.id, key, sign);
    });
}

void World::count(const Object& object, std::int64_t sign) {
    if (object.kind() == Kind::host) count_host(static_cast<const Host&>(object), sign);
    if (object.kind() == Kind::network) count_range(static_cast<const NetworkObject&>(object), sign);
    if (object.kind() == Kind::vm) count_vm(static_cast<const Vm&>(object), sign);
    if (object.kind() == Kind::volume) count_volume(static_cast<const Volume&>(object), sign);
    if (object.kind() == Kind::task) {
        const auto& task = static_cast<const Task&>(object);
        if (!is_terminal(task.status.phase)) put_member(tasks_, task.spec.target.id, task.meta.id, sign);
    }
}

void World::count_network(const Uuid& host, const Uuid& network, const NetworkOnHost& there, std::int64_t sign) {
    put_member(told_, network, host, sign);
    if (!there.ready || !there.conditions.empty()) put_member(troubled_, network, host, sign);
}

void World::count_host(const Host& host, std::int64_t sign) {
    for (const ReportedPool& there : host.status.pools) put_member(told_, there.pool.id, host.meta.id, sign);
    for (const std::string& route : host.status.facts.routes) {
        const auto range = parse_cidr(route);
        if (range && range->prefix > 1) put_range(host_routes_, *range, host.meta.id, sign);  // else it is everywhere
    }
}

void World::count_range(const NetworkObject& network, std::int64_t sign) {
    const auto range = parse_cidr(network.spec.cidr);
    if (network.spec.type == NetworkType::nat && range) put_range(nat_ranges_, *range, network.meta.id, sign);
    if (network.status.vni == 0) return;
    if (sign > 0)
        vnis_.insert(network.status.vni);
    else
        vnis_.erase(network.status.vni);
}

void World::count_vm(const Vm& vm, std::int64_t sign) {
    if (!vm.is_deleted()) {
        const Usage use{.vms = 1, .cpus = vm.spec.cpus.value_or(1), .memory = vm.spec.memory.value_or(0)};
        add_to(by_project_, vm.meta.project.id, use, sign);
        if (vm.status.placement) add_to(by_host_, vm.status.placement->host.id, use, sign);
        if (vm.status.migration) add_to(by_host_, vm.status.migration->host.id, use, sign);
    }
    if (vm.status.migration) {
        const Uuid to = vm.status.migration->host.id;
        for (const MigrationDisk& disk : vm.status.migration->disks)
            if (disk.copied) by_pool_[{disk.pool, to}] += sign * disk.size;
        put_member(referrers_, to, Key{Kind::vm, vm.meta.id}, sign);
    }
    if (vm.status.placement) put_member(referrers_, vm.status.placement->host.id, Key{Kind::vm, vm.meta.id}, sign);
    for (const VmPlacement& left : vm.status.leftovers)
        put_member(referrers_, left.host.id, Key{Kind::vm, vm.meta.id}, sign);
    if (!vm.is_deleted()) count_labels(vm, sign);
    count_nics(vm, sign);
}

void World::count_labels(const Vm& vm, std::int64_t sign) {
    for (const auto& [key, value] : vm.meta.labels)
        put_member(labelled_, Label{vm.meta.project.id, key, value}, vm.meta.id, sign);
    std::set<Label> first;  // of two rules that begin alike one is enough
    for (const auto& [name, term] : vm.spec.affinity) {
        if (term.policy != Affinity::apart || term.selector.empty()) continue;
        const auto& [key, value] = *term.selector.begin();
        first.insert(Label{vm.meta.project.id, key, value});
    }
    for (const Label& label : first) put_member(apart_from_, label, vm.meta.id, sign);
}

void World::count_nics(const Vm& vm, std::int64_t sign) {
    for (const auto& [name, nic] : vm.status.nics) {
        const auto wanted = vm.spec.nics.find(name);
        if (!nic.mac.empty()) {
            if (sign > 0)
                macs_[nic.mac] = vm.meta.id;
            else
                macs_.erase(nic.mac);
        }
        if (nic.address.empty() || wanted == vm.spec.nics.end()) continue;
        const auto address = parse_ipv4(nic.address);
        if (!address) continue;
        AddressBook& book = addresses_[wanted->second.network.id];
        if (sign > 0)
            book.take(*address, vm.meta.id);
        else
            book.give_back(*address);
    }
}

void World::count_volume(const Volume& volume, std::int64_t sign) {
    if (!volume.is_deleted()) add_to(by_project_, volume.meta.project.id, Usage{.disk = volume.spec.size}, sign);
    const Key key{Kind::volume, volume.meta.id};
    const auto lies_on = [&](const Uuid& host) {
        by_pool_[{volume.spec.pool.id, host}] += sign * volume.spec.size;
        put_member(referrers_, host, key, sign);
    };
    if (volume.status.placement) lies_on(volume.status.placement->host.id);
    if (volume.status.placement && !volume.spec.image_digest.empty()) {
        auto& there = images_[volume.status.placement->host.id];
        if ((there[volume.spec.image_digest] += sign) == 0) there.erase(volume.spec.image_digest);
        if (there.empty()) images_.erase(volume.status.placement->host.id);
    }
    for (const VmPlacement& left : volume.status.leftovers) lies_on(left.host.id);
}

const std::set<Key>& World::referrers(const Uuid& id) const {
    return value_of(referrers_, id);
}
std::vector<const Vm*> World::vms_on(const Uuid& host) const {
    std::vector<const Vm*> out;
    for (const Key& key : referrers(host)) {
        const Vm* vm = key.kind == Kind::vm ? find<Vm>(key.id) : nullptr;
        if (vm != nullptr && vm->status.placement && vm->status.placement->host.id == host) out.push_back(vm);
    }
    return out;
}
Usage World::used_by_project(const Uuid& project) const {
    return value_of(by_project_, project);
}
Usage World::claimed_on_host(const Uuid& host) const {
    return value_of(by_host_, host);
}
std::int64_t World::claimed_in_pool(const Uuid& pool, const Uuid& host) const {
    return value_of(by_pool_, std::pair(pool, host));
}
const AddressBook& World::addresses_of(const Uuid& network) const {
    return value_of(addresses_, network);
}
Uuid World::address_holder(const Uuid& network, std::uint32_t address) const {
    return addresses_of(network).holder(address);
}
Uuid World::mac_holder(const std::string& mac) const {
    return value_of(macs_, mac);
}
const std::set<Uuid>& World::vms_labelled(const Label& label) const {
    return value_of(labelled_, label);
}
const std::set<Uuid>& World::vms_apart_from(const Label& label) const {
    return value_of(apart_from_, label);
}
const std::map<std::string, std::int64_t>& World::images_on(const Uuid& host) const {
    return value_of(images_, host);
}
const std::set<Uuid>& World::tasks_of(const Uuid& target) const {
    return value_of(tasks_, target);
}
const std::set<Uuid>& World::hosts_told(const Uuid& object) const {
    return value_of(told_, object);
}
const std::set<Uuid>& World::hosts_in_trouble(const Uuid& network) const {
    return value_of(troubled_, network);
}

std::string World::check_indexes() const {
    World fresh;
    for (const auto& table : objects_) {
        for (const auto& [id, object] : table) fresh.put(object);
    }
    for (const auto& [where, there] : networks_on_) {
        if (find<Host>(where.first) == nullptr) return "a network is on a host that is gone";
        fresh.put_network_on(where.first, where.second, there);
    }
    if (fresh.names_ != names_) return "the names differ from the objects";
    if (fresh.referrers_ != referrers_) return "the referrers differ from the objects";
    if (fresh.by_project_ != by_project_) return "the projects' usage differs from the objects";
    if (fresh.by_host_ != by_host_) return "the hosts' usage differs from the objects";
    for (const auto& [network, book] : addresses_)
        if (!(fresh.addresses_of(network) == book)) return "the addresses differ from the objects";
    if (fresh.nat_ranges_ != nat_ranges_ || fresh.host_routes_ != host_routes_ || fresh.vnis_ != vnis_)
        return "the ranges of networks differ from the objects";
    if (fresh.macs_ != macs_) return "the MAC addresses differ from the objects";
    if (fresh.told_ != told_ || fresh.troubled_ != troubled_) return "what hosts told differs from the objects";
    if (fresh.labelled_ != labelled_ || fresh.apart_from_ != apart_from_)
        return "the labels of VMs differ from the objects";
    if (fresh.images_ != images_) return "the images on hosts differ from the objects";
    if (fresh.tasks_ != tasks_) return "the open tasks differ from the objects";
    for (const auto& [key, bytes] : by_pool_) {
        if (fresh.claimed_in_pool(key.first, key.second) != bytes) return "the pools' usage differs from the objects";
    }
    return "";
}

}  // namespace axle
