// Volumes: completed when their image is there, given a place, expunged. Images: image_controller.cpp.
#include <algorithm>

#include "common/base/log.hpp"
#include "orchestrator/core/admit.hpp"
#include "orchestrator/core/controllers.hpp"
#include "orchestrator/core/moves.hpp"
#include "orchestrator/core/vm_rules.hpp"

namespace axle {
namespace {

Condition failure(const char* type, const char* reason, std::string message, std::string now) {
    return {type, false, reason, std::move(message), std::move(now)};
}

// Whether the project may have the volume at this size, which it got from its image.
Result<> limits_with(Transaction& tx, const Volume& volume, std::int64_t size) {
    Usage grown = tx.world().used_by_project(volume.meta.project.id);
    const Usage before = grown;
    grown.disk += size - volume.spec.size;
    return check_usage(tx.world(), volume.meta.project.id, grown, before);
}

}  // namespace

void Controllers::reconcile_volume(const Uuid& id) {
    Transaction tx = pipeline_.begin();
    const auto volume = [&] { return pipeline_.world().find<Volume>(id); };
    if (volume() == nullptr) return;
    forget_lost_leftovers(tx, *volume());
    if (const auto& deletion = volume()->meta.deletion) {
        const Vm* user = volume()->status.attached_to ? tx.world().find<Vm>(volume()->status.attached_to.id) : nullptr;
        const bool in_use = user != nullptr && user->status.placement && !user->status.gone;  // the VM goes first
        if (!deletion->final && tx.moment().cluster_time >= deletion->expunge_at && !in_use) {
            tx.update_spec<Volume>(id, [](Volume& v) {
                v.meta.deletion->final = true;
                v.status.phase = VolumePhase::expunging;
            });
        } else if (deletion->final && (!volume()->status.placement || volume()->status.gone) &&
                   volume()->status.leftovers.empty()) {
            const std::string digest = volume()->spec.image_digest;
            const std::set<Uuid> open = tx.world().tasks_of(id);
            for (const Uuid& task : open) move_task(tx, task, TaskPhase::succeeded);
            tx.erase(Kind::volume, id);
            forget_image_file(tx, digest);
            pipeline_.commit(tx);
            return;
        } else if (!deletion->final && volume()->status.phase != VolumePhase::deleted) {
            tx.update_status<Volume>(id, [](Volume& v) { v.status.phase = VolumePhase::deleted; });
        }
    } else {
        if (volume()->status.phase == VolumePhase::deleted)
            tx.update_status<Volume>(
                id, [](Volume& v) { v.status.phase = v.status.made ? VolumePhase::ready : VolumePhase::pending; });
        if (volume()->spec.image && volume()->spec.image_digest.empty()) complete_from_image(tx, *volume());
        const bool complete = !volume()->spec.image || !volume()->spec.image_digest.empty();
        const bool lost = volume()->status.phase == VolumePhase::lost;  // with its host: nothing is made in its place
        if (complete && !lost && !volume()->status.placement) {
            const Vm* user = tx.world().find<Vm>(volume()->status.attached_to.id);
            if (!volume()->status.attached_to)
                place_volume(tx, *volume());
            else if (user != nullptr && user->status.placement)
                place_beside(tx, *volume(), *user);  // attached to a VM that has its place already
        }
    }
    settle_tasks(tx, *volume());
    pipeline_.commit(tx);
}

void Controllers::complete_from_image(Transaction& tx, const Volume& volume) {
    const Image* image = tx.world().find<Image>(volume.spec.image.id);
    const Uuid id = volume.meta.id;
    if (image == nullptr || image->status.phase == ImagePhase::failed) {
        const std::string why = image == nullptr ? "its image is gone"
                                                 : fmt::format("its image {} could not be imported", image->meta.name);
        tx.update_status<Volume>(id, [&](Volume& v) {
            v.status.phase = VolumePhase::failed;
            set_condition(v.status.conditions, failure("Ready", "ImageFailed", why, pipeline_.now_text()));
        });
        return;
    }
    if (image->status.phase != ImagePhase::ready) return;
    const std::int64_t least = image->status.virtual_size;
    if (volume.spec.size != 0 && volume.spec.size < least) {
        tx.update_status<Volume>(id, [&](Volume& v) {
            v.status.phase = VolumePhase::failed;
            set_condition(v.status.conditions,
                          failure("Ready", "TooSmall",
                                  fmt::format("it has {}, its image {} needs {}", format_bytes(v.spec.size),
                                              image->meta.name, format_bytes(least)),
                                  pipeline_.now_text()));
        });
        return;
    }
    if (const auto over = limits_with(tx, volume, std::max(volume.spec.size, least)); !over) {
        const std::string why = fmt::format("{}: {}", over.error().message, over.error().hint);
        const Condition* now = find_condition(volume.status.conditions, "Ready");
        if (now != nullptr && now->message == why) return;
        tx.update_status<Volume>(id, [&](Volume& v) {
            v.status.phase = VolumePhase::failed;
            set_condition(v.status.conditions, failure("Ready", "QuotaExceeded", why, pipeline_.now_text()));
        });
        return;
    }
    const std::string digest = image->status.digest;
    tx.update_spec<Volume>(id, [&](Volume& v) {
        v.spec.image_digest = digest;
        v.spec.size = std::max(v.spec.size, least);
        if (v.status.phase == VolumePhase::failed) v.status.phase = VolumePhase::pending;
        drop_condition(v.status.conditions, "Ready");
    });
}

// A volume that no VM uses is made at once where there is no choice; else it waits for its first VM, which then has
// one.
void Controllers::place_volume(Transaction& tx, const Volume& volume) {
    VmRequest request{.name = volume.meta.name, .cpus = 0};
    VolumeRequest v{
        .pool_name = volume.spec.pool.name, .size = volume.spec.size, .image_digest = volume.spec.image_digest};
    v.pool = PoolId{volume.spec.pool.id};
    request.volumes.push_back(std::move(v));
    const std::vector<HostState> hosts = host_states();
    const Decision decision = decide(request, hosts);
    const auto candidates =
        std::ranges::count_if(decision.candidates, [](const Candidate& c) { return c.filter.empty(); });
    const Uuid id = volume.meta.id;
    if (candidates == 0) make_room(tx, volume.meta.project.id, request, hosts);
    if (candidates != 1 || hosts.size() != 1) {
        const std::string why =
            candidates == 0 ? decision.summary : "it is made on the host of the first VM that uses it";
        const Condition* now = find_condition(volume.status.conditions, "Placed");
        if (now != nullptr && now->message == why) return;
        tx.update_status<Volume>(id, [&](Volume& x) {
            set_condition(x.status.conditions,
                          {"Placed", false, candidates == 0 ? "NoCapacity" : kWaitsForVm, why, pipeline_.now_text()});
        });
        return;
    }
    const ObjectPtr host = tx.world().named(Kind::host, {}, decision.host);
    const Epoch epoch{tx.moment().incarnation, tx.next_revision()};
    tx.update_status<Volume>(id, [&](Volume& x) {
        x.status.placement = VmPlacement{{host->meta.id, host->meta.name}, epoch};
        x.status.phase = VolumePhase::creating;
        drop_condition(x.status.conditions, "Placed");
    });
}

void Controllers::place_beside(Transaction& tx, const Volume& volume, const Vm& vm) {
    const Ref at = vm.status.placement->host;
    const Host* host = tx.world().find<Host>(at.id);
    if (host == nullptr) return;
    VmRequest request{.name = volume.meta.name, .cpus = 0};
    VolumeRequest wanted{
        .pool_name = volume.spec.pool.name, .size = volume.spec.size, .image_digest = volume.spec.image_digest};
    wanted.pool = PoolId{volume.spec.pool.id};
    request.volumes.push_back(std::move(wanted));
    const Uuid id = volume.meta.id;
    if (const auto why = reject_pools(request, state_of(*host))) {
        make_room(tx, volume.meta.project.id, request, {state_of(*host)});
        const std::string message = fmt::format("host {} of VM {}: {}", at.name, vm.meta.name, *why);
        const Condition* now = find_condition(volume.status.conditions, "Placed");
        if (now != nullptr && now->message == message) return;
        tx.update_status<Volume>(id, [&](Volume& v) {
            set_condition(v.status.conditions, {"Placed", false, "NoCapacity", message, pipeline_.now_text()});
        });
        return;
    }
    const Epoch epoch{tx.moment().incarnation, tx.next_revision()};
    tx.update_status<Volume>(id, [&](Volume& v) {
        v.status.placement = VmPlacement{at, epoch};
        v.status.phase = VolumePhase::creating;
        drop_condition(v.status.conditions, "Placed");
    });
}

}  // namespace axle
