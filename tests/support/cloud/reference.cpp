#include "tests/support/cloud/reference.hpp"

#include <algorithm>

#include "tests/support/cloud/plain_kinds.hpp"

namespace axle::test {
namespace {

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
std::string keyed_name(const Act& act) {
    return fmt::format("k{}", act.subject);
}
// "vm-restore-as" gives it another name of these.
std::string restored_name(const Act& act, std::string (*name)(int)) {
    return name(act.verb.ends_with("-as") ? act.object : act.subject);
}
bool never_changes(Kind kind) {
    return kind == Kind::token || kind == Kind::jointoken;
}
std::string prefix_of(const std::string& plain_name) {
    return plain_name.substr(0, plain_name.find_first_of("0123456789"));
}

}  // namespace

Reference::Answers Reference::expect(const Act& act) const {
    if (act.verb == "vm-create") return expect_vm_create(act);
    if (act.verb == "vm-expunge") return {"ok", "not-found", "conflict"};
    if (act.verb == "vm-restore" || act.verb == "vm-restore-as") {
        if (vms_.contains(restored_name(act, vm_name))) return {"conflict"};
        return {"ok", "conflict", "invalid", "quota-exceeded", "not-found"};
    }
    if (act.verb.starts_with("vm-")) {
        const auto vm = vms_.find(vm_name(act.subject));
        return vm == vms_.end() ? Answers{"not-found"} : expect_vm(act, vm->second);
    }
    if (plain_kind_of(act.verb) != nullptr) return expect_plain(act);
    if (act.verb.starts_with("volume-")) return expect_volume(act);
    if (act.verb.starts_with("network-")) return expect_network(act);
    return expect_other(act);
}

bool Reference::has(const std::string& prefix, const std::string& name) const {
    const auto names = plain_.find(prefix);
    return names != plain_.end() && names->second.contains(name);
}

Reference::Answers Reference::expect_vm_create(const Act& act) const {
    const std::string name = vm_name(act.subject);
    if (vms_.contains(name)) return {"conflict"};
    if (!networks_.contains(network_of(act))) return {"invalid"};
    if (volumes_.contains(name + "-root")) return {"invalid"};
    if (act.object % 3 == 2 && volumes_.contains(name + "-data")) return {"invalid"};
    if (const std::string tie = vm_tie(act); !tie.empty() && !has(prefix_of(tie), tie)) return {"invalid"};
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
    const auto what = act.number % kVmPatches;  // vm-patch
    if (what == 5 && act.object % 3 != 0 && !has("group", plain_name("group", act.object))) return {"invalid"};
    return what == 4 ? Answers{"ok", "invalid"} : Answers{"ok"};
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

namespace {
std::set<std::string> one_of(bool there, const char* yes, const char* no) {
    return {there ? yes : no};
}
}  // namespace

Reference::Answers Reference::expect_volume(const Act& act) const {
    const std::string name = volume_name(act.subject);
    const auto volume = volumes_.find(name);
    const bool there = volume != volumes_.end();
    if (act.verb == "volume-create") {
        const std::string pool = volume_pool(act);
        if (there) return {"conflict"};
        return one_of(pool.empty() || has("pool", pool), "ok", "invalid");
    }
    if (act.verb == "volume-restore" || act.verb == "volume-restore-as")
        return volumes_.contains(restored_name(act, volume_name))
                   ? Answers{"conflict"}
                   : Answers{"ok", "conflict", "not-found", "invalid"};  // its pool may be gone
    if (!there) return {"not-found"};
    if (act.verb == "volume-patch") return act.number % 2 == 0 ? Answers{"ok"} : Answers{"ok", "invalid"};
    return one_of(volume->second.vm.empty(), "ok", "conflict");
}

Reference::Answers Reference::expect_network(const Act& act) const {
    const std::string name = network_name(act.subject);
    const bool there = networks_.contains(name);
    if (act.verb == "network-create") return one_of(there, "conflict", "ok");
    if (!there) return {"not-found"};
    if (act.verb == "network-patch") return {"ok"};
    const bool used = std::ranges::any_of(vms_, [&](const auto& vm) {
        return std::ranges::any_of(vm.second.nics, [&](const auto& nic) { return nic.second == name; });
    });
    return one_of(used, "conflict", "ok");
}

// What living things would break without is not deleted.
Reference::Answers Reference::expect_plain(const Act& act) const {
    const PlainKind& plain = *plain_kind_of(act.verb);
    const std::string name = plain_name(plain.prefix, act.subject);
    const bool there = has(plain.prefix, name);
    if (act.verb.ends_with("-create")) return one_of(there, "conflict", "ok");
    if (!there) return {"not-found"};
    if (act.verb.ends_with("-patch")) return one_of(never_changes(plain.kind), "invalid", "ok");
    if (plain.kind == Kind::placementgroup)
        return one_of(std::ranges::any_of(vms_, [&](const auto& vm) { return vm.second.group == name; }), "conflict",
                      "ok");
    if (plain.kind == Kind::pool)
        return one_of(std::ranges::any_of(volumes_,
                                          [&](const auto& volume) {
                                              const auto in = pool_of_.find(volume.second.id);
                                              return in != pool_of_.end() && in->second == name;
                                          }),
                      "conflict", "ok");
    if (plain.kind == Kind::zone && zones_given_.contains(name)) return {"ok", "conflict"};  // hosts aren't known here
    return {"ok"};
}

Reference::Answers Reference::expect_other(const Act& act) const {
    if (act.verb == "forward-create") {
        if (forwards_.contains(forward_name(act))) return {"conflict"};
        const std::int64_t port = 8000 + act.number % 3;
        const bool taken = std::ranges::any_of(forwards_, [&](const auto& f) { return f.second.port == port; });
        return one_of(!vms_.contains(vm_name(act.object)) || taken, "invalid", "ok");
    }
    if (act.verb.starts_with("forward-")) return one_of(forwards_.contains(forward_name(act)), "ok", "not-found");
    if (act.verb == "image-create") return one_of(images_.contains(image_name(act.subject)), "conflict", "ok");
    if (act.verb == "image-restore")
        return images_.contains(image_name(act.subject)) ? Answers{"conflict"} : Answers{"ok", "conflict", "not-found"};
    if (act.verb.starts_with("image-")) return one_of(images_.contains(image_name(act.subject)), "ok", "not-found");
    if (act.verb == "keyed-create") {
        const auto known = keys_.find(fmt::format("key-{}", act.subject));
        if (known == keys_.end()) return {"ok"};
        return one_of(known->second.first == fmt::format("{}", act.number % 5 == 0), "ok", "conflict");
    }
    if (act.verb == "host-zone") {
        const std::string zone = plain_name("zone", act.object);
        return one_of(act.object % 3 == 0 || has("zone", zone), "ok", "invalid");
    }
    // Its host may be away, or not have told of it yet.
    if (act.verb == "stray-adopt" || act.verb == "stray-remove") return {"ok", "not-found", "conflict", "busy"};
    if (act.verb == "task-cancel") return {"ok", "conflict", "not-found"};
    return {"ok"};  // project-limit, host-cordon, host-drain, host-undrain
}

std::string Reference::took(const Act& act, const Taken& taken) {
    if (act.verb.starts_with("vm-")) return took_vm(act, taken);
    if (plain_kind_of(act.verb) != nullptr) {
        took_plain(act);
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

void Reference::took_plain(const Act& act) {
    const PlainKind& plain = *plain_kind_of(act.verb);
    const std::string name = plain_name(plain.prefix, act.subject);
    if (act.verb.ends_with("-create")) plain_[plain.prefix].insert(name);
    if (act.verb.ends_with("-delete")) plain_[plain.prefix].erase(name);
}

void Reference::delete_vm(const std::string& name) {
    const RefVm vm = vms_.at(name);
    for (const auto& [disk, ref] : vm.disks) {
        if (disk == "root")
            volumes_.erase(ref.volume);
        else
            volumes_.at(ref.volume).vm.clear();
    }
    std::erase_if(forwards_, [&](const auto& f) { return f.second.vm == name; });
    deleted_[ids_.at(name)] = vm;
    vms_.erase(name);
}

std::string Reference::name_of_restored(const std::string& vm, const std::string& disk, const RefDisk& ref) const {
    const auto living = std::ranges::find_if(volumes_, [&](const auto& volume) {
        return ref.id != Uuid{} ? volume.second.id == ref.id : disk != "root" && volume.first == ref.volume;
    });
    if (living != volumes_.end()) return living->first;
    if (!volumes_.contains(ref.volume)) return ref.volume;
    const std::string after_vm = vm + "-" + disk;
    return volumes_.contains(after_vm) ? "" : after_vm;
}

std::string Reference::restore_vm(const std::string& name, const Taken& taken) {
    RefVm vm = deleted_.at(taken.object);
    deleted_.erase(taken.object);
    vm.power = Power::stopped;
    for (auto& [disk, ref] : vm.disks) {
        const auto told = taken.disks.find(disk);
        const std::string called = told == taken.disks.end() ? "" : told->second;
        const std::string right = name_of_restored(name, disk, ref);
        if (right.empty() ? !called.starts_with(disk + "-") : called != right)
            return fmt::format("disk {} of vm {} came back as {}, right is {}", disk, name, called, right);
        ref.volume = called;
        volumes_[called] = {name, ref.id};
    }
    vms_[name] = vm;
    return "";
}

void Reference::patched_vm(const Act& act, RefVm& vm) {
    const auto what = act.number % kVmPatches;
    if (what == 2) vm.power = act.object % 2 == 0 ? Power::stopped : Power::running;
    if (what == 3) vm.is_protected = act.object % 3 == 0;
    if (what == 4 && act.object % 2 == 0) vm.nics["eth1"] = "blue";
    if (what == 4 && act.object % 2 != 0) vm.nics.erase("eth1");
    if (what == 5) vm.group = act.object % 3 == 0 ? "" : plain_name("group", act.object);
}

std::string Reference::took_vm(const Act& act, const Taken& taken) {
    const std::string name = act.verb.starts_with("vm-restore") ? restored_name(act, vm_name) : vm_name(act.subject);
    if (act.verb == "vm-create") {
        RefVm vm{.power = act.number % 5 == 4 ? Power::stopped : Power::running};
        vm.nics["eth0"] = network_of(act);
        vm.disks["root"].volume = name + "-root";
        if (act.object % 3 == 2) vm.disks["data"].volume = name + "-data";
        for (const auto& [disk, ref] : vm.disks) volumes_[ref.volume].vm = name;
        if (const std::string tie = vm_tie(act); tie.starts_with("group")) vm.group = tie;
        vms_[name] = vm;
        ids_[name] = taken.object;
        return "";
    }
    if (act.verb == "vm-expunge") return "";
    if (act.verb.starts_with("vm-restore")) {
        ids_[name] = taken.object;
        return restore_vm(name, taken);
    }
    RefVm& vm = vms_.at(name);
    if (act.verb == "vm-start" || act.verb == "vm-resume") vm.power = Power::running;
    if (act.verb == "vm-stop" || act.verb == "vm-force") vm.power = Power::stopped;
    if (act.verb == "vm-pause") vm.power = Power::paused;
    if (act.verb == "vm-delete") delete_vm(name);
    if (act.verb == "vm-attach") took_attach(act, vm);
    if (act.verb == "vm-detach") {
        volumes_.at(vm.disks.at(disk_to_detach(act)).volume).vm.clear();
        vm.disks.erase(disk_to_detach(act));
    }
    if (act.verb == "vm-patch") patched_vm(act, vm);
    return "";
}

void Reference::took_attach(const Act& act, RefVm& vm) {
    const std::string name = vm_name(act.subject), disk = disk_to_attach(act);
    const std::string volume = act.number % 2 == 0 ? volume_name(act.object) : name + "-" + disk;
    RefVolume& attached = volumes_[volume];
    attached.vm = name;
    vm.disks[disk] = {volume, attached.id};
}

void Reference::took_other(const Act& act, const Taken& taken) {
    if (act.verb == "volume-create") {
        volumes_[volume_name(act.subject)] = {.id = taken.object};
        if (const std::string pool = volume_pool(act); !pool.empty()) pool_of_[taken.object] = pool;
    }
    if (act.verb.starts_with("volume-restore")) volumes_[restored_name(act, volume_name)] = {.id = taken.object};
    if (act.verb == "volume-delete") volumes_.erase(volume_name(act.subject));
    if (act.verb == "stray-adopt") volumes_[stray_name(taken.object)] = {};
    if (act.verb == "network-create") networks_.insert(network_name(act.subject));
    if (act.verb == "network-delete") networks_.erase(network_name(act.subject));
    if (act.verb == "forward-create") forwards_[forward_name(act)] = {vm_name(act.object), 8000 + act.number % 3};
    if (act.verb == "forward-delete") forwards_.erase(forward_name(act));
    if (act.verb == "image-create" || act.verb == "image-restore") images_.insert(image_name(act.subject));
    if (act.verb == "image-delete") images_.erase(image_name(act.subject));
    if (act.verb == "host-zone" && act.object % 3 != 0) zones_given_.insert(plain_name("zone", act.object));
    if (act.verb == "project-limit") {
        vms_max_.reset();
        if (act.number % 3 == 0) vms_max_ = 2 + act.object;
    }
    if (act.verb == "keyed-create" && !taken.replayed) {
        keys_[fmt::format("key-{}", act.subject)] = {fmt::format("{}", act.number % 5 == 0), taken.object};
        volumes_[keyed_name(act)] = {};
    }
}

}  // namespace axle::test
