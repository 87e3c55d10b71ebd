// Guests that nobody claims, by the document that their host has kept them by: its wishes stay theirs, so that nothing
// changes for them. Their host gets the document under a new epoch.
#include <algorithm>
#include <set>

#include "common/model/format.hpp"
#include "orchestrator/core/adoption.hpp"
#include "orchestrator/core/commands.hpp"
#include "orchestrator/core/decisions.hpp"
#include "orchestrator/core/derive.hpp"
#include "orchestrator/core/on_hosts.hpp"

namespace axle {

// Only where it is at home: whoever handed it over, or was to get it, has an old copy of its disks or none.
Result<> Adoption::check_at_home(const UnclaimedThing& thing) const {
    if (const std::string why = why_not_adoptable(thing); !why.empty()) return fail(not_adoptable(thing, why));
    TRY_VOID(check_epoch(thing));
    for (const auto& [host, report] : book_.all()) {
        const UnclaimedThing* other = host == host_.meta.id ? nullptr : book_.find(host, thing.kind, thing.id);
        if (other == nullptr || !other->elsewhere.empty() || other->epoch < thing.epoch) continue;
        const Host* where = tx_.world().find<Host>(host);
        return fail(not_adoptable(
            thing, fmt::format("host {} has it at a later epoch", where == nullptr ? host.str() : where->meta.name)));
    }
    return {};
}

// What the store says of its disks and NICs is what the guest has: else a move is not all that was lost.
Result<> Adoption::check_same_devices(const Vm& vm, const VmDocument& document) const {
    const VmDocument known = vm_document(tx_.world(), vm);
    const auto same_disk = [](const VmDocumentDisk& a, const VmDocumentDisk& b) {
        return a.name == b.name && a.volume == b.volume && a.slot == b.slot;
    };
    const auto same_nic = [](const VmDocumentNic& a, const VmDocumentNic& b) {
        return a.name == b.name && a.network == b.network && a.mac == b.mac && a.address == b.address;
    };
    if (std::ranges::equal(known.disks, document.disks, same_disk) &&
        std::ranges::equal(known.nics, document.nics, same_nic))
        return {};
    return fail(error(Code::conflict, "VM {} has other disks or NICs on host {} than this store knows", vm.meta.name,
                      host_.meta.name)
                    .with_hint("attach and detach here what it has there, or take them off again")
                    .with_reason("devices-differ"));
}

// A VM whose move here the store has lost: this host has it at a later epoch, which it got only by the word of the host
// that the store still names. That one runs it at no epoch up to this. Or one that was lost with this host.
Result<> Adoption::take_back(const UnclaimedThing& thing) {
    TRY_VOID(check_at_home(thing));
    TRY(document, document_of<VmDocument>(thing));
    const Vm& vm = *tx_.world().find<Vm>(thing.id);
    const std::optional<VmPlacement> before = vm.status.placement;
    const bool was_moved = before && before->epoch < thing.epoch;
    if (vm.is_deleted() || vm.status.migration || (!was_moved && !is_nowhere(tx_.world(), vm)))
        return fail(not_adoptable(thing, why_unclaimed(tx_.world(), thing)));
    TRY_VOID(check_same_devices(vm, document));
    for (const VmDocumentDisk& disk : document.disks) {
        if (was_moved)
            tx_.update_status<Volume>(disk.volume, [&](Volume& v) { v.status.placement = at_; });
        else
            TRY_VOID(take_back_volume(disk.volume));
    }
    tx_.update_spec<Vm>(thing.id, [&](Vm& v) {
        v.spec.power = document.power;
        v.spec.start_serial = std::max(v.spec.start_serial, document.start_serial);
        if (before) v.status.leftovers.push_back(*before);
        v.status.conditions.clear();
        v.status.placement = at_;
        v.status.report = {.state = thing.state, .start_serial = document.start_serial};
        ++v.meta.generation;
    });
    note_adopted(thing.id, "taken back");
    note_networks(tx_, *tx_.world().find<Vm>(thing.id), host_.meta.id);
    notes_.push_back(before ? fmt::format("it is on host {} again, not on {}, as the store had it", host_.meta.name,
                                          before->host.name)
                            : fmt::format("it is back on host {}, with which it was lost", host_.meta.name));
    return {};
}

void Adoption::note_adopted(const Uuid& vm, const char* how) {
    keep_decision(
        tx_, vm, at_.epoch,
        {.host = host_.meta.name, .summary = fmt::format("it was {} on host {}, where it was", how, host_.meta.name)});
}

// Addresses, slots and names as this orchestrator gives them.
Result<> Adoption::check_hardware(const UnclaimedThing& thing, const VmDocument& document) const {
    std::set<std::int64_t> slots;
    const auto fits = [&](const std::string& name, std::int64_t slot) {
        return is_label(name) && slot >= 1 && slot <= 29 && slots.insert(slot).second;
    };
    bool fine = true;
    for (const VmDocumentDisk& disk : document.disks) fine = fine && fits(disk.name, disk.slot);
    for (const VmDocumentNic& nic : document.nics) {
        fine = fine && fits(nic.name, nic.slot) && !why_not(Format::mac, nic.mac);
        fine = fine && (nic.address.empty() || parse_ipv4(nic.address));
    }
    if (fine) return {};
    return fail(not_adoptable(thing, "its host's document has devices that no VM of this cloud can have"));
}

Result<const Volume*> Adoption::disk_of(const Vm& vm, const VmDocumentDisk& disk) {
    const Uuid id = disk.volume;
    const auto refuse = [&](const std::string& why, const std::string& hint) {
        return fail(error(Code::conflict, "disk {} of guest {}: {}", disk.name, vm.meta.name, why)
                        .with_hint(hint)
                        .with_reason("no-disk"));
    };
    if (const Volume* known = tx_.world().find<Volume>(id)) {
        if (known->is_deleted())
            return refuse(fmt::format("volume {} is deleted", known->meta.name), "axle volume restore " + id.str());
        if (known->status.attached_to)
            return refuse(
                fmt::format("volume {} belongs to VM {} now", known->meta.name, known->status.attached_to.name),
                "take it from there first: " + how_to_detach(tx_.world(), *known));
        if (!known->status.placement || known->status.placement->host.id != host_.meta.id)
            return refuse(fmt::format("volume {} does not lie on host {}", known->meta.name, host_.meta.name), "");
        return known;
    }
    const UnclaimedThing* thing = nobodys(DocumentKind::volume, id);
    if (thing == nullptr)
        return refuse(
            fmt::format("host {} does not tell of its file {}, or it is being removed", host_.meta.name, id.str()),
            "without its disk the guest can't be taken over as it is");
    if (thing->size <= 0) return refuse("its file is not there or can't be read", "bring it back from a backup");
    Volume named;
    named.meta.id = id;
    named.meta.project = vm.meta.project;
    named.meta.name = thing->name.empty() ? vm.meta.name + "-" + disk.name : last_part(thing->name);
    TRY(volume, adopt_volume(*thing, vm.meta.project, free_volume_name(tx_.world(), named, vm.meta.name, disk.name)));
    came_along(*volume);
    return volume;
}

Result<> Adoption::take_disks(Vm& vm, const VmDocument& document) {
    for (const VmDocumentDisk& disk : document.disks) {
        const UnclaimedThing* file = nobodys(DocumentKind::volume, disk.volume);
        const bool its_own = file == nullptr || file->user.empty() || file->user == document.name ||
                             file->user == Uuid{document.id}.str();
        if (!its_own)
            return fail(
                error(Code::conflict, "disk {} of guest {}: guest {} has it", disk.name, document.name, file->user)
                    .with_hint("deal with that one first: axle unclaimed list")
                    .with_reason("no-disk"));
        TRY(volume, disk_of(vm, disk));
        vm.spec.disks[disk.name] = {.volume = {volume->meta.id, volume->meta.name},
                                    .image = volume->spec.image,
                                    .size = volume->spec.size,
                                    .pool = volume->spec.pool,
                                    .format = volume->spec.format};
        vm.status.disk_slots[disk.name] = disk.slot;
        tx_.update_status<Volume>(volume->meta.id, [&](Volume& v) {
            v.status.attached_to = {vm.meta.id, vm.meta.name};
        });
    }
    return {};
}

Result<> Adoption::check_address(const VmDocumentNic& nic, const NetworkObject& network) const {
    const auto refuse = [&](const std::string& what, const Uuid& holder) {
        const Vm* other = tx_.world().find<Vm>(holder);
        return fail(error(Code::conflict, "{} of its NIC {} belongs to VM {} now", what, nic.name,
                          other == nullptr ? holder.str() : other->meta.project.name + "/" + other->meta.name)
                        .with_hint("delete that VM for good or take its NIC away; then adopt this one")
                        .with_reason("address-taken"));
    };
    if (const Uuid holder = tx_.world().mac_holder(nic.mac)) return refuse("MAC address " + nic.mac, holder);
    const auto ip = parse_ipv4(nic.address);
    if (!ip) return {};
    if (const Uuid holder = tx_.world().address_holder(network.meta.id, *ip))
        return refuse(fmt::format("address {} in network {}", nic.address, network.meta.name), holder);
    return {};
}

Result<> Adoption::take_nics(Vm& vm, const VmDocument& document) {
    for (const VmDocumentNic& nic : document.nics) {
        TRY(network, network_of(nic.name, nic.network, vm.meta.project));
        TRY_VOID(check_address(nic, *network));
        const bool here = network->meta.project.id == vm.meta.project.id;
        vm.spec.nics[nic.name].network = {
            network->meta.id, here ? network->meta.name : network->meta.project.name + "/" + network->meta.name};
        vm.status.nics[nic.name] = {.mac = nic.mac, .address = nic.address, .slot = nic.slot};
        if (!nic.address.empty()) vm.status.addresses.push_back(nic.address);
    }
    return {};
}

// The guest has them already; in the spec stand those that the project knows.
void Adoption::take_keys(Vm& vm, const VmDocument& document) {
    std::size_t found = 0;
    for (const auto& [id, object] : tx_.world().all(Kind::sshkey)) {
        const auto& key = static_cast<const SshKey&>(*object);
        const bool has = std::ranges::find(document.seed.ssh_keys, key.spec.public_key) != document.seed.ssh_keys.end();
        if (!has || key.meta.project.id != vm.meta.project.id) continue;
        vm.spec.ssh_keys.push_back({id, key.meta.name});
        ++found;
    }
    if (found < document.seed.ssh_keys.size())
        notes_.push_back(
            fmt::format("{} of its {} SSH keys are not known here; the guest has them since its first boot",
                        document.seed.ssh_keys.size() - found, document.seed.ssh_keys.size()));
}

Result<const Vm*> Adoption::adopt_vm(const UnclaimedThing& thing, const Ref& project, const std::string& name) {
    TRY_VOID(check_at_home(thing));
    TRY(document, document_of<VmDocument>(thing));
    TRY_VOID(check_hardware(thing, document));
    auto vm = std::make_unique<Vm>();
    vm->meta.id = thing.id;
    vm->meta.name = name;
    vm->meta.project = project;
    vm->spec.cpus = document.cpus;
    vm->spec.memory = document.memory;
    vm->spec.power = document.power;
    vm->spec.start_serial = document.start_serial;
    vm->spec.force_stop = document.force_stop;
    vm->spec.stop_timeout = document.stop_timeout_ms;
    vm->spec.on_guest_shutdown = document.on_guest_shutdown;
    vm->spec.on_crash = document.on_crash;
    vm->spec.priority = document.priority;
    vm->spec.user_data.plain = document.seed.user_data;
    if (document.seed.hostname != name) vm->spec.hostname = document.seed.hostname;
    vm->status.placement = at_;
    vm->status.machine = document.machine;
    vm->status.cpu_model = document.cpu_model;
    vm->status.accelerator = document.accelerator;
    vm->status.report = {.state = thing.state, .start_serial = document.start_serial};
    TRY_VOID(take_disks(*vm, document));
    TRY_VOID(take_nics(*vm, document));
    take_keys(*vm, document);
    TRY_VOID(check_spec(*vm));
    const Vm& made = tx_.create(std::move(vm));
    note_networks(tx_, made, host_.meta.id);
    note_adopted(made.meta.id, "adopted");
    return tx_.world().find<Vm>(thing.id);
}

}  // namespace axle
