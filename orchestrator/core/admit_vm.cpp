// A VM: size from its flavor, volumes made with it, addresses and PCI slots that it keeps for ever.
#include <algorithm>
#include <set>

#include "common/model/format.hpp"
#include "orchestrator/core/admit.hpp"
#include "orchestrator/core/moves.hpp"
#include "orchestrator/core/planted.hpp"
#include "orchestrator/scheduler/scheduler.hpp"

namespace axle {
namespace {

constexpr std::int64_t kSlotFirst = 1,
                       kSlotLast = 29;  // PCIe root ports; 30 is the seed's, so that root is the guest's first disk
constexpr std::int64_t kSeedSlot = 30;

void fill_size(Admission& a, Vm& vm) {
    const Flavor* flavor = vm.spec.flavor ? a.tx.world().find<Flavor>(vm.spec.flavor.id) : nullptr;
    if (!vm.spec.cpus) vm.spec.cpus = flavor != nullptr ? flavor->spec.cpus : 1;
    if (!vm.spec.memory) vm.spec.memory = flavor != nullptr ? flavor->spec.memory : kGiB;
}

// What a PUT or a patch didn't repeat but can't have meant to change.
void carry_over(Vm& vm, const Vm& before) {
    for (auto& [name, disk] : vm.spec.disks) {
        const auto was = before.spec.disks.find(name);
        if (was == before.spec.disks.end()) continue;
        const VmDisk& old = was->second;
        if (!disk.volume) disk.volume = old.volume;
        if (disk.volume == old.volume) {
            if (!disk.image) disk.image = old.image;
            if (!disk.size) disk.size = old.size;
            if (!disk.pool) disk.pool = old.pool;
        }
    }
}

void make_volume(Admission& a, Vm& vm, const std::string& name, VmDisk& disk) {
    const std::string at = "/spec/disks/" + name;
    auto volume = std::make_unique<Volume>();
    volume->meta.name = vm.meta.name + "-" + name;
    volume->meta.project = vm.meta.project;
    volume->spec = {.pool = disk.pool,
                    .size = disk.size.value_or(0),
                    .format = disk.format,
                    .image = disk.image,
                    .retention = vm.spec.retention};
    const Flavor* flavor = vm.spec.flavor ? a.tx.world().find<Flavor>(vm.spec.flavor.id) : nullptr;
    complete_volume(a, volume->spec, at, name == "root" && flavor != nullptr ? flavor->spec.disk : std::nullopt);
    if (!is_label(volume->meta.name))
        a.refuse(at, "malformed", fmt::format("volume name \"{}\" is too long", volume->meta.name));
    if (const auto other = a.tx.world().named(Kind::volume, vm.meta.project.id, volume->meta.name))
        a.refuse(at, "conflict",
                 fmt::format("a volume \"{}\" is there already: use it with volume: {}, or delete it",
                             volume->meta.name, volume->meta.name));
    if (!a.mistakes.empty()) return;
    volume->status.attached_to = {vm.meta.id, vm.meta.name};
    const Volume& made = a.tx.create(std::move(volume));
    disk.volume = {made.meta.id, made.meta.name};
    disk.pool = made.spec.pool;
    if (made.spec.size > 0) disk.size = made.spec.size;
}

void use_volume(Admission& a, const Vm& vm, const std::string& name, const VmDisk& disk) {
    const Volume* volume = a.tx.world().find<Volume>(disk.volume.id);
    const std::string at = "/spec/disks/" + name + "/volume";
    if (volume->status.attached_to && volume->status.attached_to.id != vm.meta.id)
        return a.refuse(at, "conflict",
                        fmt::format("volume {} is attached to VM {}: {}", volume->meta.name,
                                    volume->status.attached_to.name, how_to_detach(a.tx.world(), *volume)));
    if (const ComingDisk moving = moving_disk(a.tx.world(), volume->meta.id);
        moving.vm != nullptr && moving.vm->meta.id != vm.meta.id)
        return a.refuse(at, "busy",
                        fmt::format("volume {} is being moved with VM {} to host {}", volume->meta.name,
                                    moving.vm->meta.name, moving.vm->status.migration->host.name));
    if (volume->status.placement && vm.status.placement &&
        volume->status.placement->host.id != vm.status.placement->host.id)
        return a.refuse(at, "conflict",
                        fmt::format("volume {} lies on host {}, the VM is on {}", volume->meta.name,
                                    volume->status.placement->host.name, vm.status.placement->host.name));
    if (volume->status.attached_to.id == vm.meta.id) return;
    a.tx.update_status<Volume>(volume->meta.id, [&](Volume& v) { v.status.attached_to = {vm.meta.id, vm.meta.name}; });
}

// A larger size in the VM makes the volume larger. One that was not touched says nothing: the volume may have grown
// by itself.
void grow_volume(Admission& a, const Vm* before, const std::string& name, const VmDisk& disk) {
    const Volume* volume = a.tx.world().find<Volume>(disk.volume.id);
    if (!disk.size || volume->spec.size == 0 || *disk.size == volume->spec.size) return;
    if (before != nullptr) {
        const auto was = before->spec.disks.find(name);
        if (was != before->spec.disks.end() && was->second.volume == disk.volume && was->second.size == disk.size)
            return;
    }
    if (*disk.size < volume->spec.size)
        return a.refuse("/spec/disks/" + name + "/size", "out-of-range",
                        fmt::format("is {}, volume {} has {}: a disk is never made smaller", format_bytes(*disk.size),
                                    volume->meta.name, format_bytes(volume->spec.size)));
    a.tx.update_spec<Volume>(volume->meta.id, [&](Volume& v) { v.spec.size = *disk.size; });
}

void admit_disks(Admission& a, Vm& vm, const Vm* before) {
    std::set<Uuid> seen;
    for (auto& [name, disk] : vm.spec.disks) {
        if (!disk.volume)
            make_volume(a, vm, name, disk);
        else {
            use_volume(a, vm, name, disk);
            grow_volume(a, before, name, disk);
        }
        if (disk.volume.id && !seen.insert(disk.volume.id).second)
            a.refuse("/spec/disks/" + name, "conflict", fmt::format("volume {} stands there twice", disk.volume.name));
    }
    if (before == nullptr) return;
    for (const auto& [name, disk] : before->spec.disks) {
        if (seen.contains(disk.volume.id) || a.tx.world().find<Volume>(disk.volume.id) == nullptr) continue;
        a.tx.update_status<Volume>(disk.volume.id, [](Volume& v) { v.status.attached_to = {}; });
    }
}

std::string free_mac(Transaction& tx) {
    for (;;) {
        const std::uint64_t r = tx.random().next();
        std::string mac = fmt::format("52:54:00:{:02x}:{:02x}:{:02x}", r & 255, r >> 8 & 255, r >> 16 & 255);
        if (!tx.world().mac_holder(mac)) return mac;
    }
}

// The lowest address that nobody has, after the network and gateway; empty: none is left.
std::string free_address(const World& world, const NetworkObject& network, const std::set<std::string>& own) {
    const Cidr range = *parse_cidr(network.spec.cidr);
    static const AddressBook nobodys;
    const AddressBook& book = planted_in_core().share_addresses ? nobodys : world.addresses_of(network.meta.id);
    const auto found = book.lowest_free(range.first() + 2, range.last(), [&](std::uint32_t address) {
        const std::string text = format_ipv4(address);
        return text != network.spec.gateway && !own.contains(text);
    });
    return found ? format_ipv4(*found) : "";
}

// Nothing but the address of the VM that was deleted first is taken from it: a restore gives it another.
std::string address_of_a_deleted(Admission& a, const NetworkObject& network) {
    const Vm* oldest = nullptr;
    std::string nic;
    for (const Key& key : a.tx.world().referrers(network.meta.id)) {
        const Vm* vm = key.kind == Kind::vm ? a.tx.world().find<Vm>(key.id) : nullptr;
        if (vm == nullptr || !vm->is_deleted() ||
            (oldest != nullptr && oldest->meta.deletion->at <= vm->meta.deletion->at))
            continue;
        for (const auto& [name, wanted] : vm->spec.nics) {
            const auto status = vm->status.nics.find(name);
            if (wanted.network.id != network.meta.id || status == vm->status.nics.end() ||
                status->second.address.empty())
                continue;
            oldest = vm;
            nic = name;
        }
    }
    if (oldest == nullptr) return "";
    std::string address = oldest->status.nics.at(nic).address;
    a.tx.update_status<Vm>(oldest->meta.id, [&](Vm& vm) {
        vm.status.nics[nic].address.clear();
        std::erase(vm.status.addresses, address);
    });
    return address;
}

void check_address(Admission& a, const Vm& vm, const NetworkObject& network, const std::string& address,
                   const std::string& at) {
    const auto range = parse_cidr(network.spec.cidr);
    const std::uint32_t ip = *parse_ipv4(address);
    if (const char* special = special_range({ip, 32}))
        return a.refuse(at, "out-of-range", fmt::format("lies in {}, which no guest can have", special));
    if (!range) return;
    if (!range->contains(ip) || ip == range->first() || ip == range->last())
        return a.refuse(at, "out-of-range",
                        fmt::format("is not in {} of network {}", network.spec.cidr, network.meta.name));
    if (address == network.spec.gateway) return a.refuse(at, "conflict", "is the gateway's");
    const Uuid holder = a.tx.world().address_holder(network.meta.id, ip);
    if (holder && holder != vm.meta.id) {
        const Vm* other = a.tx.world().find<Vm>(holder);
        a.refuse(at, "conflict",
                 fmt::format("belongs to VM {}{}", other->meta.name,
                             other->is_deleted()
                                 ? fmt::format(", which is deleted but not yet expunged (axle vm delete {} --now)",
                                               other->meta.id.str())
                                 : ""));
    }
}

void admit_nic(Admission& a, Vm& vm, const std::string& name, const VmNic& nic, std::set<std::string>& own) {
    const std::string at = "/spec/nics/" + name;
    const NetworkObject* network = a.tx.world().find<NetworkObject>(nic.network.id);
    VmNicStatus& status = vm.status.nics[name];
    if (!nic.mac.empty()) {
        const Uuid holder = a.tx.world().mac_holder(nic.mac);
        if (holder && holder != vm.meta.id)
            a.refuse(at + "/mac", "conflict",
                     fmt::format("belongs to VM {}", a.tx.world().find<Vm>(holder)->meta.name));
        status.mac = nic.mac;
    }
    if (status.mac.empty()) status.mac = free_mac(a.tx);
    if (!nic.address.empty()) {
        check_address(a, vm, *network, nic.address, at + "/address");
        status.address = nic.address;
    }
    if (status.address.empty() && !network->spec.cidr.empty()) {
        status.address = free_address(a.tx.world(), *network, own);
        if (status.address.empty()) status.address = address_of_a_deleted(a, *network);
        if (status.address.empty())
            a.refuse(at, "exhausted",
                     fmt::format("network {} ({}) has no free address left", network->meta.name, network->spec.cidr));
    }
    own.insert(status.address);
}

void admit_nics(Admission& a, Vm& vm, const Vm* before) {
    std::set<std::string> own;
    for (const auto& [name, nic] : vm.spec.nics) {
        const auto was = before != nullptr ? before->spec.nics.find(name) : vm.spec.nics.end();
        const bool moved =
            before != nullptr && was != before->spec.nics.end() && was->second.network.id != nic.network.id;
        if (moved) vm.status.nics[name] = {.slot = vm.status.nics[name].slot};  // another card in the same place
        admit_nic(a, vm, name, nic, own);
    }
    std::erase_if(vm.status.nics, [&](const auto& entry) { return !vm.spec.nics.contains(entry.first); });
    vm.status.addresses.clear();
    for (const auto& [name, nic] : vm.status.nics) {
        if (!nic.address.empty()) vm.status.addresses.push_back(nic.address);
    }
}

void give_slots(Admission& a, Vm& vm) {
    std::set<std::int64_t> taken = {kSeedSlot};
    std::erase_if(vm.status.disk_slots, [&](const auto& entry) { return !vm.spec.disks.contains(entry.first); });
    for (const auto& [name, slot] : vm.status.disk_slots) taken.insert(slot);
    for (const auto& [name, nic] : vm.status.nics) {
        if (nic.slot > 0) taken.insert(nic.slot);
    }
    const auto next = [&]() -> std::int64_t {
        for (std::int64_t slot = kSlotFirst; slot <= kSlotLast; ++slot) {
            if (taken.insert(slot).second) return slot;
        }
        a.refuse("/spec/disks", "exhausted",
                 fmt::format("the VM has no free PCI slot left of {}", kSlotLast - kSlotFirst + 1));
        return 0;
    };
    if (vm.spec.disks.contains("root") && !vm.status.disk_slots.contains("root")) vm.status.disk_slots["root"] = next();
    for (const auto& [name, disk] : vm.spec.disks) {
        if (!vm.status.disk_slots.contains(name)) vm.status.disk_slots[name] = next();
    }
    for (auto& [name, nic] : vm.status.nics) {
        if (nic.slot == 0) nic.slot = next();
    }
}

// A host that is asked for by name is there when it is asked for. It may go later: then the VM waits.
void admit_named_host(Admission& a, const Vm& vm, const Vm* before) {
    const auto named = vm.spec.host_selector.find(kHostNameLabel);
    if (named == vm.spec.host_selector.end()) return;
    if (before != nullptr && before->spec.host_selector == vm.spec.host_selector) return;
    if (a.tx.world().named(Kind::host, {}, named->second)) return;
    a.refuse("/spec/hostSelector/axle~1host", "no-such-object",
             fmt::format("there is no host \"{}\"; axle host list shows those that there are", named->second));
}

}  // namespace

void give_addresses(Admission& a, Vm& vm) {
    admit_nics(a, vm, nullptr);
}

// Both hosts have the same list until it is over; everything else that changes meanwhile holds afterwards.
void keep_devices_while_moving(Admission& a, const Vm& vm, const Vm& before) {
    if (!before.status.migration) return;
    const auto why = [&](const char* what) {
        return fmt::format("can't change while the VM is moved to host {}: wait for its {}, or cancel it",
                           before.status.migration->host.name, what);
    };
    const std::string task = "task " + before.status.migration->task.str();
    const auto disk = [](const auto& x, const auto& y) {
        return x.first == y.first && x.second.volume == y.second.volume;
    };
    if (!std::ranges::equal(vm.spec.disks, before.spec.disks, disk)) a.refuse("/spec/disks", "busy", why(task.c_str()));
    const auto nic = [](const auto& x, const auto& y) {
        return x.first == y.first && x.second.network == y.second.network;
    };
    if (!std::ranges::equal(vm.spec.nics, before.spec.nics, nic)) a.refuse("/spec/nics", "busy", why(task.c_str()));
}

Result<> admit_vm(Admission& a, Vm& vm, const Vm* before) {
    fill_size(a, vm);
    admit_named_host(a, vm, before);
    if (before == nullptr) vm.status = {};
    if (before != nullptr) {
        carry_over(vm, *before);
        keep_devices_while_moving(a, vm, *before);
        if (!a.mistakes.empty()) return {};
        if (vm.spec.start_serial < before->spec.start_serial) vm.spec.start_serial = before->spec.start_serial;
        // Whoever sets power from stopped to running wants a start, as `vm start` does.
        if (before->spec.power == Power::stopped && vm.spec.power != Power::stopped &&
            vm.spec.start_serial == before->spec.start_serial)
            ++vm.spec.start_serial;
        if (vm.spec.power != Power::stopped) vm.spec.force_stop = false;
    }
    admit_disks(a, vm, before);
    if (!a.mistakes.empty()) return {};
    admit_nics(a, vm, before);
    give_slots(a, vm);
    return {};
}

}  // namespace axle
