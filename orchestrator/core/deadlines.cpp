// A deadline lies no further ahead than the retention that it comes from. It would where a person has accepted a clock
// that was put back: what was deleted before that would be kept for as many years.
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

void Controllers::keep_no_longer(const Key& key) {
    const ObjectPtr object = pipeline_.world().get(key.kind, key.id);
    if (!object || !object->meta.deletion || object->meta.deletion->final) return;
    const std::int64_t latest = pipeline_.cluster_time() + retention_of(pipeline_.world(), *object);
    if (object->meta.deletion->expunge_at <= latest) return;
    Transaction tx = pipeline_.begin();
    const auto sooner = [latest](auto& o) { o.meta.deletion->expunge_at = latest; };
    if (key.kind == Kind::vm) tx.update_spec<Vm>(key.id, sooner);
    if (key.kind == Kind::volume) tx.update_spec<Volume>(key.id, sooner);
    if (key.kind == Kind::image) tx.update_spec<Image>(key.id, sooner);
    pipeline_.commit(tx);
}

}  // namespace axle
