// vm migrate: what is asked, whether it can be, and where to. From the commit on the target's room is claimed; what
// follows is in move_controller.cpp.
#include "orchestrator/core/migrate.hpp"

#include <algorithm>
#include <set>

#include "common/base/units.hpp"
#include "orchestrator/core/decisions.hpp"
#include "orchestrator/core/derive.hpp"
#include "orchestrator/core/moves.hpp"
#include "orchestrator/core/on_hosts.hpp"
#include "orchestrator/core/schedule.hpp"
#include "orchestrator/core/tasks.hpp"
#include "orchestrator/core/vm_rules.hpp"

namespace axle {
namespace {

constexpr const char* kFeature = "migrate";
constexpr std::size_t kCandidatesTold = 50;

bool can_migrate(const Host& host) {
    return std::ranges::find(host.status.facts.features, kFeature) != host.status.facts.features.end();
}

bool is_off_for_good(const Vm& vm) {
    const DomainState state = vm.status.report.state;
    const bool off = state == DomainState::shut_off || state == DomainState::absent;
    return off && (vm.spec.power == Power::stopped || has_ended_by_itself(vm));
}

// The host that has it, and that must say so.
Result<const Host*> source_of(const World& world, const Vm& vm) {
    if (!vm.status.placement)
        return fail(
            error(Code::conflict, "VM {} has no place yet", vm.meta.name)
                .with_hint("it goes to the host that suits it best by itself: axle vm explain " + vm.meta.name));
    const Host* host = world.find<Host>(vm.status.placement->host.id);
    if (host == nullptr) return fail(Code::conflict, "the host of VM {} is not known any more", vm.meta.name);
    if (!host->status.connected)
        return fail(
            error(Code::conflict, "host {}, which has VM {}, is not connected: only it can hand the guest over",
                  host->meta.name, vm.meta.name)
                .with_hint(fmt::format("wait until it is back: axle host list; if it is dead for good: axle host "
                                       "remove {} --lost",
                                       host->meta.name)));
    if (!can_migrate(*host))
        return fail(error(Code::conflict, "the agent of host {}, which has VM {}, moves no guests", host->meta.name,
                          vm.meta.name)
                        .with_hint("upgrade it, and see that its data port (7444) can be opened"));
    return host;
}

Result<bool> lives_on(const Vm& vm, bool cold) {
    const bool is_off = is_off_for_good(vm);
    if (!is_off && (vm.spec.power == Power::paused || vm.status.report.state == DomainState::paused))
        return fail(error(Code::conflict, "VM {} is paused, and would not be so on the other host", vm.meta.name)
                        .with_hint(fmt::format("axle vm resume {0}, or axle vm stop {0}", vm.meta.name)));
    if (cold || is_off) return false;
    if (vm.spec.power == Power::running && vm.status.report.state == DomainState::running) return true;
    return fail(
        error(Code::conflict, "VM {} is {}: a live move needs it running", vm.meta.name, text_of(vm.status.phase))
            .with_hint("wait until it runs, or move it switched off: --cold"));
}

Result<std::vector<MigrationDisk>> disks_of(const World& world, const Vm& vm) {
    std::vector<MigrationDisk> out;
    for (const auto& [name, disk] : vm.spec.disks) {
        const Volume* volume = world.find<Volume>(disk.volume.id);
        const bool here = volume != nullptr && volume->status.placement &&
                          volume->status.placement->host.id == vm.status.placement->host.id;
        if (!here || !volume->status.made || volume->status.phase != VolumePhase::ready)
            return fail(error(Code::conflict, "disk {} of VM {} is {}: only a disk that is ready can be moved", name,
                              vm.meta.name, volume == nullptr ? "gone" : text_of(volume->status.phase))
                            .with_hint(fmt::format("wait until it is: axle volume show {}", disk.volume.name)));
        const Pool* pool = world.find<Pool>(volume->spec.pool.id);
        const std::int64_t size = volume->status.size > 0 ? volume->status.size : volume->spec.size;
        out.push_back({volume->meta.id, volume->spec.pool.id, size, pool == nullptr || !pool->spec.shared});
    }
    return out;
}

// As for a new VM, but its disks come along and its hardware is given.
Result<VmRequest> request_to_move(const World& world, const Vm& vm) {
    TRY(request, request_of(world, vm));
    request.features.push_back(kFeature);
    request.guest = GuestRequest{vm.status.accelerator, vm.status.machine, vm.status.cpu_model};
    for (VolumeRequest& volume : request.volumes) {
        volume.pinned = HostId{};
        const Pool* pool = world.find<Pool>(volume.pool);
        if (pool != nullptr && pool->spec.shared) volume.size = 0;  // it is there already
    }
    for (const auto& [name, disk] : vm.spec.disks) {
        const Volume& volume = *world.find<Volume>(disk.volume.id);
        const Pool* pool = world.find<Pool>(volume.spec.pool.id);
        if (pool != nullptr && pool->spec.shared) continue;
        const auto wanted = std::ranges::find(request.volumes, PoolId{volume.spec.pool.id}, &VolumeRequest::pool);
        wanted->copied += volume.status.allocated;
    }
    return request;
}

std::string why_never(const World& world, const Vm& vm, const Host& host) {
    if (vm.status.placement->host.id == host.meta.id) return "the VM is there already";
    if (host.status.facts.underlay.empty()) return "it has not told an address that other hosts reach it at";
    for (const auto& [name, disk] : vm.spec.disks) {
        const Volume* volume = world.find<Volume>(disk.volume.id);
        if (volume != nullptr && leftover_on(*volume, host.meta.id) != nullptr)
            return fmt::format("an older copy of disk {} is still being removed there", name);
    }
    return {};
}

// By the filter that refused.
std::string way_out(const std::string& filter, const std::string& vm) {
    if (filter == "state") return "axle host list shows how hosts are";
    if (filter == "labels") return "axle host label HOST KEY=VALUE gives a host what the VM's hostSelector asks for";
    if (filter == "accelerator" || filter == "guest") return "only a host of the same kind can go on with this guest";
    if (filter == "features") return "upgrade the agent there";
    if (filter == "networks") return "make the bridge there";
    if (filter == "affinity")
        return fmt::format("axle vm set {} placementGroup= (or affinity=) takes the rule away", vm);
    if (filter == "pools") return "axle pool list -o wide shows where the pool is and what is free";
    return "axle capacity shows where there is room; delete or move something there";
}

std::string what_instead(const Vm& vm, const std::string& wanted, const Decision& decision) {
    if (const auto named = vm.spec.host_selector.find(kHostNameLabel); named != vm.spec.host_selector.end())
        return fmt::format("the VM asks for host {} by name; to let it go elsewhere: axle vm set {} hostSelector.{}=",
                           named->second, vm.meta.name, kHostNameLabel);
    if (!wanted.empty())
        return fmt::format(
            "{}; without --host the one that suits best is looked for",
            decision.candidates.empty() ? "take another host" : way_out(decision.candidates[0].filter, vm.meta.name));
    if (decision.candidates.size() < 2)
        return "there is no other host: axle host token create prints the line that joins one";
    std::set<std::string> ways;
    for (const Candidate& c : decision.candidates) {
        if (c.host != vm.status.placement->host.name) ways.insert(way_out(c.filter, vm.meta.name));
    }
    return fmt::format("{}, or join another host: axle host token create", fmt::join(ways, "; "));
}

Result<Decision> choose(const World& world, const Vm& vm, const std::string& wanted) {
    TRY(request, request_to_move(world, vm));
    std::vector<HostState> hosts = host_states_of(world);
    if (!wanted.empty()) {
        const auto id = Uuid::parse(wanted);
        std::erase_if(hosts, [&](const HostState& h) { return h.name != wanted && (!id || Uuid{h.id} != *id); });
        if (hosts.empty())
            return fail(fields_error({{"/host", "no-such-object", fmt::format("no host \"{}\"", wanted)}}));
        hosts.front().unschedulable = false;  // whoever names it means it
    }
    for (HostState& host : hosts) {
        if (!host.ready) continue;
        host.not_ready_why = why_never(world, vm, *world.find<Host>(host.id));
        host.ready = host.not_ready_why.empty();
    }
    Decision decision = decide(request, hosts);
    if (!decision.host.empty()) return decision;
    Error refused = error(Code::conflict, "{}", decision.summary).with_reason("no-host");
    for (const Candidate& candidate : decision.candidates) {
        if (refused.fields.size() < kCandidatesTold)
            refused.fields.push_back({"/host", candidate.filter, candidate.host + ": " + candidate.reason});
    }
    return fail(std::move(refused).with_hint(what_instead(vm, wanted, decision)));
}

Secret new_ticket(Random& random) {
    Secret ticket;
    for (int i = 0; i < 4; ++i) ticket.plain += fmt::format("{:016x}", random.next());
    return ticket;
}

}  // namespace

Result<> check_no_exclusive(const World& world, const Vm& vm) {
    for (const Uuid& id : world.tasks_of(vm.meta.id)) {
        const Task& other = *world.find<Task>(id);
        const TaskGoal goal = other.spec.goal;
        if (goal == TaskGoal::vm_reboot || goal == TaskGoal::vm_reset || goal == TaskGoal::vm_migrate)
            return fail(
                error(Code::busy, "VM {} is busy with {} (task {})", vm.meta.name, text_of(goal), other.meta.name)
                    .with_hint(fmt::format(
                        "wait for it: axle task wait {}{}", other.meta.name,
                        goal == TaskGoal::vm_migrate ? "; or give it up: axle task cancel " + other.meta.name : "")));
    }
    if (vm.status.migration)
        return fail(
            error(Code::busy, "VM {} is still being moved to host {}", vm.meta.name, vm.status.migration->host.name)
                .with_hint(fmt::format("wait until it is there: axle vm show {}", vm.meta.name)));
    return {};
}

Result<Uuid> begin_move(Transaction& tx, const Vm& vm, const MoveWish& wish) {
    TRY_VOID(check_no_exclusive(tx.world(), vm));
    TRY_VOID(source_of(tx.world(), vm));
    TRY(live, lives_on(vm, wish.cold));
    TRY(disks, disks_of(tx.world(), vm));
    TRY(decision, choose(tx.world(), vm, wish.host));
    const ObjectPtr target = tx.world().named(Kind::host, {}, decision.host);
    const Uuid id = vm.meta.id;
    VmMigration move;
    move.host = {target->meta.id, target->meta.name};
    move.live = live;
    move.bandwidth = wish.bandwidth;
    move.since = tx.moment().wall.ms;
    move.at = tx.moment().cluster_time;
    move.ticket = new_ticket(tx.random());
    move.document.plain = to_json_text(vm_document(tx.world(), vm));
    move.disks = std::move(disks);
    move.run_over = has_ended_by_itself(vm);
    note_networks(tx, vm, move.host.id);
    move.task = make_task(tx, TaskGoal::vm_migrate, *tx.world().get(Kind::vm, id), wish.requester);
    tx.update_status<Task>(move.task, [&](Task& t) {
        t.status.phase = TaskPhase::running;
        t.status.step = "preparing";
        t.status.log.push_back(fmt::format("from host {} to host {}, {}", vm.status.placement->host.name,
                                           move.host.name, live ? "live" : "switched off"));
    });
    const Uuid task = move.task;
    move.epoch = {tx.moment().incarnation, tx.next_revision()};
    keep_decision(tx, id, move.epoch, decision);
    tx.update_status<Vm>(id, [&](Vm& v) {
        forget_leftover(v, move.host.id);  // the new document takes its place
        v.status.migration = std::move(move);
    });
    return task;
}

}  // namespace axle
