#include "tests/support/cloud/eyes.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace axle::test {

struct Eyes::Watcher final : ChangeSink {
    Eyes& eyes;
    explicit Watcher(Eyes& e) : eyes(e) {}
    void changed(const ChangeEvent& event) override { eyes.changed(event); }
    void reached(Revision revision) override {
        if (revision < eyes.told_) eyes.cloud_.violate("a bookmark went back");
        eyes.told_ = std::max(eyes.told_, revision);
    }
};

Eyes::~Eyes() = default;

void Eyes::answered(const Result<Mutated>& result) {
    if (!result || !result->object) return;
    const Meta& meta = result->object->meta;
    if (std::max(meta.revision, meta.status_revision) > cloud_.store().durable())
        cloud_.violate(fmt::format("a success was answered at revision {} when {} was durable",
                                   std::max(meta.revision, meta.status_revision), cloud_.store().durable()));
    acked_ = std::max(acked_, meta.revision);
}

void Eyes::forget_history() {
    acked_ = 0;
    told_ = 0;
    shadow_.clear();
}

void Eyes::orchestrator_gone() {
    watcher_.reset();
}

void Eyes::orchestrator_started() {
    const Revision head = cloud_.store().state().revision;
    if (head < acked_)
        cloud_.violate(fmt::format("revision {} was acknowledged and is gone: the store is at {}", acked_, head));
    if (head < told_) cloud_.violate(fmt::format("revision {} was told to a watch and is gone: {}", told_, head));
    read_change_log(head);
    watcher_ = std::make_shared<Watcher>(*this);
    const auto subscribed = cloud_.orchestrator().subscribe(Cloud::admin(), told_, watcher_);
    if (!subscribed) cloud_.violate("the watch does not go on: " + subscribed.error().message);
    compare_with_world();
}

// What the store says between the last that was told and `until`, as the API does for a watch that comes back.
void Eyes::read_change_log(Revision until) {
    const auto each = [&](std::string_view key, std::string_view value) {
        const Revision revision = parse_revision_key(key).value_or(0);
        const auto record = nlohmann::json::parse(value);
        const KindInfo* kind = find_kind(record.at("kind").get<std::string>());
        const Key object{kind->kind, *Uuid::parse(record.at("id").get<std::string>())};
        if (record.at("op") == "delete") {
            if (shadow_.erase(object) == 0) cloud_.violate("the change log deletes what was not there");
        } else {
            const bool over =
                kind->kind == Kind::task &&
                std::ranges::any_of(std::array{"succeeded", "failed", "cancelled", "superseded"},
                                    [&](const char* p) { return record.at("object").at("status").at("phase") == p; });
            shadow_[object] = {revision, over};
        }
        told_ = revision;
        return true;
    };
    const auto read = cloud_.store().scan(Table::changes, revision_key(told_ + 1), "", false, each);
    if (!read) cloud_.violate("the change log can't be read: " + read.error().message);
    told_ = std::max(told_, until);
}

void Eyes::changed(const ChangeEvent& event) {
    ++events_seen_;
    const Object& subject = event.object ? *event.object : *event.before;
    const Key key{event.kind, subject.meta.id};
    if (event.revision <= told_) return cloud_.violate(fmt::format("a watch was told {} twice", event.revision));
    if (event.revision > cloud_.store().durable()) cloud_.violate("a watch was told what is not durable");
    told_ = event.revision;
    const auto was = shadow_.find(key);
    const Revision before = event.before ? event.before->meta.status_revision : 0;
    if (before != (was == shadow_.end() ? 0 : was->second.revision))
        cloud_.violate(fmt::format("a watch missed a change of {} {}: it was at {}, the event follows {}",
                                   text_of(event.kind), subject.meta.name,
                                   was == shadow_.end() ? 0 : was->second.revision, before));
    if (event.kind == Kind::task) changed_task(event);
    if (!event.object) {
        shadow_.erase(key);
        grown_.erase(key.id);
        return;
    }
    const bool over = event.kind == Kind::task && is_terminal(static_cast<const Task&>(*event.object).status.phase);
    shadow_[key] = {event.revision, over};
    if (event.kind != Kind::vm) return;
    const Vm& vm = static_cast<const Vm&>(*event.object);
    const Vm* old = event.before ? static_cast<const Vm*>(event.before.get()) : nullptr;
    if (old != nullptr && (vm.spec.cpus > old->spec.cpus || vm.spec.memory > old->spec.memory)) grown_.insert(key.id);
    if (vm.status.migration && (old == nullptr || !old->status.migration)) {
        if (!epochs_.insert(vm.status.migration->epoch).second) cloud_.violate("an epoch was given twice");
        check_capacity(vm.status.migration->host.id);
        check_apart(vm, vm.status.migration->host);
    }
    if (!vm.status.placement) return;
    const bool bound = old == nullptr || !old->status.placement;
    if (bound && !epochs_.insert(vm.status.placement->epoch).second) cloud_.violate("an epoch was given twice");
    const bool restored = old != nullptr && old->is_deleted() && !vm.is_deleted();
    if (restored) restored_.insert(key.id);
    if (bound || restored) check_capacity(vm.status.placement->host.id);
    if (bound) check_apart(vm, vm.status.placement->host);
}

void Eyes::changed_task(const ChangeEvent& event) {
    if (!event.object) return cloud_.violate("a task was erased");
    const Task& now = static_cast<const Task&>(*event.object);
    if (!event.before) {
        if (is_terminal(now.status.phase)) cloud_.violate("a task was born ended");
        return;
    }
    const TaskPhase was = static_cast<const Task&>(*event.before).status.phase;
    if (is_terminal(was)) cloud_.violate(fmt::format("task {} changed after its end", text_of(now.spec.goal)));
    if (was != now.status.phase && !may_move(was, now.status.phase))
        cloud_.violate(fmt::format("a task went from {} to {}", text_of(was), text_of(now.status.phase)));
    if (is_terminal(now.status.phase))
        ++ended_tasks[fmt::format("{} {}", text_of(now.spec.goal), text_of(now.status.phase))];
}

// Capacity: what records claim on the host that was just taken is not more than it has to give.
void Eyes::check_capacity(const Uuid& at) {
    const Host* host = cloud_.world().find<Host>(at);
    const bool grown = std::ranges::any_of(grown_, [&](const Uuid& id) {
        const Vm* other = cloud_.world().find<Vm>(id);
        return other != nullptr && other->status.placement && other->status.placement->host.id == at;
    });
    if (host == nullptr || grown) return;
    std::int64_t cpus = 0, memory = 0;
    for (const auto& [id, object] : cloud_.world().all(Kind::vm)) {
        const Vm& other = static_cast<const Vm&>(*object);
        if (other.is_deleted()) continue;
        const bool placed = other.status.placement && other.status.placement->host.id == at;
        if (!placed && !(other.status.migration && other.status.migration->host.id == at)) continue;
        cpus += other.spec.cpus.value_or(1);
        memory += other.spec.memory.value_or(kGiB);
    }
    const HostFacts& facts = host->status.facts;
    const auto cpus_max = static_cast<std::int64_t>(static_cast<double>(facts.cpus) * host->spec.cpu_overcommit);
    const auto memory_max = static_cast<std::int64_t>(static_cast<double>(facts.memory - host->spec.memory_reserve) *
                                                      host->spec.memory_overcommit);
    if (cpus > cpus_max || memory > memory_max)
        cloud_.violate(fmt::format("host {} was overbooked: {} of {} CPUs, {} of {} bytes", host->meta.name, cpus,
                                   cpus_max, memory, memory_max));
}

// Another VM of a group that is kept apart, which is on that host or moves there. A restored one is where its disk is.
const Vm* Eyes::too_near(const Vm& vm, const Uuid& host) const {
    const auto* group = cloud_.world().find<PlacementGroup>(vm.spec.placement_group.id);
    if (group == nullptr || group->spec.policy != Affinity::apart || group->spec.over != Domain::host ||
        !group->spec.required)
        return nullptr;
    for (const auto& [id, object] : cloud_.world().all(Kind::vm)) {
        const Vm& other = static_cast<const Vm&>(*object);
        if (id == vm.meta.id || other.is_deleted() || other.spec.placement_group.id != group->meta.id) continue;
        const VmStatus& at = other.status;
        if ((at.placement && at.placement->host.id == host) || (at.migration && at.migration->host.id == host))
            return &other;
    }
    return nullptr;
}

// The world may be ahead of what is told: it is asked about a VM that is there still.
void Eyes::check_apart(const Vm& told, const Ref& host) {
    const Vm* vm = cloud_.world().find<Vm>(told.meta.id);
    if (vm == nullptr || vm->is_deleted() || restored_.contains(vm->meta.id)) return;
    const VmStatus& at = vm->status;
    const bool is_there = at.placement && at.placement->host.id == host.id;
    if (!is_there && !(at.migration && at.migration->host.id == host.id)) return;
    if (told.spec.placement_group.id != vm->spec.placement_group.id) return;
    const Vm* other = too_near(*vm, host.id);
    if (other != nullptr && other->meta.revision > told.meta.status_revision) return;  // it came into the group since
    if (other != nullptr && !restored_.contains(other->meta.id))
        cloud_.violate(fmt::format("{} was put beside {} on {}, their group keeps them apart", vm->meta.name,
                                   other->meta.name, host.name));
}

void Eyes::look() {
    ++looks_;
    if (!cloud_.violation().empty()) return;
    if (looks_ % 16 == 0) check_one_writer();
    if (looks_ % 400 == 0) look_closely();
}

void Eyes::look_closely() {
    if (!cloud_.orchestrator_runs()) return;
    if (const std::string wrong = cloud_.world().check_indexes(); !wrong.empty()) cloud_.violate(wrong);
    check_unique_addresses();
    check_queues();
    compare_with_world();
}

// Everything that is durable was told, and the head agrees with it.
void Eyes::compare_with_world() {
    Orchestrator& core = cloud_.orchestrator();
    if (core.pipeline().head() != cloud_.store().durable() || told_ < core.pipeline().head()) return;
    std::size_t there = 0;
    for (std::size_t k = 0; k < kKinds; ++k) {
        for (const auto& [id, object] : cloud_.world().all(static_cast<Kind>(k))) {
            const auto seen = shadow_.find({static_cast<Kind>(k), id});
            if (seen == shadow_.end() || seen->second.revision != object->meta.status_revision)
                return cloud_.violate(fmt::format(
                    "{} {} is at revision {}, the watch saw {}", text_of(static_cast<Kind>(k)), object->meta.name,
                    object->meta.status_revision, seen == shadow_.end() ? 0 : seen->second.revision));
            there += seen->second.ended ? 0 : 1;
        }
    }
    const auto told = std::ranges::count_if(shadow_, [](const auto& entry) { return !entry.second.ended; });
    if (static_cast<std::size_t>(told) != there)
        cloud_.violate(fmt::format("the watch knows {} living objects, there are {}", told, there));
}

void Eyes::check_unique_addresses() {
    std::map<std::pair<Uuid, std::string>, std::string> addresses;
    std::map<std::string, std::string> macs;
    for (const auto& [id, object] : cloud_.world().all(Kind::vm)) {
        const Vm& vm = static_cast<const Vm&>(*object);
        for (const auto& [name, nic] : vm.status.nics) {
            if (!macs.emplace(nic.mac, vm.meta.name).second) cloud_.violate("two NICs have MAC " + nic.mac);
            const auto wanted = vm.spec.nics.find(name);
            if (nic.address.empty() || wanted == vm.spec.nics.end()) continue;
            if (!addresses.emplace(std::pair(wanted->second.network.id, nic.address), vm.meta.name).second)
                cloud_.violate("two NICs have address " + nic.address);
        }
    }
}

// One writer, over all hosts: each machine looks at its own guests already.
void Eyes::check_one_writer() {
    std::map<VolumeId, std::string> open;
    for (const auto& host : cloud_.hosts) {
        for (const auto& [id, domain] : host.machine->domains) {
            if (!is_on(domain.state) || domain.incoming) continue;  // what comes in stands still
            for (const auto& disk : domain.live.disks) {
                const std::string user = host.machine->facts.hostname + "/" + id.str();
                if (!open.emplace(disk.document.volume, user).second) cloud_.violate("a disk is open in two guests");
            }
        }
    }
}

void Eyes::check_queues() {
    if (cloud_.store().queued() > 5'000) cloud_.violate("the store's queue grows without bound");
    if (cloud_.time.waiting() > 20'000) cloud_.violate("more than 20,000 events wait");
    for (const auto& host : cloud_.hosts) {
        if (host.wire && host.wire->in_flight() > 5'000) cloud_.violate("a connection's queue grows without bound");
    }
}

}  // namespace axle::test
