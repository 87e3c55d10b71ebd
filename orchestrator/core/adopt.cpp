// What nobody claims becomes a resource again, with its id, where it is: no data is copied, no guest is disturbed. What
// a guest needs of what else is unclaimed there (disks, networks, pool) comes with it, in one commit, or nothing does.
// Guests are in adopt_vm.cpp.
#include <algorithm>

#include "orchestrator/core/adoption.hpp"
#include "orchestrator/core/arguments.hpp"
#include "orchestrator/core/commands.hpp"
#include "orchestrator/core/tasks.hpp"

namespace axle {

Error not_adoptable(const UnclaimedThing& thing, const std::string& why) {
    const bool bare = thing.kind == DocumentKind::vm && !thing.held;
    const std::string hint =
        bare ? "remove it (axle unclaimed remove; its disks stay), adopt its disks and create a VM with them"
        : thing.kind == DocumentKind::volume && !thing.user.empty()
            ? "adopt or remove that guest: its disks come with it"
            : "";
    return error(Code::conflict, "{} {} can't be adopted: {}", text_of(thing.kind),
                 thing.name.empty() ? thing.id.str() : thing.name, why)
        .with_hint(hint)
        .with_reason("not-adoptable");
}

Result<> check_spec(const Object& object) {
    const KindInfo& info = info_of(object.kind());
    std::string text;
    write_value(*info.spec, object.spec_data(), Audience::api, nullptr, text);
    TRY(written, parse_json(text));
    auto copy = info.make();
    Mistakes mistakes;
    read_value(*info.spec, copy->spec_data(), written, {.audience = Audience::api}, "/spec", mistakes);
    if (mistakes.empty()) return {};
    return fail(fields_error(std::move(mistakes)).in("the document that its host has kept"));
}

static Result<> admitted(Admission& a, Object& object) {
    TRY_VOID(check_spec(object));
    TRY_VOID(admit(a, object, nullptr));
    if (!a.mistakes.empty()) return fail(fields_error(std::move(a.mistakes)));
    return {};
}

// ---- what is common to all

Result<Ref> Adoption::project_of(const UnclaimedThing& thing, const std::string& wanted) const {
    const auto slash = thing.name.find('/');
    const std::string name = !wanted.empty()              ? wanted
                             : slash == std::string::npos ? "default"
                                                          : thing.name.substr(0, slash);
    auto found = find_project(tx_.world(), m_.who, name);
    if (found) return found;
    return fail(error(Code::not_found, "{} {} is to be in project \"{}\", which is not there", text_of(thing.kind),
                      thing.name.empty() ? thing.id.str() : thing.name, name)
                    .with_hint(fmt::format("axle project create {}, or name another one: --project", name)));
}

Result<std::string> Adoption::name_of(const UnclaimedThing& thing, Kind kind, const Ref& project,
                                      const std::string& wanted) const {
    std::string name = !wanted.empty() ? wanted : last_part(thing.name);
    if (name.empty()) name = "adopted-" + thing.id.str().substr(24);
    if (const auto why = why_no_name(info_of(kind), name)) return fail(fields_error({{"/name", "malformed", *why}}));
    if (!tx_.world().named(kind, project.id, name)) return name;
    return fail(error(Code::conflict, "there is another {} \"{}\" now", text_of(kind), name)
                    .with_hint(fmt::format("give it a new name: axle unclaimed adopt {} --name NEW", thing.id.str()))
                    .with_reason("already-exists"));
}

// Epochs are above all that hosts of this cluster have seen; a host that has seen a higher one is of another history.
Result<> Adoption::check_epoch(const UnclaimedThing& thing) const {
    if (thing.epoch < at_.epoch) return {};
    return fail(not_adoptable(thing, "its host has it at a later epoch than this store can give"));
}

const UnclaimedThing* Adoption::nobodys(DocumentKind kind, const Uuid& id) const {
    const UnclaimedThing* thing = book_.find(host_.meta.id, kind, id);
    return thing != nullptr && !open_removal(tx_.world(), host_.meta.id, kind, id) ? thing : nullptr;
}

void Adoption::came_along(const Object& object) {
    notes_.push_back(fmt::format("{} {} comes with it", text_of(object.kind()), object.meta.name));
}

// ---- pools and networks: by the documents that hosts hold

Result<const Pool*> Adoption::adopt_pool(const UnclaimedThing& thing, const std::string& name) {
    TRY(document, document_of<PoolDocument>(thing));
    auto pool = std::make_unique<Pool>();
    pool->meta.id = thing.id;
    pool->meta.name = name;
    pool->spec = {
        .path = document.path, .shared = document.shared, .is_default = tx_.world().names_of(Kind::pool).empty()};
    Admission admission{.tx = tx_};
    TRY_VOID(admitted(admission, *pool));
    notes_.push_back(fmt::format("pool {} is offered to all hosts: what its hostSelector was is not known", name));
    return &tx_.create(std::move(pool));
}

Result<const Pool*> Adoption::pool_of(const Uuid& id) {
    const Pool* known = tx_.world().find<Pool>(id);
    if (known != nullptr && !known->is_deleted()) return known;
    const UnclaimedThing* thing = nobodys(DocumentKind::pool, id);
    if (thing == nullptr)
        return fail(error(Code::conflict, "pool {} that it lies in is not known", id.str()).with_reason("no-pool"));
    TRY(name, name_of(*thing, Kind::pool, {}, ""));
    TRY(pool, adopt_pool(*thing, name));
    came_along(*pool);
    return pool;
}

Result<const NetworkObject*> Adoption::adopt_network(const UnclaimedThing& thing, const Ref& project,
                                                     const std::string& name) {
    TRY(document, document_of<NetworkDocument>(thing));
    auto network = std::make_unique<NetworkObject>();
    network->meta.id = thing.id;
    network->meta.name = name;
    network->meta.project = project;
    network->spec = {.type = document.type,
                     .cidr = document.cidr,
                     .gateway = document.gateway,
                     .bridge = document.type == NetworkType::bridged ? document.bridge : "",
                     .dns = document.dns,
                     .domain = document.domain,
                     .mtu = document.mtu};
    Admission admission{.tx = tx_, .by_administrator = true};
    TRY_VOID(admitted(admission, *network));
    network->status.gateway_mac = document.gateway_mac;
    const auto& all = tx_.world().all(Kind::network);
    const bool vni_taken = std::ranges::any_of(all, [&](const auto& other) {
        return static_cast<const NetworkObject&>(*other.second).status.vni == document.vni;
    });
    if (document.vni != 0 && !vni_taken) network->status.vni = document.vni;
    return &tx_.create(std::move(network));
}

Result<const NetworkObject*> Adoption::network_of(const std::string& nic, const Uuid& id, const Ref& for_project) {
    const auto may_use = [&](const NetworkObject& network) -> Result<const NetworkObject*> {
        if (network.spec.shared || network.meta.project.id == for_project.id) return &network;
        return fail(error(Code::conflict, "network {} of its NIC {} is project {}'s, and not shared", network.meta.name,
                          nic, network.meta.project.name)
                        .with_hint("adopt it into that project (--project), or share the network")
                        .with_reason("no-network"));
    };
    const auto* known = tx_.world().find<NetworkObject>(id);
    if (known != nullptr && !known->is_deleted()) return may_use(*known);
    const UnclaimedThing* thing = nobodys(DocumentKind::network, id);
    if (thing == nullptr)
        return fail(error(Code::conflict, "network {} of its NIC {} is not there, and host {} has no document of it",
                          id.str(), nic, host_.meta.name)
                        .with_hint("adopt the network on another host first")
                        .with_reason("no-network"));
    TRY(project, project_of(*thing, ""));
    TRY(name, name_of(*thing, Kind::network, project, ""));
    TRY(network, adopt_network(*thing, project, name));
    came_along(*network);
    return may_use(*network);
}

// ---- volumes

// Any image of this content that the project sees. Without one the digest alone keeps the file below the overlay.
Ref Adoption::image_of(const std::string& digest, const Ref& project) const {
    if (digest.empty()) return {};
    for (const auto& [id, object] : tx_.world().all(Kind::image)) {
        const auto& image = static_cast<const Image&>(*object);
        if (image.status.digest != digest || image.is_deleted()) continue;
        if (image.meta.project.id == project.id) return {id, image.meta.name};
        if (image.spec.shared) return {id, image.meta.project.name + "/" + image.meta.name};
    }
    return {};
}

Result<const Volume*> Adoption::adopt_volume(const UnclaimedThing& thing, const Ref& project, const std::string& name) {
    TRY_VOID(check_epoch(thing));
    if (const std::string user = used_elsewhere(tx_.world(), book_, host_, thing); !user.empty())
        return fail(not_adoptable(thing, user));
    TRY(pool, pool_of(thing.pool));
    std::int64_t size = thing.size;  // one that is to grow goes on growing
    if (thing.held) {
        TRY(document, document_of<VolumeDocument>(thing));
        size = std::max(size, document.size);
    }
    auto volume = std::make_unique<Volume>();
    volume->meta.id = thing.id;
    volume->meta.name = name;
    volume->meta.project = project;
    volume->spec = {.pool = {pool->meta.id, pool->meta.name},
                    .size = size,
                    .format = thing.format,
                    .image = image_of(thing.image_digest, project),
                    .image_digest = thing.image_digest};
    if (!thing.image_digest.empty() && !volume->spec.image)
        notes_.push_back(
            fmt::format("volume {}: its image {} is not known here: it works where the image's file is, on "
                        "this host; to move it elsewhere import the image again",
                        name, thing.image_digest.substr(0, 12)));
    volume->status = {
        .phase = VolumePhase::ready, .placement = at_, .made = true, .size = thing.size, .allocated = thing.allocated};
    TRY_VOID(check_spec(*volume));
    return &tx_.create(std::move(volume));
}

// One that was lost with this host, which is back with its file.
Result<> Adoption::take_back_volume(const Uuid& id) {
    const Volume* volume = tx_.world().find<Volume>(id);
    const UnclaimedThing* file = nobodys(DocumentKind::volume, id);
    const bool was_lost = volume != nullptr && !volume->is_deleted() && !volume->status.placement &&
                          volume->status.phase == VolumePhase::lost;
    if (!was_lost || file == nullptr || file->size <= 0)
        return fail(error(Code::conflict, "volume {} is not among what host {} has and nobody claims",
                          volume == nullptr ? id.str() : volume->meta.name, host_.meta.name)
                        .with_hint("axle unclaimed list --host " + host_.meta.name)
                        .with_reason("no-disk"));
    TRY_VOID(check_epoch(*file));
    tx_.update_status<Volume>(id, [&](Volume& v) {
        v.status.phase = VolumePhase::ready;
        v.status.placement = at_;
        v.status.conditions.clear();
    });
    return {};
}

Result<Mutated> Adoption::adopt(const UnclaimedThing& thing, const AdoptArguments& wanted) {
    const Kind kind = kind_of(thing.kind);
    if (const Uuid open = open_removal(tx_.world(), host_.meta.id, thing.kind, thing.id))
        return fail(error(Code::busy, "{} {} is being removed", text_of(thing.kind), thing.id.str())
                        .with_hint("if that has not begun: axle task cancel " + open.str()));
    const ObjectPtr known = tx_.world().get(kind, thing.id);
    if (known && kind == Kind::volume && static_cast<const Volume&>(*known).status.phase == VolumePhase::lost) {
        TRY_VOID(take_back_volume(thing.id));
        return Mutated{.object = tx_.world().get(kind, thing.id),
                       .about = fmt::format("taken back on host {}", host_.meta.name)};
    }
    if (known && kind != Kind::vm) return fail(not_adoptable(thing, why_unclaimed(tx_.world(), thing)));
    if (known) {
        TRY_VOID(take_back(thing));
        const ObjectPtr now = tx_.world().get(kind, thing.id);
        return Mutated{.object = now,
                       .task = make_task(tx_, TaskGoal::vm_changed, *now, m_.who.name),
                       .notes = std::move(notes_),
                       .about = fmt::format("taken back on host {}", host_.meta.name)};
    }
    if (const std::string why = why_not_adoptable(thing); !why.empty()) return fail(not_adoptable(thing, why));
    Ref project;
    if (!info_of(kind).cluster_wide) {
        TRY(found, project_of(thing, wanted.project));
        project = found;
    }
    const Usage used = tx_.world().used_by_project(project.id);
    TRY(name, name_of(thing, kind, project, wanted.name));
    Mutated done{.created = true};
    switch (kind) {
        case Kind::pool:
            TRY_VOID(adopt_pool(thing, name));
            break;
        case Kind::network:
            TRY_VOID(adopt_network(thing, project, name));
            break;
        case Kind::volume:
            TRY_VOID(adopt_volume(thing, project, name));
            break;
        default: {
            TRY(vm, adopt_vm(thing, project, name));
            done.task = make_task(tx_, TaskGoal::vm_changed, *vm, m_.who.name);
        }
    }
    if (project.id) TRY_VOID(check_limits(tx_, project.id, used));
    done.object = tx_.world().get(kind, thing.id);
    done.notes = std::move(notes_);
    done.about = fmt::format("adopted on host {}", host_.meta.name);
    return done;
}

Result<Mutated> adopt_unclaimed(Transaction& tx, const Mutation& m, const Host& host, const UnclaimedBook& book) {
    TRY(arguments, arguments_of<AdoptArguments>(m));
    TRY(thing, find_unclaimed(tx.world(), host, book, arguments.id));
    const auto& features = host.status.facts.features;
    if (std::ranges::find(features, kUnclaimedFeature) == features.end())
        return fail(error(Code::unavailable, "the agent of host {} is too old for this", host.meta.name)
                        .with_hint("upgrade it"));
    return Adoption(tx, m, host, book).adopt(thing, arguments);
}

}  // namespace axle
