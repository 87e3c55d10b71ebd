#include "orchestrator/core/controllers.hpp"

#include "common/base/log.hpp"
#include "orchestrator/core/neighbours.hpp"
#include "orchestrator/core/on_hosts.hpp"

namespace axle {
namespace {

constexpr int kKeysATurn = 64;  // then others have a turn

}  // namespace

Controllers::Controllers(Pipeline& pipeline, Executor& core, HostLinks& links, Importer& importer)
    : pipeline_(pipeline), core_(core), links_(links), importer_(importer) {}

void Controllers::start() {
    for (const std::string& digest : std::exchange(image_files_left_, {})) remove_image_file(digest);
    look_at_everything();
}

void Controllers::enqueue(const Key& key) {
    queue_.add(key);
    run_soon();
}

void Controllers::look_later(const Key& key) {
    queue_.add_later(key);
    run_soon();
}

void Controllers::run_soon() {
    if (running_) return;
    running_ = true;
    core_.post([this] { run_queue(); });
}

void Controllers::run_queue() {
    for (int i = 0; i < kKeysATurn; ++i) {
        const auto key = queue_.take();
        if (!key) break;
        reconcile(*key);
    }
    running_ = !queue_.empty();
    if (running_) core_.post([this] { run_queue(); });
}

void Controllers::reconcile(const Key& key) {
    if (pipeline_.store_state().read_only) return;  // it serves reads and drops nothing
    keep_no_longer(key);
    switch (key.kind) {
        case Kind::vm:
            return reconcile_vm(key.id);
        case Kind::volume:
            return reconcile_volume(key.id);
        case Kind::image:
            return reconcile_image(key.id);
        case Kind::host:
            refresh_in_table(key.id);
            watch_sight(key.id);
            reconcile_removals(key.id);
            if (const Host* host = pipeline_.world().find<Host>(key.id); host != nullptr && host->is_deleted())
                return forget_lost_host(key.id);
            return reconcile_drain(key.id);
        case Kind::network:
            sum_up_network(key.id);
            return reconcile_farewell(key);
        case Kind::pool:
            return reconcile_farewell(key);
        default:
            return;
    }
}

void Controllers::wake_waiting() {
    for (const Uuid& vm : waiting_) enqueue({Kind::vm, vm});
}

void Controllers::changed(const ChangeEvent& event) {
    const Object& object = event.object ? *event.object : *event.before;
    const Uuid id = object.meta.id;
    note_hosts_of(event);
    switch (event.kind) {
        case Kind::vm:
            enqueue({Kind::vm, id});
            enqueue_hosts_that_change(event);
            wake_neighbours(event);
            if (!event.object || event.object->is_deleted()) {
                wake_waiting();
                for (const auto& [name, disk] : static_cast<const Vm&>(object).spec.disks)
                    enqueue({Kind::volume, disk.volume.id});
            }
            return;
        case Kind::volume:
            enqueue({Kind::volume, id});
            if (const Uuid vm = static_cast<const Volume&>(object).status.attached_to.id) enqueue({Kind::vm, vm});
            if (!event.object) wake_waiting();
            return;
        case Kind::image:
            enqueue({Kind::image, id});
            for (const Key& key : pipeline_.world().referrers(id)) enqueue(key);
            return;
        case Kind::task: {
            const auto& task = static_cast<const Task&>(object);
            if (task.spec.removal && event.object) return enqueue({Kind::host, task.spec.removal->host.id});
            if (const KindInfo* kind = find_kind(task.spec.target.kind);
                kind != nullptr && event.object && !is_terminal(task.status.phase))
                enqueue({kind->kind, task.spec.target.id});
            return;
        }
        case Kind::host:
            for (const Key& key : pools_no_longer_told(event)) enqueue(key);
            if (!event.object)  // what it had of networks went with it
                for (const auto& [network, n] : pipeline_.world().all(Kind::network))
                    look_later({Kind::network, network});
            enqueue({event.kind, id});  // if it offers more than before, who waits is woken then
            return;
        case Kind::pool:
            wake_waiting();
            enqueue({event.kind, id});
            return;
        case Kind::network:
            enqueue({event.kind, id});
            return;
        case Kind::placementgroup:
            for (const Key& key : pipeline_.world().referrers(id)) enqueue(key);
            return;
        default:
            return;
    }
}

// VMs that wait for a place where others are or are not, when one of those others has come, gone or changed.
void Controllers::wake_neighbours(const ChangeEvent& event) {
    if (waiting_near_.empty()) return;
    const auto* before = static_cast<const Vm*>(event.before.get());
    const auto* after = static_cast<const Vm*>(event.object.get());
    const auto host_of = [](const std::optional<VmPlacement>& at) { return at ? at->host.id : Uuid{}; };
    if (before != nullptr && after != nullptr && before->meta.revision == after->meta.revision &&
        host_of(before->status.placement) == host_of(after->status.placement) &&
        before->status.migration.has_value() == after->status.migration.has_value())
        return;
    for (const Uuid& id : waiting_near_) {
        const Vm* vm = pipeline_.world().find<Vm>(id);
        if (vm == nullptr) continue;
        if ((before != nullptr && may_concern(*vm, *before)) || (after != nullptr && may_concern(*vm, *after)))
            enqueue({Kind::vm, id});
    }
}

// Hosts that are being drained, or get their VMs back, and have to do with a VM.
void Controllers::enqueue_hosts_that_change(const ChangeEvent& event) {
    const auto look = [&](const Uuid& id) {
        const Host* host = pipeline_.world().find<Host>(id);
        if (host != nullptr && (host->spec.drain || host->spec.take_back)) enqueue({Kind::host, id});
    };
    for (const Object* object : {event.before.get(), event.object.get()}) {
        if (object == nullptr) continue;
        const VmStatus& status = static_cast<const Vm&>(*object).status;
        if (status.placement) look(status.placement->host.id);
        if (status.migration) look(status.migration->host.id);
    }
}

void Controllers::reconcile_farewell(const Key& key) {
    const ObjectPtr object = pipeline_.world().get(key.kind, key.id);
    if (!object || !object->is_final()) return;
    if (!pipeline_.world().hosts_told(key.id).empty()) return;
    Transaction tx = pipeline_.begin();
    tx.erase(key.kind, key.id);
    pipeline_.commit(tx);
}

}  // namespace axle
