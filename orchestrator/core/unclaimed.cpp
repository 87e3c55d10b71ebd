#include "orchestrator/core/unclaimed.hpp"

#include <algorithm>

#include "orchestrator/core/actions.hpp"
#include "orchestrator/core/adoption.hpp"
#include "orchestrator/core/arguments.hpp"
#include "orchestrator/core/moves.hpp"
#include "orchestrator/core/orchestrator.hpp"
#include "orchestrator/core/tasks.hpp"

namespace axle {
namespace {

template <typename T>
bool is_on(const T& object, const Uuid& host) {
    return (object.status.placement && object.status.placement->host.id == host) ||
           leftover_on(object, host) != nullptr;
}

std::string shown_name(const UnclaimedThing& thing) {
    return thing.name.empty() ? thing.id.str() : thing.name;
}

}  // namespace

void UnclaimedBook::told(const Uuid& host, UnclaimedReport report) {
    if (report.things.size() > kUnclaimedMax) report.things.resize(kUnclaimedMax);
    report.files.clear();
    if (report.things.empty() && report.total == 0)
        reports_.erase(host);
    else
        reports_[host] = std::move(report);
}

const UnclaimedReport* UnclaimedBook::of(const Uuid& host) const {
    const auto found = reports_.find(host);
    return found == reports_.end() ? nullptr : &found->second;
}

const UnclaimedThing* UnclaimedBook::find(const Uuid& host, DocumentKind kind, const Uuid& id) const {
    const UnclaimedReport* report = of(host);
    if (report == nullptr) return nullptr;
    const auto found =
        std::ranges::find_if(report->things, [&](const UnclaimedThing& t) { return t.kind == kind && t.id == id; });
    return found == report->things.end() ? nullptr : &*found;
}

void UnclaimedBook::gone(const Uuid& host, DocumentKind kind, const Uuid& id) {
    const auto found = reports_.find(host);
    if (found == reports_.end()) return;
    const auto erased =
        std::erase_if(found->second.things, [&](const UnclaimedThing& t) { return t.kind == kind && t.id == id; });
    found->second.total -= static_cast<std::int64_t>(erased);
}

Kind kind_of(DocumentKind kind) {
    switch (kind) {
        case DocumentKind::pool:
            return Kind::pool;
        case DocumentKind::image:
            return Kind::image;
        case DocumentKind::network:
            return Kind::network;
        case DocumentKind::volume:
            return Kind::volume;
        case DocumentKind::vm:
            break;
    }
    return Kind::vm;
}

bool is_claimed(const World& world, const Uuid& host, const UnclaimedThing& thing) {
    switch (thing.kind) {
        case DocumentKind::vm: {
            const Vm* vm = world.find<Vm>(thing.id);
            return vm != nullptr && (is_on(*vm, host) || move_to(*vm, host) != nullptr);
        }
        case DocumentKind::volume: {
            const Volume* volume = world.find<Volume>(thing.id);
            if (volume == nullptr) return false;
            const Pool* pool = world.find<Pool>(volume->spec.pool.id);
            return is_on(*volume, host) || (pool != nullptr && pool->spec.shared) ||
                   coming_disk(world, thing.id, host).vm != nullptr ||
                   (!volume->status.placement && volume->status.phase != VolumePhase::lost);
        }
        default:
            return world.get(kind_of(thing.kind), thing.id) != nullptr;
    }
}

std::string why_unclaimed(const World& world, const UnclaimedThing& thing) {
    const Volume* volume = thing.kind == DocumentKind::volume ? world.find<Volume>(thing.id) : nullptr;
    if (volume != nullptr)
        return volume->status.placement ? fmt::format("volume {} of this id lies on host {}", volume->meta.name,
                                                      volume->status.placement->host.name)
                                        : fmt::format("volume {} was lost with its host", volume->meta.name);
    const Vm* vm = thing.kind == DocumentKind::vm ? world.find<Vm>(thing.id) : nullptr;
    if (vm != nullptr)
        return vm->status.placement
                   ? fmt::format("VM {} of this id belongs to host {}", vm->meta.name, vm->status.placement->host.name)
                   : fmt::format("VM {} was lost with its host", vm->meta.name);
    if (thing.held) return "the host was told to keep it, and the store does not know it";
    return thing.kind == DocumentKind::vm ? "a domain with Axle's mark that no document tells of"
                                          : "a file that no document tells of";
}

std::string why_not_adoptable(const UnclaimedThing& thing) {
    if (!thing.elsewhere.empty()) return thing.elsewhere;
    if (thing.kind == DocumentKind::vm && !thing.held)
        return "the host has no document of it, so its hardware is not known";
    if (thing.kind == DocumentKind::volume && thing.size <= 0) return "its file is not there or can't be read";
    if (thing.kind == DocumentKind::volume && !thing.user.empty())
        return fmt::format("guest {} has it, which nobody claims", thing.user);
    return {};
}

Uuid open_removal(const World& world, const Uuid& host, DocumentKind kind, const Uuid& id) {
    for (const Uuid& task : world.tasks_of(id)) {
        const TaskSpec& spec = world.find<Task>(task)->spec;
        if (spec.goal == TaskGoal::unclaimed_removed && spec.removal && spec.removal->host.id == host &&
            spec.target.kind == text_of(kind))
            return task;
    }
    return {};
}

Result<UnclaimedThing> find_unclaimed(const World& world, const Host& host, const UnclaimedBook& book,
                                      const std::string& text) {
    const std::string hint = fmt::format("axle unclaimed list --host {} shows what is", host.meta.name);
    const auto id = Uuid::parse(text);
    if (!id) return fail(fields_error({{"/id", "malformed", fmt::format("\"{}\" is no id", text)}}));
    const UnclaimedReport* report = book.of(host.meta.id);
    const auto is_it = [&](const UnclaimedThing& t) { return t.id == *id; };
    const auto found =
        report == nullptr ? std::vector<UnclaimedThing>::const_iterator{} : std::ranges::find_if(report->things, is_it);
    if (report == nullptr || found == report->things.end())
        return fail(error(Code::not_found, "host {} tells of nothing unclaimed with id {}", host.meta.name, text)
                        .with_hint(host.status.connected ? hint : "its agent is not connected"));
    if (is_claimed(world, host.meta.id, *found))
        return fail(error(Code::conflict, "{} {} is not unclaimed any more: a record of this cloud has it",
                          text_of(found->kind), shown_name(*found))
                        .with_hint(hint)
                        .with_reason("claimed"));
    return *found;
}

bool is_on_shared_pool(const World& world, const UnclaimedBook& book, const UnclaimedThing& volume) {
    if (const Pool* pool = world.find<Pool>(volume.pool)) return pool->spec.shared;
    for (const auto& [host, report] : book.all()) {
        const UnclaimedThing* pool = book.find(host, DocumentKind::pool, volume.pool);
        const auto document = pool == nullptr ? Result<PoolDocument>(fail(Code::not_found, "not there"))
                                              : from_json_text<PoolDocument>(pool->document);
        if (document) return document->shared;
    }
    return true;  // nobody can say: as if it were
}

// One host knows its own guests alone: all others must be there and tell of none that has the file.
std::string used_elsewhere(const World& world, const UnclaimedBook& book, const Host& host,
                           const UnclaimedThing& volume) {
    if (!is_on_shared_pool(world, book, volume)) return {};
    for (const auto& [key, id] : world.names_of(Kind::host)) {
        if (id == host.meta.id) continue;
        const Host& other = *world.find<Host>(id);
        if (!other.status.connected)
            return fmt::format(
                "it lies on a shared pool and host {} is not connected: whether a guest there has it is "
                "not known",
                key.name);
        const UnclaimedReport* report = book.of(id);
        if (report == nullptr) continue;
        if (report->total > static_cast<std::int64_t>(report->things.size()))
            return fmt::format("it lies on a shared pool and host {} has more unclaimed things than it could tell of",
                               key.name);
        for (const UnclaimedThing& thing : report->things) {
            const bool named =
                thing.elsewhere.empty() && std::ranges::find(thing.volumes, volume.id) != thing.volumes.end();
            const bool open = thing.kind == DocumentKind::volume && thing.id == volume.id && !thing.user.empty();
            if (named || open)
                return fmt::format("guest {} on host {} has it, which nobody claims",
                                   open ? thing.user : shown_name(thing), key.name);
        }
    }
    return {};
}

// ---- removal: the task is the durable word; controllers give it to the host

namespace {

Result<> check_removable(const Host& host, const UnclaimedThing& thing, const UnclaimedReport& report) {
    const std::string name = shown_name(thing);
    if (!thing.user.empty())
        return fail(
            error(Code::conflict, "volume {} is in use: guest {} on host {} has it", name, thing.user, host.meta.name)
                .with_hint("remove or adopt the guest first")
                .with_reason("in-use"));
    if (thing.kind != DocumentKind::pool) return {};
    const bool used = std::ranges::any_of(report.things, [&](const UnclaimedThing& t) { return t.pool == thing.id; });
    if (used)
        return fail(error(Code::conflict, "pool {} is in use: unclaimed volumes lie in it", name)
                        .with_hint("adopt the pool with them, or remove them first")
                        .with_reason("in-use"));
    return {};
}

}  // namespace

Result<Mutated> remove_unclaimed(Transaction& tx, const Mutation& m, const Host& host, const UnclaimedBook& book) {
    TRY(arguments, arguments_of<RemoveUnclaimedArguments>(m));
    TRY(thing, find_unclaimed(tx.world(), host, book, arguments.id));
    const ObjectPtr object = tx.world().get(Kind::host, host.meta.id);
    if (const Uuid open = open_removal(tx.world(), host.meta.id, thing.kind, thing.id))
        return Mutated{.object = object, .changed = false, .task = open};
    TRY_VOID(check_removable(host, thing, *book.of(host.meta.id)));
    if (thing.kind == DocumentKind::volume) {
        if (const std::string user = used_elsewhere(tx.world(), book, host, thing); !user.empty())
            return fail(
                error(Code::conflict, "volume {} may be in use: {}", shown_name(thing), user)
                    .with_hint("deal with that first; a host that is dead for good: axle host remove HOST --lost")
                    .with_reason("in-use"));
    }
    auto task = std::make_unique<Task>();
    task->meta.id = Uuid::make_v7(tx.moment().wall, tx.random());
    task->meta.name = task->meta.id.str();
    task->spec = {.goal = TaskGoal::unclaimed_removed,
                  .target = {text_of(thing.kind), thing.id, shown_name(thing)},
                  .requester = m.who.name,
                  .removal = Removal{.host = {host.meta.id, host.meta.name},
                                     .path = thing.path,
                                     .size = thing.size,
                                     .pool = thing.pool,
                                     .held = thing.held,
                                     .seen = thing.epoch}};
    task->status.epoch = {tx.moment().incarnation, tx.next_revision()};
    const Uuid id = tx.create(std::move(task)).meta.id;
    return Mutated{
        .object = object,
        .task = id,
        .about = fmt::format("unclaimed {} {} ({}) on host {}{}", text_of(thing.kind), thing.id.str(),
                             shown_name(thing), host.meta.name, thing.path.empty() ? "" : ": " + thing.path)};
}

// ---- what people see of them

void Orchestrator::unclaimed(UnclaimedQuery query, Answered<UnclaimedAnswer> answer) {
    if (!query.who.is_administrator())
        return answer_durably<UnclaimedAnswer>(std::move(answer),
                                               fail(forbidden(query.who, "see unclaimed things of", Kind::host)));
    answer_durably<UnclaimedAnswer>(std::move(answer), unclaimed_things(query));
}

Result<UnclaimedAnswer> Orchestrator::unclaimed_things(const UnclaimedQuery& query) const {
    const World& world = pipeline_.world();
    UnclaimedAnswer answer;
    if (!query.host.empty()) {
        TRY(found, find(query.who, {Kind::host, "", query.host}));
        answer.away = links_.is_connected(found->meta.id) ? 0 : 1;
        add_unclaimed(static_cast<const Host&>(*found), query, answer);
        return answer;
    }
    for (const auto& [key, id] : world.names_of(Kind::host)) {
        if (!links_.is_connected(id)) ++answer.away;
        add_unclaimed(*world.find<Host>(id), query, answer);
    }
    return answer;
}

// A file on a shared pool is one file, whoever tells of it.
void Orchestrator::add_unclaimed(const Host& host, const UnclaimedQuery& query, UnclaimedAnswer& answer) const {
    const World& world = pipeline_.world();
    const UnclaimedReport* report = book_.of(host.meta.id);
    if (report == nullptr) return;
    answer.untold += report->total - static_cast<std::int64_t>(report->things.size());
    for (const UnclaimedThing& thing : report->things) {
        if (is_claimed(world, host.meta.id, thing)) continue;
        if (query.kind && thing.kind != *query.kind) continue;
        const bool of_all = thing.kind == DocumentKind::pool || thing.kind == DocumentKind::network ||
                            (thing.kind == DocumentKind::volume && is_shared(thing.pool));
        const bool again = of_all && std::ranges::any_of(answer.lines, [&](const UnclaimedLine& line) {
                               return line.thing.id == thing.id && line.thing.kind == thing.kind;
                           });
        if (again) continue;
        if (answer.lines.size() >= query.limit) {
            ++answer.untold;
            continue;
        }
        UnclaimedLine line{.host = host.meta.name,
                           .thing = thing,
                           .why = why_unclaimed(world, thing),
                           .obstacle = why_not_adoptable(thing),
                           .task = open_removal(world, host.meta.id, thing.kind, thing.id)};
        line.thing.document.clear();
        answer.lines.push_back(std::move(line));
    }
}

bool Orchestrator::is_shared(const Uuid& pool) const {
    return is_on_shared_pool(pipeline_.world(), book_, {.pool = pool});
}

}  // namespace axle
