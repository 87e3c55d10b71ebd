#include "tests/support/cloud/reference.hpp"

#include <algorithm>

namespace axle::test {
namespace {

template <typename Map>
std::set<std::string> keys_of(const Map& map) {
    std::set<std::string> keys;
    for (const auto& [key, value] : map) keys.insert(key);
    return keys;
}

std::string disk_to_attach(const Act& act) {
    return fmt::format("d{}", act.object % 3);
}
std::string disk_to_detach(const Act& act) {
    return act.object % 4 == 3 ? "data" : fmt::format("d{}", act.object % 3);
}
std::string network_of(const Act& act) {
    return act.object % 4 == 3 ? network_name(1) : "blue";
}
std::string forward_name(const Act& act) {
    return fmt::format("f{}", act.subject);
}
std::string image_name(const Act& act) {
    return fmt::format("image{}", act.subject);
}
std::string keyed_name(const Act& act) {
    return fmt::format("k{}", act.subject);
}

}  // namespace

Reference::Answers Reference::expect(const Act& act) const {
    if (act.verb == "vm-create") return expect_vm_create(act);
    if (act.verb == "vm-expunge") return {"ok", "not-found", "conflict"};
    if (act.verb == "vm-restore") {
        if (vms_.contains(vm_name(act.subject))) return {"conflict"};
        return {"ok", "conflict", "invalid", "quota-exceeded", "not-found"};
    }
    if (act.verb.starts_with("vm-")) {
        const auto vm = vms_.find(vm_name(act.subject));
        return vm == vms_.end() ? Answers{"not-found"} : expect_vm(act, vm->second);
    }
    return expect_other(act);
}

Reference::Answers Reference::expect_vm_create(const Act& act) const {
    const std::string name = vm_name(act.subject);
    if (vms_.contains(name)) return {"conflict"};
    if (!networks_.contains(network_of(act))) return {"invalid"};
    if (volumes_.contains(name + "-root")) return {"invalid"};
    if (act.object % 3 == 2 && volumes_.contains(name + "-data")) return {"invalid"};
    if (vms_max_ && static_cast<std::int64_t>(vms_.size()) + 1 > *vms_max_) return {"quota-exceeded"};
    return {"ok"};
}

Reference::Answers Reference::expect_vm(const Act& act, const RefVm& vm) const {
    if (act.verb == "vm-start" || act.verb == "vm-stop" || act.verb == "vm-force") return {"ok"};
    if (act.verb == "vm-pause") return vm.power == Power::paused ? Answers{"ok"} : Answers{"ok", "conflict"};
    if (act.verb == "vm-resume") return vm.power == Power::stopped ? Answers{"conflict"} : Answers{"ok"};
    if (act.verb == "vm-reboot" || act.verb == "vm-reset") return {"ok", "conflict", "busy"};
    if (act.verb == "vm-migrate") return {"ok", "conflict", "busy", "invalid"};
    if (act.verb == "vm-delete") return vm.is_protected ? Answers{"conflict"} : Answers{"ok"};
    if (act.verb == "vm-attach") return expect_attach(act, vm);
    // Disks and NICs stay as they are while the VM moves.
    if (act.verb == "vm-detach")
        return vm.disks.contains(disk_to_detach(act)) ? Answers{"ok", "invalid"} : Answers{"not-found"};
    return act.number % 5 == 4 ? Answers{"ok", "invalid"} : Answers{"ok"};  // vm-patch
}

Reference::Answers Reference::expect_attach(const Act& act, const RefVm& vm) const {
    const std::string disk = disk_to_attach(act);
    if (vm.disks.contains(disk)) return {"conflict"};
    if (act.number % 2 != 0)
        return volumes_.contains(vm_name(act.subject) + "-" + disk) ? Answers{"invalid"} : Answers{"ok", "invalid"};
    const auto volume = volumes_.find(volume_name(act.object));
    if (volume == volumes_.end() || !volume->second.vm.empty()) return {"invalid"};
    return {"ok", "invalid"};  // it may lie on another host than the VM
}

Reference::Answers Reference::expect_other(const Act& act) const {
    const auto one_of = [](bool there, const char* yes, const char* no) { return Answers{there ? yes : no}; };
    if (act.verb == "volume-create") return one_of(volumes_.contains(volume_name(act.subject)), "conflict", "ok");
    if (act.verb == "volume-delete") {
        const auto volume = volumes_.find(volume_name(act.subject));
        if (volume == volumes_.end()) return {"not-found"};
        return one_of(volume->second.vm.empty(), "ok", "conflict");
    }
    if (act.verb == "volume-restore")
        return volumes_.contains(volume_name(act.subject)) ? Answers{"conflict"}
                                                           : Answers{"ok", "conflict", "not-found"};
    if (act.verb == "network-create") return one_of(networks_.contains(network_name(act.subject)), "conflict", "ok");
    if (act.verb == "network-delete") {
        const std::string name = network_name(act.subject);
        const bool used = std::ranges::any_of(vms_, [&](const auto& vm) {
            return std::ranges::any_of(vm.second.nics, [&](const auto& nic) { return nic.second == name; });
        });
        return networks_.contains(name) ? one_of(used, "conflict", "ok") : Answers{"not-found"};
    }
    if (act.verb == "forward-create") {
        if (forwards_.contains(forward_name(act))) return {"conflict"};
        const std::int64_t port = 8000 + act.number % 3;
        const bool taken = std::ranges::any_of(forwards_, [&](const auto& f) { return f.second.port == port; });
        return one_of(!vms_.contains(vm_name(act.object)) || taken, "invalid", "ok");
    }
    if (act.verb == "forward-delete") return one_of(forwards_.contains(forward_name(act)), "ok", "not-found");
    if (act.verb == "image-create") return one_of(images_.contains(image_name(act)), "conflict", "ok");
    if (act.verb == "image-delete") return one_of(images_.contains(image_name(act)), "ok", "not-found");
    if (act.verb == "image-restore")
        return images_.contains(image_name(act)) ? Answers{"conflict"} : Answers{"ok", "conflict", "not-found"};
    if (act.verb == "keyed-create") {
        const auto known = keys_.find(fmt::format("key-{}", act.subject));
        if (known == keys_.end()) return {"ok"};
        return one_of(known->second.first == fmt::format("{}", act.number % 5 == 0), "ok", "conflict");
    }
    // Its host may be away, or not have told of it yet.
    if (act.verb == "stray-adopt" || act.verb == "stray-remove") return {"ok", "not-found", "conflict", "busy"};
    if (act.verb == "task-cancel") return {"ok", "conflict", "not-found"};
    return {"ok"};  // project-limit, host-cordon
}

std::string Reference::took(const Act& act, const Taken& taken) {
    if (act.verb.starts_with("vm-")) {
        took_vm(act, taken);
        return "";
    }
    if (act.verb == "keyed-create" && taken.replayed) {
        const auto first = keys_.find(fmt::format("key-{}", act.subject));
        if (first == keys_.end()) return act.verb + ": the first request with its key was answered as a repeated one";
        if (first->second.second != taken.object) return act.verb + ": a repeated request was told of another object";
    }
    took_other(act, taken);
    return "";
}

void Reference::delete_vm(const std::string& name) {
    const RefVm vm = vms_.at(name);
    for (const auto& [disk, volume] : vm.disks) {
        if (disk == "root")
            volumes_.erase(volume);
        else
            volumes_.at(volume).vm.clear();
    }
    std::erase_if(forwards_, [&](const auto& f) { return f.second.vm == name; });
    deleted_[ids_.at(name)] = vm;
    vms_.erase(name);
}

void Reference::restore_vm(const std::string& name) {
    RefVm vm = deleted_.at(ids_.at(name));
    deleted_.erase(ids_.at(name));
    vm.power = Power::stopped;
    for (const auto& [disk, volume] : vm.disks) volumes_[volume].vm = name;
    vms_[name] = vm;
}

void Reference::took_vm(const Act& act, const Taken& taken) {
    const std::string name = vm_name(act.subject);
    if (act.verb == "vm-create") {
        RefVm vm{.power = act.number % 5 == 4 ? Power::stopped : Power::running};
        vm.nics["eth0"] = network_of(act);
        vm.disks["root"] = name + "-root";
        if (act.object % 3 == 2) vm.disks["data"] = name + "-data";
        for (const auto& [disk, volume] : vm.disks) volumes_[volume].vm = name;
        vms_[name] = vm;
        ids_[name] = taken.object;
        return;
    }
    if (act.verb == "vm-expunge") return;
    if (act.verb == "vm-restore") {
        ids_[name] = taken.object;
        return restore_vm(name);
    }
    RefVm& vm = vms_.at(name);
    if (act.verb == "vm-start" || act.verb == "vm-resume") vm.power = Power::running;
    if (act.verb == "vm-stop" || act.verb == "vm-force") vm.power = Power::stopped;
    if (act.verb == "vm-pause") vm.power = Power::paused;
    if (act.verb == "vm-delete") return delete_vm(name);
    if (act.verb == "vm-attach") return took_attach(act, vm);
    if (act.verb == "vm-detach") {
        volumes_.at(vm.disks.at(disk_to_detach(act))).vm.clear();
        vm.disks.erase(disk_to_detach(act));
    }
    if (act.verb != "vm-patch") return;
    if (act.number % 5 == 2) vm.power = act.object % 2 == 0 ? Power::stopped : Power::running;
    if (act.number % 5 == 3) vm.is_protected = act.object % 3 == 0;
    if (act.number % 5 == 4 && act.object % 2 == 0) vm.nics["eth1"] = "blue";
    if (act.number % 5 == 4 && act.object % 2 != 0) vm.nics.erase("eth1");
}

void Reference::took_attach(const Act& act, RefVm& vm) {
    const std::string name = vm_name(act.subject), disk = disk_to_attach(act);
    const std::string volume = act.number % 2 == 0 ? volume_name(act.object) : name + "-" + disk;
    vm.disks[disk] = volume;
    volumes_[volume].vm = name;
}

void Reference::took_other(const Act& act, const Taken& taken) {
    if (act.verb == "volume-create" || act.verb == "volume-restore") volumes_[volume_name(act.subject)] = {};
    if (act.verb == "volume-delete") volumes_.erase(volume_name(act.subject));
    if (act.verb == "stray-adopt") volumes_[stray_name(taken.object)] = {};
    if (act.verb == "network-create") networks_.insert(network_name(act.subject));
    if (act.verb == "network-delete") networks_.erase(network_name(act.subject));
    if (act.verb == "forward-create") forwards_[forward_name(act)] = {vm_name(act.object), 8000 + act.number % 3};
    if (act.verb == "forward-delete") forwards_.erase(forward_name(act));
    if (act.verb == "image-create" || act.verb == "image-restore") images_.insert(image_name(act));
    if (act.verb == "image-delete") images_.erase(image_name(act));
    if (act.verb == "project-limit") {
        vms_max_.reset();
        if (act.number % 3 == 0) vms_max_ = 2 + act.object;
    }
    if (act.verb == "keyed-create" && !taken.replayed) {
        keys_[fmt::format("key-{}", act.subject)] = {fmt::format("{}", act.number % 5 == 0), taken.object};
        volumes_[keyed_name(act)] = {};
    }
}

Seen seen_in(const World& world) {
    Seen seen;
    for (const auto& [key, id] : world.names_of(Kind::vm)) {
        const Vm& vm = *world.find<Vm>(id);
        Seen::SeenVm& as = seen.vms[key.name];
        as = {.power = text_of(vm.spec.power),
              .nics = keys_of(vm.spec.nics),
              .is_protected = vm.spec.deletion_protection};
        for (const auto& [disk, d] : vm.spec.disks) {
            const Volume* volume = world.find<Volume>(d.volume.id);
            as.disks[disk] = volume == nullptr || volume->is_deleted() ? "" : volume->meta.name;
        }
    }
    for (const auto& [key, id] : world.names_of(Kind::volume))
        seen.volumes[key.name] = world.find<Volume>(id)->status.attached_to.name;
    for (const auto& [key, id] : world.names_of(Kind::network)) seen.networks.insert(key.name);
    for (const auto& [key, id] : world.names_of(Kind::image)) seen.images.insert(key.name);
    for (const auto& [key, id] : world.names_of(Kind::portforward)) seen.forwards.insert(key.name);
    return seen;
}

namespace {

std::string names_differ(const char* kind, const std::set<std::string>& mine, const std::set<std::string>& theirs) {
    for (const std::string& name : mine) {
        if (!theirs.contains(name)) return fmt::format("{} {} was promised and is not there", kind, name);
    }
    for (const std::string& name : theirs) {
        if (!mine.contains(name)) return fmt::format("{} {} is there and should not be", kind, name);
    }
    return "";
}

}  // namespace

std::string Reference::compare_vm(const std::string& name, const RefVm& mine, const Seen::SeenVm& theirs) {
    if (theirs.power != text_of(mine.power))
        return fmt::format("vm {} has power {}, its user said {}", name, theirs.power, text_of(mine.power));
    if (keys_of(theirs.disks) != keys_of(mine.disks)) return "vm " + name + " has other disks";
    if (theirs.nics != keys_of(mine.nics)) return "vm " + name + " has other NICs";
    if (theirs.is_protected != mine.is_protected) return "vm " + name + " has another protection";
    for (const auto& [disk, volume] : theirs.disks) {
        if (volume.empty()) return fmt::format("disk {} of vm {} is gone", disk, name);
        if (volume != mine.disks.at(disk)) return fmt::format("disk {} of vm {} is another one", disk, name);
    }
    return "";
}

std::string Reference::compare(const Seen& seen) const {
    const std::string differences[] = {names_differ("vm", keys_of(vms_), keys_of(seen.vms)),
                                       names_differ("volume", keys_of(volumes_), keys_of(seen.volumes)),
                                       names_differ("network", networks_, seen.networks),
                                       names_differ("image", images_, seen.images),
                                       names_differ("portforward", keys_of(forwards_), seen.forwards)};
    for (const std::string& d : differences) {
        if (!d.empty()) return d;
    }
    for (const auto& [name, vm] : seen.vms) {
        if (auto d = compare_vm(name, vms_.at(name), vm); !d.empty()) return d;
    }
    for (const auto& [name, at] : seen.volumes) {
        if (at != volumes_.at(name).vm)
            return fmt::format("volume {} is attached to \"{}\", it should be to \"{}\"", name, at,
                               volumes_.at(name).vm);
    }
    return "";
}

}  // namespace axle::test
