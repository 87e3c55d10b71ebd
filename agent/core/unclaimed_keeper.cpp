#include "agent/core/unclaimed_keeper.hpp"

#include <algorithm>

#include "agent/core/intake.hpp"
#include "agent/core/planted.hpp"
#include "common/base/counted.hpp"
#include "common/base/units.hpp"
#include "common/model/codec.hpp"

namespace axle {
namespace {

DocumentKey key_of(const UnclaimedThing& thing) {
    return {thing.kind, thing.id};
}
DocumentKey key_of(const RemoveOrder& order) {
    return {order.kind, order.id};
}

UnclaimedThing stray(const DomainObservation& domain) {
    UnclaimedThing thing{.kind = DocumentKind::vm,
                         .id = domain.id,
                         .name = domain.title,
                         .epoch = domain.epoch,
                         .state = domain.state,
                         .cpus = domain.cpus,
                         .memory = domain.memory};
    thing.volumes.assign(domain.volumes.begin(), domain.volumes.end());
    return thing;
}

// Counts what is told against what fits into a message; what belongs together is told together or not at all.
class Budget {
  public:
    explicit Budget(UnclaimedReport& report) : report_(report) {}
    void add(std::vector<UnclaimedThing> group) {
        report_.total += static_cast<std::int64_t>(group.size());
        std::size_t bytes = 0;
        for (const UnclaimedThing& thing : group) bytes += thing.document.size();
        full_ = full_ || report_.things.size() + group.size() > kUnclaimedMax || bytes_ + bytes > kUnclaimedBytesMax;
        if (full_) return;
        bytes_ += bytes;
        std::ranges::move(group, std::back_inserter(report_.things));
    }

  private:
    UnclaimedReport& report_;
    std::size_t bytes_ = 0;
    bool full_ = false;
};

}  // namespace

UnclaimedKeeper::UnclaimedKeeper(const Seams& seams, const Parts& parts, Hooks hooks)
    : seams_(seams), keep_(parts), hooks_(std::move(hooks)) {}

// What was said on the last connection is no longer sure: an order that still holds is given again.
void UnclaimedKeeper::connected() {
    unknown_.clear();
    looking_.clear();
    if (told_ != UnclaimedReport{}) hooks_.tell(told_);
    seams_.clock.after(kSettle, life_.wrap([this] { look(); }));
}

void UnclaimedKeeper::look() {
    if (timer_ != 0) return;
    timer_ = seams_.clock.after(kGather, life_.wrap([this] {
        timer_ = 0;
        gather();
    }));
}

void UnclaimedKeeper::claimed(const DocumentKey& key) {
    unknown_.erase(key);
    look();
}

void UnclaimedKeeper::take(const UnknownThings& unknown) {
    unknown_.clear();
    std::set<VolumeId> nobodys;
    for (const UnknownThing& thing : unknown.things) {
        unknown_.insert({thing.kind, thing.id});
        if (thing.kind == DocumentKind::volume) nobodys.insert(VolumeId{thing.id});
    }
    keep_.storage.set_nobodys(std::move(nobodys));
    look();
}

void UnclaimedKeeper::gather() {
    UnclaimedReport now = report();
    date(now);
    if (now == told_) return;
    told_ = std::move(now);
    hooks_.tell(told_);
    hooks_.changed();
}

// Pools and networks first: guests and volumes need them. Then guests, each with its disks; then the other volumes.
UnclaimedReport UnclaimedKeeper::report() const {
    UnclaimedReport report{.files = keep_.storage.shared_files()};
    Budget budget(report);
    for (UnclaimedThing& thing : definitions()) budget.add({std::move(thing)});
    std::map<Uuid, UnclaimedThing> disks = volumes();
    for (UnclaimedThing& guest : guests()) {
        std::vector<UnclaimedThing> group{guest};
        for (const Uuid& volume : guest.volumes) {
            if (auto disk = disks.extract(volume)) group.push_back(std::move(disk.mapped()));
        }
        budget.add(std::move(group));
    }
    for (auto& [id, volume] : disks) budget.add({std::move(volume)});
    return report;
}

std::vector<UnclaimedThing> UnclaimedKeeper::definitions() const {
    std::vector<UnclaimedThing> out;
    for (const DocumentKey& key : unknown_) {
        if (key.first != DocumentKind::pool && key.first != DocumentKind::network) continue;
        const DocumentRecord* record = keep_.ledger.document(key);
        if (record == nullptr || record->verdict != Verdict::keep) continue;
        UnclaimedThing thing{.kind = key.first, .id = key.second, .held = true, .document = record->content};
        if (key.first == DocumentKind::pool) {
            const auto pool = from_json_text<PoolDocument>(record->content);
            if (!pool) continue;
            thing.name = pool->name;
            thing.path = pool->path;
        } else {
            const auto network = from_json_text<NetworkDocument>(record->content);
            if (!network) continue;
            thing.name = network->name;
        }
        out.push_back(std::move(thing));
    }
    return out;
}

std::vector<UnclaimedThing> UnclaimedKeeper::guests() const {
    std::vector<UnclaimedThing> out;
    for (const DocumentKey& key : unknown_) {
        if (key.first != DocumentKind::vm) continue;
        if (auto thing = keep_.vms.as_unclaimed(VmId{key.second})) out.push_back(std::move(*thing));
    }
    for (const DomainObservation& domain : keep_.vms.strays()) {
        const bool has_document = keep_.vms.as_unclaimed(domain.id).has_value();  // since that list
        if (domain.ours && !has_document) out.push_back(stray(domain));
    }
    return out;
}

std::map<Uuid, UnclaimedThing> UnclaimedKeeper::volumes() const {
    std::map<Uuid, UnclaimedThing> out;
    for (UnclaimedThing& thing : keep_.storage.strays()) out[thing.id] = std::move(thing);
    for (const DocumentKey& key : unknown_) {
        if (key.first != DocumentKind::volume) continue;
        if (auto thing = keep_.storage.as_unclaimed(VolumeId{key.second})) out[key.second] = std::move(*thing);
    }
    for (auto& [id, thing] : out) thing.user = user_of(VolumeId{id});
    return out;
}

std::string UnclaimedKeeper::user_of(VolumeId volume) const {
    if (std::string user = keep_.vms.user_of(volume); !user.empty()) return user;
    for (const DomainObservation& domain : keep_.vms.strays()) {
        if (std::ranges::find(domain.volumes, volume) != domain.volumes.end())
            return domain.title.empty() ? domain.name : domain.title;
    }
    return {};
}

void UnclaimedKeeper::date(UnclaimedReport& report) {
    std::map<DocumentKey, std::string> since;
    for (UnclaimedThing& thing : report.things) {
        const auto before = since_.find(key_of(thing));
        thing.since = before != since_.end() ? before->second : format_time(seams_.clock.wall());
        since[key_of(thing)] = thing.since;
    }
    since_ = std::move(since);
}

bool UnclaimedKeeper::is_unclaimed(VmId vm) const {
    return unknown_.contains({DocumentKind::vm, vm}) ||
           std::ranges::any_of(keep_.vms.strays(), [&](const auto& domain) { return domain.ours && domain.id == vm; });
}

std::vector<Condition> UnclaimedKeeper::host_conditions() const {
    if (told_.total == 0) return {};
    const UnclaimedThing* first = told_.things.empty() ? nullptr : &told_.things.front();
    return {{.type = "Unclaimed",
             .reason = "Unclaimed",
             .message = fmt::format("{} on this host {} to no record{}; left as it is", counted(told_.total, "thing"),
                                    told_.total == 1 ? "belongs" : "belong",
                                    first == nullptr ? ""
                                                     : fmt::format(" ({} {}{})", text_of(first->kind),
                                                                   first->name.empty() ? first->id.str() : first->name,
                                                                   told_.total > 1 ? ", ..." : ""))}};
}

// ---- a person's word that one of them goes

void UnclaimedKeeper::take(const RemoveOrder& order, std::uint64_t connection) {
    if (order.connection != connection)
        return refuse(order, {"old-connection", fmt::format("the order is of connection {}, the newest is {}",
                                                            order.connection, connection)});
    if (has_ended(order)) return hooks_.gone(key_of(order), order.epoch);
    if (is_under_way(order)) return;
    if (looking_.contains(order.task)) return;  // its end will be told
    if (const auto why = obstacle(order)) return refuse(order, *why);
    looking_.insert(order.task);
    // libvirt is asked at this moment, and of all domains. One answer counts, its own or the deadline's.
    const Answer<std::vector<DomainObservation>> answer =
        life_.wrap([this, order](Result<std::vector<DomainObservation>> domains) {
            if (looking_.erase(order.task) > 0) on_domains(order, std::move(domains));
        });
    seams_.clock.after(kListDeadline, [answer] {
        answer(Result<std::vector<DomainObservation>>(
            fail(Code::timeout, "libvirt did not answer within {} s", kListDeadline.count() / 1000)));
    });
    seams_.hypervisor.list(answer);
}

void UnclaimedKeeper::on_domains(const RemoveOrder& order, Result<std::vector<DomainObservation>> domains) {
    if (!domains) return refuse(order, {"unavailable", domains.error().message});
    if (is_under_way(order)) return;
    // What came while libvirt was asked counts: it may have been claimed meanwhile.
    auto why = obstacle(order);
    if (!why) why = obstacle_in(order, *domains);
    if (why) return refuse(order, *why);
    std::string content;
    if (order.kind == DocumentKind::volume && !order.held) {
        VolumeDocument document{.epoch = order.epoch};
        document.id = VolumeId{order.id};
        document.pool = PoolId{order.pool};
        content = to_json_text(document);
    }
    seams_.log(log::Level::warning, fmt::format("unclaimed {} {} is removed (task {})", text_of(order.kind),
                                                order.id.str(), order.task.str()));
    hooks_.end(order, std::move(content));
    look();
}

bool UnclaimedKeeper::has_ended(const RemoveOrder& order) const {
    const DocumentRecord* record = keep_.ledger.document(key_of(order));
    if (!has_epoch(order.kind)) return record == nullptr;
    return record != nullptr && record->verdict == Verdict::gone && record->epoch >= order.epoch &&
           (order.kind == DocumentKind::vm || record->destroyed);
}

// Its word is durable here: a crash goes on with it, and its end is told.
bool UnclaimedKeeper::is_under_way(const RemoveOrder& order) const {
    const DocumentRecord* record = keep_.ledger.document(key_of(order));
    if (record == nullptr || (has_epoch(order.kind) && record->epoch < order.epoch)) return false;
    return record->verdict == Verdict::release || record->verdict == Verdict::destroy;
}

std::optional<UnclaimedKeeper::Obstacle> UnclaimedKeeper::obstacle(const RemoveOrder& order) const {
    const DocumentKey key = key_of(order);
    const DocumentRecord* record = keep_.ledger.document(key);
    if (keep_.ledger.writing(key)) return Obstacle{"claimed", "it is being claimed just now"};
    if (record != nullptr && order.epoch < record->epoch && !planted().remove_claimed)
        return Obstacle{"claimed", "it was given to this host after that"};
    const bool kept = record != nullptr && record->verdict == Verdict::keep;
    if ((kept != order.held || (kept && record->epoch != order.seen)) && !planted().remove_claimed)
        return Obstacle{"claimed", "it is not as it was when its removal was asked for: it was claimed meanwhile"};
    if (order.kind == DocumentKind::volume) {
        if (const std::string user = keep_.vms.user_of(VolumeId{order.id}); !user.empty())
            return Obstacle{"in-use", fmt::format("guest {} has it", user)};
        if (!keep_.storage.can_use(PoolId{order.pool}))
            return Obstacle{"unavailable", "its pool can't be used on this host now"};
    }
    if (order.kind == DocumentKind::network && keep_.vms.uses_network(NetworkId{order.id}))
        return Obstacle{"in-use", "guests on this host are in it"};
    if (order.kind == DocumentKind::pool && keep_.storage.holds_anything(PoolId{order.id}))
        return Obstacle{"in-use", "volumes lie in it"};
    return std::nullopt;
}

std::optional<UnclaimedKeeper::Obstacle> UnclaimedKeeper::obstacle_in(
    const RemoveOrder& order, const std::vector<DomainObservation>& domains) const {
    for (const DomainObservation& domain : domains) {
        if (order.kind == DocumentKind::volume &&
            std::ranges::find(domain.volumes, VolumeId{order.id}) != domain.volumes.end())
            return Obstacle{"in-use", fmt::format("domain {} has it", domain.name)};
        const bool other = order.kind == DocumentKind::vm && domain.id == VmId{order.id} && !order.held &&
                           (!domain.ours || domain.epoch != order.seen);
        if (other) return Obstacle{"claimed", fmt::format("domain {} is another one by now", domain.name)};
    }
    return std::nullopt;
}

void UnclaimedKeeper::refuse(const RemoveOrder& order, const Obstacle& why) {
    seams_.log(log::Level::warning, fmt::format("the removal of unclaimed {} {} is refused: {}", text_of(order.kind),
                                                order.id.str(), why.message));
    hooks_.news({.id = order.task, .state = TaskState::failed, .code = why.code, .message = why.message});
}

}  // namespace axle
