// What hosts tell, taken into the world: facts, and the status of documents at the present epoch only.
#include <algorithm>

#include "common/base/log.hpp"
#include "common/base/units.hpp"
#include "orchestrator/core/controllers.hpp"
#include "orchestrator/core/moves.hpp"
#include "orchestrator/core/on_hosts.hpp"
#include "orchestrator/core/vm_rules.hpp"

namespace axle {
namespace {

template <typename T>
std::optional<T> content_of(const Status& status) {
    auto report = from_json_text<T>(status.content);
    if (report) return std::move(*report);
    log::warning(fmt::format("the status of {} {} can't be read: {}", text_of(status.kind), status.id.str(),
                             report.error().message));
    return std::nullopt;
}

constexpr std::int64_t kAllocatedStep = 64 * kMiB;

// Free space moves all the time; less than this share of the whole is not worth a commit.
bool moved_enough(std::int64_t was, std::int64_t is, std::int64_t whole) {
    return std::abs(was - is) * 100 > whole;
}

VolumePhase phase_of(VolumeState state) {
    switch (state) {
        case VolumeState::pending:
            break;
        case VolumeState::ready:
            return VolumePhase::ready;
        case VolumeState::lost:
            return VolumePhase::lost;
        case VolumeState::failed:
            return VolumePhase::failed;
    }
    return VolumePhase::creating;
}

bool says_nothing_new(const Volume& volume, const VolumeReport& report) {
    const VolumeStatus& was = volume.status;
    return (volume.meta.deletion || was.phase == phase_of(report.state)) &&
           was.made == (was.made || report.state == VolumeState::ready) && was.size == report.size &&
           was.conditions == report.conditions && (was.allocated == 0) == (report.allocated == 0) &&
           std::abs(was.allocated - report.allocated) < kAllocatedStep;
}

bool says_nothing_new(const ReportedPool& was, const SimpleReport& report) {
    return was.ready == report.ready && was.size == report.size && was.conditions == report.conditions &&
           !moved_enough(was.free, report.free, report.size);
}

// What a person asked of the host itself while we were away becomes the spec, if nobody has changed that since.
void take_over_local_wish(Transaction& tx, const Vm& vm) {
    constexpr std::int64_t kStartsMax = 1'000'000;
    const auto& local = vm.status.report.local;
    if (!local || vm.is_deleted() || local->generation != vm.meta.generation) return;
    if (local->start_serial < vm.spec.start_serial || local->start_serial - vm.spec.start_serial > kStartsMax) return;
    tx.update_spec<Vm>(vm.meta.id, [](Vm& v) {
        v.spec.power = v.status.report.local->power;
        v.spec.start_serial = v.status.report.local->start_serial;
        ++v.meta.generation;
    });
}

}  // namespace

void Controllers::host_said_hello(const Hello& hello, const LinkPeer& peer) {
    Transaction tx = pipeline_.begin();
    if (tx.world().find<Host>(hello.host) == nullptr) {
        auto host = std::make_unique<Host>();
        host->meta.id = hello.host;
        host->meta.name = hello.facts.hostname;
        for (int i = 2; tx.world().named(Kind::host, {}, host->meta.name); ++i)
            host->meta.name = fmt::format("{}-{}", hello.facts.hostname, i);
        tx.create(std::move(host));
    }
    tx.update_status<Host>(hello.host, [&](Host& h) {
        h.status.connected = true;
        h.status.address = peer.address;
        h.status.facts = hello.facts;
    });
    pipeline_.commit(tx);
    untold_hosts_.insert(hello.host);
    for (const Key& key : std::set<Key>(pipeline_.world().referrers(hello.host))) {
        if (key.kind == Kind::vm && !pipeline_.world().tasks_of(key.id).empty()) untold_.insert(key.id);
        enqueue(key);
    }
}

void Controllers::host_facts(const Uuid& host, const HostFacts& facts) {
    if (pipeline_.store_state().read_only || pipeline_.world().find<Host>(host) == nullptr) return;
    Transaction tx = pipeline_.begin();
    tx.update_status<Host>(host, [&](Host& h) { h.status.facts = facts; });
    pipeline_.commit(tx);
}

void Controllers::host_lost(const Uuid& host) {
    if (pipeline_.store_state().read_only || pipeline_.world().find<Host>(host) == nullptr) return;
    Transaction tx = pipeline_.begin();
    tx.update_status<Host>(host, [](Host& h) { h.status.connected = false; });
    pipeline_.commit(tx);
}

void Controllers::host_status(const Uuid& id, const Status& status) {
    const Host* host = pipeline_.world().find<Host>(id);
    if (host == nullptr || pipeline_.store_state().read_only) return;
    if (status.gone) settle_removal(id, status);
    switch (status.kind) {
        case DocumentKind::vm:
            return vm_status(id, status);
        case DocumentKind::volume:
            return volume_status(id, status);
        case DocumentKind::pool:
            return pool_status(*host, status);
        case DocumentKind::network:
            return network_status(*host, status);
        case DocumentKind::image:
            return;
    }
}

void Controllers::vm_status(const Uuid& host, const Status& status) {
    const Vm* vm = pipeline_.world().find<Vm>(status.id);
    if (const VmMigration* move = vm == nullptr ? nullptr : move_to(*vm, host))
        return move->epoch == status.epoch ? target_status(*vm, status) : void();
    if (vm != nullptr && leftover_status(*vm, host, status)) return;
    if (vm == nullptr || !vm->status.placement || vm->status.placement->host.id != host ||
        vm->status.placement->epoch != status.epoch)
        return;
    const bool final = vm->is_final();
    std::optional<VmReport> report;
    if (!status.gone && !(report = content_of<VmReport>(status))) return;
    const auto move = report ? std::exchange(report->move, std::nullopt) : std::nullopt;
    Transaction tx = pipeline_.begin();
    if (move) source_says(tx, status.id, *move);
    const bool left = move && move->phase == MovePhase::handed_over;  // what it says of the guest is of nobody
    const bool again = report && *report == tx.world().find<Vm>(status.id)->status.report;  // after a hello
    if (left || again) {
        pipeline_.commit(tx);
        return;
    }
    tx.update_status<Vm>(status.id, [&](Vm& v) {
        if (status.gone) {
            v.status.gone = final;
            return;
        }
        v.status.observed_generation = std::max(v.status.observed_generation, report->generation);
        v.status.needs_reboot = report->needs_reboot;
        const Condition* scheduled = find_condition(v.status.conditions, "Scheduled");
        std::vector<Condition> conditions;
        if (scheduled != nullptr) conditions.push_back(*scheduled);
        for (Condition& c : report->conditions) {
            if (c.since.empty()) c.since = pipeline_.now_text();
            if (const Condition* was = find_condition(v.status.conditions, c.type);
                was != nullptr && was->status == c.status && was->reason == c.reason)
                c.since = was->since;
            conditions.push_back(c);
        }
        v.status.conditions = std::move(conditions);
        v.status.report = std::move(*report);
        v.status.phase = phase_of(v);
    });
    take_over_local_wish(tx, *tx.world().find<Vm>(status.id));
    settle_tasks(tx, *tx.world().find<Vm>(status.id));
    pipeline_.commit(tx);
}

void Controllers::volume_status(const Uuid& host, const Status& status) {
    const Volume* volume = pipeline_.world().find<Volume>(status.id);
    if (volume != nullptr && (leftover_status(*volume, host, status) || copy_status(*volume, host, status))) return;
    if (volume == nullptr || !volume->status.placement || volume->status.placement->host.id != host ||
        volume->status.placement->epoch != status.epoch)
        return;
    std::optional<VolumeReport> report;
    if (!status.gone && !(report = content_of<VolumeReport>(status))) return;
    if (report && says_nothing_new(*volume, *report)) return;
    Transaction tx = pipeline_.begin();
    tx.update_status<Volume>(status.id, [&](Volume& v) {
        if (status.gone) {
            v.status.gone = v.is_final();
            return;
        }
        v.status.size = report->size;
        v.status.allocated = report->allocated;
        v.status.made = v.status.made || report->state == VolumeState::ready;
        v.status.conditions = std::move(report->conditions);
        if (v.meta.deletion) return;
        v.status.phase = phase_of(report->state);
    });
    settle_tasks(tx, *tx.world().find<Volume>(status.id));
    pipeline_.commit(tx);
}

void Controllers::pool_status(const Host& host, const Status& status) {
    const Pool* pool = pipeline_.world().find<Pool>(status.id);
    if (pool == nullptr || (!status.gone && !pool_is_on(*pool, host))) return;
    std::optional<SimpleReport> report;
    if (!status.gone && !(report = content_of<SimpleReport>(status))) return;
    const ReportedPool* was = reported_pool(host, status.id);
    if (report ? was != nullptr && says_nothing_new(*was, *report) : was == nullptr) return;
    Transaction tx = pipeline_.begin();
    tx.update_status<Host>(host.meta.id, [&](Host& h) {
        if (status.gone) {
            std::erase_if(h.status.pools, [&](const ReportedPool& p) { return p.pool.id == status.id; });
            return;
        }
        ReportedPool& there = note_pool(h, {status.id, pool->meta.name});
        there.ready = report->ready;
        there.size = report->size;
        there.free = report->free;
        there.conditions = std::move(report->conditions);
    });
    pipeline_.commit(tx);
}

void Controllers::network_status(const Host& host, const Status& status) {
    const World& world = pipeline_.world();
    if (world.find<NetworkObject>(status.id) == nullptr) return;
    if (!status.gone && !network_is_on(world, status.id, host.meta.id)) return;
    std::optional<NetworkOnHost> now;
    if (!status.gone) {
        auto report = content_of<SimpleReport>(status);
        if (!report) return;
        now = NetworkOnHost{report->ready, std::move(report->conditions)};
    }
    const NetworkOnHost* was = world.network_on(host.meta.id, status.id);
    if (now ? was != nullptr && *was == *now : was == nullptr) return;
    Transaction tx = pipeline_.begin();
    tx.put_network_on(host.meta.id, status.id, std::move(now));
    pipeline_.commit(tx);
    enqueue({Kind::network, status.id});
}

// Ready, and its troubles, from what its hosts tell.
void Controllers::sum_up_network(const Uuid& id) {
    const auto* network = pipeline_.world().find<NetworkObject>(id);
    if (network == nullptr) return;
    NetworkSummary now = summary_of(pipeline_.world(), id);
    if (now.ready == network->status.ready && now.conditions == network->status.conditions) return;
    Transaction tx = pipeline_.begin();
    tx.update_status<NetworkObject>(id, [&](NetworkObject& n) {
        n.status.ready = now.ready;
        n.status.conditions = std::move(now.conditions);
    });
    pipeline_.commit(tx);
}

void Controllers::host_task(const Uuid& host, const TaskNews& news) {
    const Task* task = pipeline_.world().find<Task>(news.id);
    if (task == nullptr || is_terminal(task->status.phase) || pipeline_.store_state().read_only) return;
    const Vm* vm = pipeline_.world().find<Vm>(task->spec.target.id);
    const bool removes = task->spec.removal && task->spec.removal->host.id == host;
    if (removes && news.state != TaskState::failed) return;  // a status says when nothing is left
    if (!removes && (vm == nullptr || !vm->status.placement || vm->status.placement->host.id != host)) return;
    Transaction tx = pipeline_.begin();
    switch (news.state) {
        case TaskState::running:
            break;
        case TaskState::succeeded:
            move_task(tx, news.id, TaskPhase::succeeded);
            break;
        case TaskState::failed:
            move_task(tx, news.id, TaskPhase::failed, TaskError{news.code, news.message, ""});
            break;
        case TaskState::cancelled:
            move_task(tx, news.id, TaskPhase::failed, TaskError{"cancelled", news.message, ""});
            break;
    }
    pipeline_.commit(tx);
}

}  // namespace axle
