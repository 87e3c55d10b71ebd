#include "orchestrator/core/transaction.hpp"

#include <algorithm>

#include "common/base/ensure.hpp"
#include "orchestrator/core/changes.hpp"
#include "orchestrator/core/decisions.hpp"
#include "orchestrator/core/on_hosts.hpp"

namespace axle {

std::string object_key(Kind kind, const Uuid& id) {
    return fmt::format("{}/{}", text_of(kind), id.str());
}

Transaction::Transaction(World& world, Revision head, Moment moment, Random& random)
    : world_(world), head_(head), moment_(moment), random_(random) {}

Transaction::~Transaction() {
    if (done_) return;
    for (auto s = staged_.rbegin(); s != staged_.rend(); ++s) {
        if (s->before)
            world_.put(s->before);
        else
            world_.erase(s->key.kind, s->key.id);
    }
    for (auto n = networks_before_.rbegin(); n != networks_before_.rend(); ++n)
        world_.put_network_on(n->host, n->network, std::move(n->there));
}

Transaction::Staged& Transaction::stage(const Key& key) {
    const auto found = std::ranges::find_if(staged_, [&](const Staged& s) { return s.key == key; });
    if (found != staged_.end()) return *found;
    return staged_.emplace_back(Staged{key, world_.get(key.kind, key.id), nullptr, next_revision(), false});
}

const Object& Transaction::create(std::unique_ptr<Object> object) {
    if (!object->meta.id) object->meta.id = Uuid::make_v7(moment_.wall, random_);
    object->meta.created = moment_.wall.ms;
    object->meta.generation = 1;
    const Key key{object->kind(), object->meta.id};
    replace(std::move(object), true);
    return *world_.get(key.kind, key.id);
}

void Transaction::replace(std::unique_ptr<Object> object, bool spec_changed) {
    Staged& s = stage({object->kind(), object->meta.id});
    s.spec_changed = s.spec_changed || spec_changed;
    object->meta.status_revision = s.revision;
    if (s.spec_changed) object->meta.revision = s.revision;
    s.after = ObjectPtr(std::move(object));
    world_.put(s.after);
}

void Transaction::erase(Kind kind, const Uuid& id) {
    Staged& s = stage({kind, id});
    s.after = nullptr;
    world_.erase(kind, id);
    if (kind != Kind::host) return;
    for (const Uuid& network : world_.networks_on(id)) put_network_on(id, network, std::nullopt);
}

void Transaction::put_network_on(const Uuid& host, const Uuid& network, std::optional<NetworkOnHost> there) {
    const NetworkOnHost* was = world_.network_on(host, network);
    networks_before_.push_back({host, network, was == nullptr ? std::nullopt : std::optional(*was)});
    write({Table::networks_on_hosts, network_on_key(host, network),
           there ? std::optional(to_json_text(*there)) : std::nullopt});
    world_.put_network_on(host, network, std::move(there));
}

Transaction::Outcome Transaction::commit(const SecretCodec& secrets) {
    done_ = true;
    Outcome out{.head = head_};
    for (Staged& s : staged_) {
        // An object that was made and erased in one transaction was never there, but its revision is spent.
        out.head = s.revision;
        if (!s.before && !s.after) continue;
        const std::string key = object_key(s.key.kind, s.key.id);
        const Table table = s.key.kind == Kind::task ? Table::tasks : Table::objects;
        out.batch.writes.push_back({table, key, s.after ? std::optional(store_form(*s.after, secrets)) : std::nullopt});
        auto record = std::make_shared<const std::string>(change_record(s.revision, s.before.get(), s.after.get()));
        out.batch.writes.push_back({Table::changes, revision_key(s.revision), *record});
        if (s.key.kind == Kind::vm && s.before)
            for (Write& w : decisions_that_go(static_cast<const Vm&>(*s.before), static_cast<const Vm*>(s.after.get())))
                out.batch.writes.push_back(std::move(w));
        const Object& subject = s.after ? *s.after : *s.before;
        out.events.push_back({s.revision, s.key.kind, subject.meta.project.id, s.after, s.before, std::move(record)});
    }
    for (Write& w : extra_) out.batch.writes.push_back(std::move(w));
    out.batch.last_revision = staged_.empty() ? 0 : out.head;
    return out;
}

}  // namespace axle
