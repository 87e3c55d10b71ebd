#include "orchestrator/core/world.hpp"

#include <fmt/format.h>

#include "common/base/ensure.hpp"
#include "common/model/format.hpp"

namespace axle {
namespace {

template <typename Map, typename K>
void erase_from(Map& map, const K& key, const typename Map::mapped_type::key_type& member) {
    const auto found = map.find(key);
    if (found == map.end()) return;
    found->second.erase(member);
    if (found->second.empty()) map.erase(found);
}

template <typename Map>
const typename Map::mapped_type& members(const Map& map, const Uuid& of) {
    static const typename Map::mapped_type none;
    const auto found = map.find(of);
    return found == map.end() ? none : found->second;
}

void add(Usage& to, const Usage& what, std::int64_t sign) {
    to.vms += sign * what.vms;
    to.cpus += sign * what.cpus;
    to.memory += sign * what.memory;
    to.disk += sign * what.disk;
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
    if (slot) unindex(slot);
    slot = object;
    index(object);
}

void World::erase(Kind kind, const Uuid& id) {
    auto& table = objects_[static_cast<std::size_t>(kind)];
    const auto found = table.find(id);
    if (found == table.end()) return;
    unindex(found->second);
    table.erase(found);
}

void World::index(const ObjectPtr& object) {
    const Key key{object->kind(), object->meta.id};
    if (!object->is_deleted())
        names_[static_cast<std::size_t>(key.kind)][NameKey{object->meta.project.id, object->meta.name}] = key.id;
    if (object->meta.project.id) referrers_[object->meta.project.id].insert(key);
    for_each_ref(const_cast<Object&>(*object), [&](const std::string&, Kind, Ref& ref) {
        if (ref.id) referrers_[ref.id].insert(key);
    });
    count(*object, +1);
}

void World::unindex(const ObjectPtr& object) {
    const Key key{object->kind(), object->meta.id};
    if (!object->is_deleted()) {
        auto& names = names_[static_cast<std::size_t>(key.kind)];
        const auto found = names.find(NameKey{object->meta.project.id, object->meta.name});
        if (found != names.end() && found->second == key.id) names.erase(found);
    }
    if (object->meta.project.id) erase_from(referrers_, object->meta.project.id, key);
    for_each_ref(const_cast<Object&>(*object), [&](const std::string&, Kind, Ref& ref) {
        if (ref.id) erase_from(referrers_, ref.id, key);
    });
    count(*object, -1);
}

void World::count(const Object& object, std::int64_t sign) {
    if (object.kind() == Kind::host) count_host(static_cast<const Host&>(object), sign);
    if (object.kind() == Kind::vm) count_vm(static_cast<const Vm&>(object), sign);
    if (object.kind() == Kind::volume) count_volume(static_cast<const Volume&>(object), sign);
    if (object.kind() == Kind::task) {
        const auto& task = static_cast<const Task&>(object);
        if (is_terminal(task.status.phase)) return;
        if (sign > 0)
            tasks_[task.spec.target.id].insert(task.meta.id);
        else
            erase_from(tasks_, task.spec.target.id, task.meta.id);
    }
}

void World::count_host(const Host& host, std::int64_t sign) {
    const auto note = [&](auto& map, const Uuid& of) {
        if (sign > 0)
            map[of].insert(host.meta.id);
        else
            erase_from(map, of, host.meta.id);
    };
    for (const ReportedPool& there : host.status.pools) note(told_, there.pool.id);
    for (const ReportedNetwork& there : host.status.networks) {
        note(told_, there.network.id);
        if (!there.ready || !there.conditions.empty()) note(troubled_, there.network.id);
    }
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
        const Key key{Kind::vm, vm.meta.id};
        if (sign > 0)
            referrers_[to].insert(key);
        else
            erase_from(referrers_, to, key);
    }
    if (vm.status.placement) {
        const Key key{Kind::vm, vm.meta.id};
        if (sign > 0)
            referrers_[vm.status.placement->host.id].insert(key);
        else
            erase_from(referrers_, vm.status.placement->host.id, key);
    }
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
        if (sign > 0)
            referrers_[host].insert(key);
        else
            erase_from(referrers_, host, key);
    };
    if (volume.status.placement) lies_on(volume.status.placement->host.id);
    for (const VmPlacement& left : volume.status.leftovers) lies_on(left.host.id);
}

const std::set<Key>& World::referrers(const Uuid& id) const {
    return members(referrers_, id);
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
    const auto found = by_project_.find(project);
    return found == by_project_.end() ? Usage{} : found->second;
}
Usage World::claimed_on_host(const Uuid& host) const {
    const auto found = by_host_.find(host);
    return found == by_host_.end() ? Usage{} : found->second;
}
std::int64_t World::claimed_in_pool(const Uuid& pool, const Uuid& host) const {
    const auto found = by_pool_.find({pool, host});
    return found == by_pool_.end() ? 0 : found->second;
}
const AddressBook& World::addresses_of(const Uuid& network) const {
    static const AddressBook none;
    const auto found = addresses_.find(network);
    return found == addresses_.end() ? none : found->second;
}
Uuid World::address_holder(const Uuid& network, std::uint32_t address) const {
    return addresses_of(network).holder(address);
}
Uuid World::mac_holder(const std::string& mac) const {
    const auto found = macs_.find(mac);
    return found == macs_.end() ? Uuid{} : found->second;
}
const std::set<Uuid>& World::tasks_of(const Uuid& target) const {
    return members(tasks_, target);
}
const std::set<Uuid>& World::hosts_told(const Uuid& object) const {
    return members(told_, object);
}
const std::set<Uuid>& World::hosts_in_trouble(const Uuid& network) const {
    return members(troubled_, network);
}

std::string World::check_indexes() const {
    World fresh;
    for (const auto& table : objects_) {
        for (const auto& [id, object] : table) fresh.put(object);
    }
    if (fresh.names_ != names_) return "the names differ from the objects";
    if (fresh.referrers_ != referrers_) return "the referrers differ from the objects";
    if (fresh.by_project_ != by_project_) return "the projects' usage differs from the objects";
    if (fresh.by_host_ != by_host_) return "the hosts' usage differs from the objects";
    for (const auto& [network, book] : addresses_)
        if (!(fresh.addresses_of(network) == book)) return "the addresses differ from the objects";
    if (fresh.macs_ != macs_) return "the MAC addresses differ from the objects";
    if (fresh.told_ != told_ || fresh.troubled_ != troubled_) return "what hosts told differs from the objects";
    if (fresh.tasks_ != tasks_) return "the open tasks differ from the objects";
    for (const auto& [key, bytes] : by_pool_) {
        if (fresh.claimed_in_pool(key.first, key.second) != bytes) return "the pools' usage differs from the objects";
    }
    return "";
}

}  // namespace axle
