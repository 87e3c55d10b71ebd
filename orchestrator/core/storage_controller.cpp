// Volumes and images: completed when their image is there, given a place, imported, expunged.
#include <algorithm>

#include "common/base/log.hpp"
#include "orchestrator/core/controllers.hpp"
#include "orchestrator/core/vm_rules.hpp"

namespace axle {
namespace {

Condition failure(const char* type, const char* reason, std::string message, std::string now) {
    return {type, false, reason, std::move(message), std::move(now)};
}

}  // namespace

void Controllers::reconcile_volume(const Uuid& id) {
    Transaction tx = pipeline_.begin();
    const auto volume = [&] { return pipeline_.world().find<Volume>(id); };
    if (volume() == nullptr) return;
    if (const auto& deletion = volume()->meta.deletion) {
        const Vm* user = volume()->status.attached_to ? tx.world().find<Vm>(volume()->status.attached_to.id) : nullptr;
        const bool in_use = user != nullptr && user->status.placement && !user->status.gone;  // the VM goes first
        if (!deletion->final && tx.moment().cluster_time >= deletion->expunge_at && !in_use) {
            tx.update_spec<Volume>(id, [](Volume& v) {
                v.meta.deletion->final = true;
                v.status.phase = VolumePhase::expunging;
            });
        } else if (deletion->final && (!volume()->status.placement || volume()->status.gone)) {
            const std::string digest = volume()->spec.image_digest;
            const std::set<Uuid> open = tx.world().tasks_of(id);
            for (const Uuid& task : open) move_task(tx, task, TaskPhase::succeeded);
            tx.erase(Kind::volume, id);
            pipeline_.commit(tx);
            return forget_image_file(digest);
        } else if (!deletion->final && volume()->status.phase != VolumePhase::deleted) {
            tx.update_status<Volume>(id, [](Volume& v) { v.status.phase = VolumePhase::deleted; });
        }
    } else {
        if (volume()->status.phase == VolumePhase::deleted)
            tx.update_status<Volume>(
                id, [](Volume& v) { v.status.phase = v.status.made ? VolumePhase::ready : VolumePhase::pending; });
        if (volume()->spec.image && volume()->spec.image_digest.empty()) complete_from_image(tx, *volume());
        const bool complete = !volume()->spec.image || !volume()->spec.image_digest.empty();
        if (complete && !volume()->status.placement) {
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
        const std::string why = candidates == 0 ? decision.summary : "it is made when a VM that uses it is placed";
        const Condition* now = find_condition(volume.status.conditions, "Placed");
        if (now != nullptr && now->message == why) return;
        tx.update_status<Volume>(id, [&](Volume& x) {
            set_condition(x.status.conditions,
                          {"Placed", false, candidates == 0 ? "NoCapacity" : "WaitsForVm", why, pipeline_.now_text()});
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

void Controllers::reconcile_image(const Uuid& id) {
    const Image* image = pipeline_.world().find<Image>(id);
    if (image == nullptr) return;
    const std::set<Uuid> open = pipeline_.world().tasks_of(id);
    const bool cancelling = std::ranges::any_of(
        open, [&](const Uuid& t) { return pipeline_.world().find<Task>(t)->status.phase == TaskPhase::cancelling; });
    if ((cancelling || image->is_deleted()) && importing_.contains(id)) return importer_.cancel(id);
    if (image->is_deleted()) {
        if (pipeline_.cluster_time() < image->meta.deletion->expunge_at) return;
        const std::string digest = image->status.digest;
        Transaction tx = pipeline_.begin();
        for (const Uuid& task : open) move_task(tx, task, TaskPhase::superseded);
        tx.erase(Kind::image, id);
        pipeline_.commit(tx);
        return forget_image_file(digest);
    }
    if (cancelling) return imported(id, fail(error(Code::conflict, "cancelled").with_reason("cancelled")));
    const bool wanted = image->status.phase == ImagePhase::pending || image->status.phase == ImagePhase::importing;
    if (wanted && !importing_.contains(id)) start_import(*image);
}

void Controllers::start_import(const Image& image) {
    const Uuid id = image.meta.id;
    importing_[id] = {0, 0};
    ImportRequest request{.image = id,
                          .url = image.spec.url,
                          .from_this_machine = image.status.by_administrator,
                          .checksum = image.spec.checksum};
    Transaction tx = pipeline_.begin();
    tx.update_status<Image>(id, [](Image& i) { i.status.phase = ImagePhase::importing; });
    for (const Uuid& task : std::set<Uuid>(tx.world().tasks_of(id))) wait_task_for(tx, task, "");
    pipeline_.commit(tx);
    importer_.import(
        std::move(request),
        [this, id](std::int64_t done, std::int64_t all) {
            importing_[id] = {done, all};
        },
        [this, id](Result<Imported> result) { imported(id, std::move(result)); });
}

std::pair<std::int64_t, std::int64_t> Controllers::progress_of(const Uuid& image) const {
    const auto found = importing_.find(image);
    return found == importing_.end() ? std::pair<std::int64_t, std::int64_t>{} : found->second;
}

void Controllers::imported(const Uuid& id, Result<Imported> result) {
    importing_.erase(id);
    if (pipeline_.store_state().read_only) return;  // it is looked for again when the loss is accepted
    const Image* image = pipeline_.world().find<Image>(id);
    if (image == nullptr) {
        if (result) forget_image_file(result->digest);
        return importer_.forget(id);
    }
    Transaction tx = pipeline_.begin();
    const bool cancelled = !result && result.error().reason == "cancelled";
    const bool interrupted = !result && result.error().reason == "interrupted";
    tx.update_status<Image>(id, [&](Image& i) {
        if (result) {
            i.status = {.phase = ImagePhase::ready,
                        .digest = result->digest,
                        .size = result->size,
                        .virtual_size = result->virtual_size,
                        .source_format = result->source_format};
            return;
        }
        const bool again = (cancelled || interrupted) && i.spec.url.empty();
        i.status.phase = again ? ImagePhase::uploading : ImagePhase::failed;
        const char* reason = cancelled ? "Cancelled" : interrupted ? "Interrupted" : "ImportFailed";
        set_condition(i.status.conditions, failure("Ready", reason, result.error().message, pipeline_.now_text()));
    });
    for (const Uuid& task : std::set<Uuid>(tx.world().tasks_of(id))) {
        if (result)
            move_task(tx, task, TaskPhase::succeeded);
        else if (cancelled) {
            // Cancelled by its user, or because the image was deleted.
            const bool asked = tx.world().find<Task>(task)->status.phase == TaskPhase::cancelling;
            move_task(tx, task, asked ? TaskPhase::cancelled : TaskPhase::superseded);
        } else {
            move_task(tx, task, TaskPhase::failed,
                      TaskError{result.error().reason.empty() ? name_of(result.error().code) : result.error().reason,
                                result.error().message, result.error().hint});
        }
    }
    pipeline_.commit(tx);
    // Not before: a crash would leave an acknowledged upload without its bytes.
    if (result) pipeline_.when_durable([this, id] { importer_.forget(id); });
    enqueue({Kind::image, id});
}

// The original goes when neither an image nor a disk is made of it.
void Controllers::forget_image_file(const std::string& digest) {
    if (digest.empty()) return;
    for (const auto& [id, object] : pipeline_.world().all(Kind::image)) {
        if (static_cast<const Image&>(*object).status.digest == digest) return;
    }
    for (const auto& [id, object] : pipeline_.world().all(Kind::volume)) {
        if (static_cast<const Volume&>(*object).spec.image_digest == digest) return;
    }
    pipeline_.when_durable([this, digest] { importer_.remove(digest); });
}

}  // namespace axle
