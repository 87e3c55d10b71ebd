// Deleting (DESIGN 4): soft where data would be lost, refused where something living would break.
#include <algorithm>

#include "orchestrator/core/commands.hpp"
#include "orchestrator/core/deadlines.hpp"
#include "orchestrator/core/derive.hpp"
#include "orchestrator/core/lost_host.hpp"
#include "orchestrator/core/moves.hpp"
#include "orchestrator/core/on_hosts.hpp"
#include "orchestrator/core/tasks.hpp"

namespace axle {
namespace {

struct Guard {
    bool protected_ = false;
    std::int64_t retention = 0;
};
Guard guard_of(const Object& object) {
    switch (object.kind()) {
        case Kind::vm:
            return {static_cast<const Vm&>(object).spec.deletion_protection,
                    static_cast<const Vm&>(object).spec.retention};
        case Kind::volume:
            return {static_cast<const Volume&>(object).spec.deletion_protection,
                    static_cast<const Volume&>(object).spec.retention};
        case Kind::image:
            return {static_cast<const Image&>(object).spec.deletion_protection,
                    static_cast<const Image&>(object).spec.retention};
        default:
            return {};
    }
}

// A host that has no more than an old copy of it, or an old document.
bool is_only_leftover(const Object& user, const Uuid& host) {
    const auto left = [&](const auto& object) {
        return leftover_on(object, host) != nullptr &&
               (!object.status.placement || object.status.placement->host.id != host);
    };
    if (user.kind() == Kind::vm) return left(static_cast<const Vm&>(user));
    return user.kind() == Kind::volume && left(static_cast<const Volume&>(user));
}

// Living objects that would break, by name. A VM doesn't break with its image: its disks keep the content.
Result<> check_unused(Transaction& tx, const Object& object) {
    std::string users;
    int count = 0;
    for (const Key& key : tx.world().referrers(object.meta.id)) {
        const ObjectPtr user = tx.world().get(key.kind, key.id);
        if (!user || key.kind == Kind::task) continue;
        // What is deleted and still lies on a host is there until that has let go of it.
        if (user->is_deleted() && object.kind() != Kind::host) continue;
        if (object.kind() == Kind::image || object.kind() == Kind::flavor || object.kind() == Kind::sshkey) continue;
        if (object.kind() == Kind::vm && key.kind == Kind::portforward) continue;  // goes with it
        if (object.kind() == Kind::host && is_only_leftover(*user, object.meta.id)) continue;
        if (++count <= 5)
            users += fmt::format("{}{} {}{}", users.empty() ? "" : ", ", text_of(key.kind), user->meta.name,
                                 user->is_deleted() ? " (deleted)" : "");
    }
    if (count == 0) return {};
    if (count > 5) users += fmt::format(" and {} more", count - 5);
    const std::string hint = object.kind() == Kind::host
                                 ? fmt::format(
                                       "axle host drain {0} moves VMs away; if it is dead for good: axle host "
                                       "remove {0} --lost",
                                       object.meta.name)
                                 : "delete or change these first";
    return fail(error(Code::conflict, "{} {} is used by {}", text_of(object.kind()), object.meta.name, users)
                    .with_hint(hint)
                    .with_reason("in-use"));
}

Deletion deletion_at(const Transaction& tx, std::int64_t retention) {
    return {.at = tx.moment().wall.ms, .expunge_at = tx.moment().cluster_time + retention};
}

bool never_started(const Vm& vm) {
    return !vm.status.placement;
}

void remove_forwards_of(Transaction& tx, const Uuid& vm) {
    const std::set<Key> users = tx.world().referrers(vm);
    for (const Key& key : users) {
        if (key.kind == Kind::portforward) tx.erase(key.kind, key.id);
    }
}

Mutated remove_vm(Transaction& tx, const Mutation& m, const Vm& vm) {
    const Uuid id = vm.meta.id;
    const std::int64_t retention = m.now || never_started(vm) ? 0 : vm.spec.retention;
    const Deletion deletion = deletion_at(tx, retention);
    for (const auto& [name, disk] : vm.spec.disks) {
        const Volume* volume = tx.world().find<Volume>(disk.volume.id);
        if (volume == nullptr) continue;
        const bool goes = disk.delete_with_vm.value_or(name == "root") && !volume->spec.deletion_protection;
        tx.update_spec<Volume>(disk.volume.id, [&](Volume& v) {
            if (goes && !v.is_deleted())
                v.meta.deletion = deletion;
            else
                v.status.attached_to = {};
        });
    }
    remove_forwards_of(tx, id);
    tx.update_spec<Vm>(id, [&](Vm& v) {
        v.meta.deletion = deletion;
        ++v.meta.generation;
    });
    const ObjectPtr now = tx.world().get(Kind::vm, id);
    return {.object = now, .task = make_task(tx, TaskGoal::vm_deleted, *now, m.who.name)};
}

Result<Mutated> remove_volume(Transaction& tx, const Mutation& m, const Volume& volume) {
    if (volume.status.attached_to)
        return fail(
            error(Code::conflict, "volume {} is attached to VM {}", volume.meta.name, volume.status.attached_to.name)
                .with_hint(how_to_detach(tx.world(), volume) + ", or delete the VM")
                .with_reason("in-use"));
    const Uuid id = volume.meta.id;
    const Deletion deletion = deletion_at(tx, m.now || !volume.status.made ? 0 : volume.spec.retention);
    tx.update_spec<Volume>(id, [&](Volume& v) { v.meta.deletion = deletion; });
    const ObjectPtr now = tx.world().get(Kind::volume, id);
    return Mutated{.object = now, .task = make_task(tx, TaskGoal::volume_deleted, *now, m.who.name)};
}

Mutated remove_image(Transaction& tx, const Mutation& m, const Image& image) {
    const Uuid id = image.meta.id;
    const Deletion deletion =
        deletion_at(tx, m.now || image.status.phase != ImagePhase::ready ? 0 : image.spec.retention);
    tx.update_spec<Image>(id, [&](Image& i) { i.meta.deletion = deletion; });
    return {.object = tx.world().get(Kind::image, id)};
}

// A host may have been told of the pool and not have said so yet: it is asked to let go like those that have. Of more
// such hosts than fit into a transaction the others show theirs as unclaimed.
void note_silent_hosts(Transaction& tx, const Pool& pool) {
    constexpr std::size_t kSilentMax = Transaction::kOperationsMax - 10;
    std::vector<Uuid> silent;
    for (const auto& [id, object] : tx.world().all(Kind::host)) {
        const auto& host = static_cast<const Host&>(*object);
        const bool waits = pool_is_on(pool, host) && reported_pool(host, pool.meta.id) == nullptr;
        if (waits && silent.size() < kSilentMax) silent.push_back(id);
    }
    const Ref self{pool.meta.id, pool.meta.name};
    for (const Uuid& id : silent) tx.update_status<Host>(id, [&](Host& h) { note_pool(h, self); });
}

// Hosts may have furniture of it: it goes when they have said that nothing is left.
template <typename T>
Mutated remove_with_farewell(Transaction& tx, const ObjectPtr& object) {
    const Uuid id = object->meta.id;
    if (tx.world().hosts_told(id).empty()) {
        tx.erase(T::kKind, id);
        return {.object = object};
    }
    Deletion deletion = deletion_at(tx, 0);
    deletion.final = true;
    tx.update_spec<T>(id, [&](T& o) { o.meta.deletion = deletion; });
    return {.object = tx.world().get(T::kKind, id)};
}

// A VM with the disks that were deleted with it: those are still its own.
void expunge_now(Transaction& tx, const Object& object) {
    const std::int64_t now = tx.moment().cluster_time;
    expunge_by(tx, {object.kind(), object.meta.id}, now);
    if (object.kind() != Kind::vm) return;
    for (const auto& [name, disk] : static_cast<const Vm&>(object).spec.disks) {
        const Volume* volume = tx.world().find<Volume>(disk.volume.id);
        if (volume != nullptr && volume->is_deleted() && volume->status.attached_to.id == object.meta.id)
            expunge_by(tx, {Kind::volume, disk.volume.id}, now);
    }
}

// What is deleted but can still be restored would be lost with its project: that takes a --now, which then lets it go.
Result<> check_project_empty(Transaction& tx, const Mutation& m, const Object& project) {
    std::vector<Key> deleted;
    for (const Key& key : tx.world().referrers(project.meta.id)) {
        const ObjectPtr object = tx.world().get(key.kind, key.id);
        const bool restorable = object && object->is_deleted() && !object->meta.deletion->final &&
                                object->meta.deletion->expunge_at > tx.moment().cluster_time;
        if (restorable) deleted.push_back(key);
    }
    if (deleted.empty()) return {};
    if (!m.now)
        return fail(error(Code::conflict, "project {} still has {} deleted objects that can be restored",
                          project.meta.name, deleted.size())
                        .with_hint(fmt::format("restore them (axle -p {0} vm list --deleted), or let them go for good: "
                                               "axle project delete {0} --now",
                                               project.meta.name))
                        .with_reason("in-use"));
    for (const Key& key : deleted) expunge_by(tx, key, tx.moment().cluster_time);
    return {};
}

}  // namespace

Result<Mutated> remove_object(Transaction& tx, const Mutation& m, const ObjectPtr& object) {
    const Guard guard = guard_of(*object);
    if (guard.protected_)
        return fail(
            error(Code::conflict, "{} {} is protected from deletion", text_of(object->kind()), object->meta.name)
                .with_hint("set deletionProtection: false first")
                .with_reason("protected"));
    if (object->is_deleted() && !m.now) return Mutated{.object = object, .changed = false};
    if (object->is_deleted()) {
        expunge_now(tx, *object);
        return Mutated{.object = tx.world().get(object->kind(), object->meta.id)};
    }
    if (object->kind() == Kind::task)
        return fail(error(Code::invalid, "a task isn't deleted; it is forgotten 30 days after its end")
                        .with_hint("axle task cancel"));
    if (object->kind() == Kind::host && m.lost) return give_up_host(tx, m, static_cast<const Host&>(*object));
    TRY_VOID(check_unused(tx, *object));
    if (object->kind() == Kind::project) TRY_VOID(check_project_empty(tx, m, *object));
    switch (object->kind()) {
        case Kind::vm:
            return remove_vm(tx, m, static_cast<const Vm&>(*object));
        case Kind::volume:
            return remove_volume(tx, m, static_cast<const Volume&>(*object));
        case Kind::image:
            return remove_image(tx, m, static_cast<const Image&>(*object));
        case Kind::network:
            return remove_with_farewell<NetworkObject>(tx, object);
        case Kind::pool:
            note_silent_hosts(tx, static_cast<const Pool&>(*object));
            return remove_with_farewell<Pool>(tx, object);
        default:
            break;
    }
    tx.erase(object->kind(), object->meta.id);
    return Mutated{.object = object};
}

}  // namespace axle
