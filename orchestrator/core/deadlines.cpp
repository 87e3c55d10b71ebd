// A deadline lies no further ahead than the retention that it comes from. It would where a person has accepted a clock
// that was put back: what was deleted before that would be kept for as many years.
#include "orchestrator/core/deadlines.hpp"

#include <algorithm>

#include "orchestrator/core/controllers.hpp"

namespace axle {
namespace {

std::int64_t retention_of(const World& world, const Object& object) {
    switch (object.kind()) {
        case Kind::vm:
            return static_cast<const Vm&>(object).spec.retention;
        case Kind::image:
            return static_cast<const Image&>(object).spec.retention;
        case Kind::volume: {
            const auto& volume = static_cast<const Volume&>(object);
            const Vm* owner = world.find<Vm>(volume.status.attached_to.id);
            return std::max(volume.spec.retention, owner != nullptr ? owner->spec.retention : 0);
        }
        default:
            return 0;
    }
}

}  // namespace

void expunge_by(Transaction& tx, const Key& key, std::int64_t at) {
    auto sooner = tx.world().get(key.kind, key.id)->clone();
    sooner->meta.deletion->expunge_at = std::min(sooner->meta.deletion->expunge_at, at);
    tx.replace(std::move(sooner), true);
}

void Controllers::keep_no_longer(const Key& key) {
    const ObjectPtr object = pipeline_.world().get(key.kind, key.id);
    if (!object || !object->is_deleted() || object->is_final()) return;
    const std::int64_t latest = pipeline_.cluster_time() + retention_of(pipeline_.world(), *object);
    if (object->meta.deletion->expunge_at <= latest) return;
    Transaction tx = pipeline_.begin();
    expunge_by(tx, key, latest);
    pipeline_.commit(tx);
}

}  // namespace axle
