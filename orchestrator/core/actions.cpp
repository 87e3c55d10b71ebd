#include "orchestrator/core/actions.hpp"

namespace axle {

const std::vector<ActionInfo>& all_actions() {
    static const Type* const none = &type_of<NoArguments>();
    static const std::vector<ActionInfo> actions = {
        {Kind::vm, "start", "Start it, also when the guest had switched itself off.", none},
        {Kind::vm, "stop", "Ask the guest to shut down, and wait for it.", &type_of<StopArguments>()},
        {Kind::vm, "reboot", "Ask the guest to reboot.", none},
        {Kind::vm, "reset", "Press the reset button.", none},
        {Kind::vm, "pause", "Freeze the guest where it is.", none},
        {Kind::vm, "resume", "Let a paused guest go on.", none},
        {Kind::vm, "migrate", "Move it to another host, with its disks.", &type_of<MigrateArguments>()},
        {Kind::vm, "restore", "Bring back a deleted VM with its disks.", &type_of<RestoreArguments>()},
        {Kind::vm, "attach", "Give it a disk.", &type_of<AttachArguments>()},
        {Kind::vm, "detach", "Take a disk away; the volume stays.", &type_of<DetachArguments>()},
        {Kind::volume, "restore", "Bring back a deleted volume.", &type_of<RestoreArguments>()},
        {Kind::image, "restore", "Bring back a deleted image.", &type_of<RestoreArguments>()},
        {Kind::image, "import", "Import it once more after a failure, or at once where it waits for its next try.",
         none},
        {Kind::host, "cordon", "Place no new VMs there.", none},
        {Kind::host, "uncordon", "Place VMs there again; a drain ends.", none},
        {Kind::host, "drain", "Place no new VMs there, and move those that are there to other hosts.",
         &type_of<DrainArguments>()},
        {Kind::host, "undrain", "Keep what is there, and place VMs there again.", &type_of<UndrainArguments>()},
        {Kind::host, "adopt", "Make something that lies there and that no record knows a resource again.",
         &type_of<AdoptArguments>()},
        {Kind::host, "remove-unclaimed",
         "Remove something for good that lies there and that no record knows: a guest with its definition, or a file.",
         &type_of<RemoveUnclaimedArguments>()},
        {Kind::task, "cancel", "Stop working on it.", none},
    };
    return actions;
}

const ActionInfo* find_action(Kind kind, std::string_view name) {
    for (const ActionInfo& a : all_actions()) {
        if (a.kind == kind && name == a.name) return &a;
    }
    return nullptr;
}

}  // namespace axle
