// A VM as its host gets it.
#include "orchestrator/core/derive.hpp"

namespace axle {

VmDocument vm_document(const World& world, const Vm& vm) {
    VmDocument d{.epoch = vm.status.placement->epoch,
                 .generation = vm.meta.generation,
                 .name = vm.meta.project.name + "/" + vm.meta.name};
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

}  // namespace axle
