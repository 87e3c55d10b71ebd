// What isn't well in the whole cloud, and a person's word on what only a person can decide: a loss, a clock.
#include "common/base/units.hpp"
#include "orchestrator/core/orchestrator.hpp"
#include "orchestrator/core/vm_rules.hpp"

namespace axle {
namespace {

constexpr std::size_t kProblemsMax = 50;

Problem problem_of(const Object& object, const Condition& c, const std::string& hint) {
    const std::string where = object.meta.project.name.empty() ? "" : object.meta.project.name + "/";
    return {c.type, fmt::format("{} {}{}: {}", info_of(object.kind()).name, where, object.meta.name, c.message), hint};
}

// The command that says more of a VM's trouble, or ends it.
std::string remedy(const Vm& vm, const Condition& c) {
    const std::string name = fmt::format("{} -p {}", vm.meta.name, vm.meta.project.name);
    if (c.type == "Scheduled") return "axle vm explain " + name;
    if (c.type == "StopTimedOut") return "axle vm stop " + name + " --force";
    if (c.type == "NoAddress") return "axle vm log " + name;
    return "axle vm show " + name;
}

std::string remedy(const Host& host, const Condition& c) {
    if (c.type == "Unclaimed") return "axle unclaimed list --host " + host.meta.name;
    if (c.type == "DrainStuck") return fmt::format("axle host undrain {} takes the drain back", host.meta.name);
    return "on that host: axle-agent doctor (axle doctor, if it is an all-in-one)";
}

Problem away_problem(const Host& host, std::size_t guests) {
    return {"HostAway",
            fmt::format("the agent of host {} is not connected; what is known of its {} VMs is from before",
                        host.meta.name, guests),
            fmt::format("on that host, if it is on: axle-agent doctor; journalctl -u 'axle*'. Dead for good: axle host "
                        "remove {} --lost",
                        host.meta.name)};
}

}  // namespace

void Orchestrator::add_store_problems(Overview& o) const {
    if (o.store.read_only) o.problems.push_back({"StoreReadOnly", o.store.read_only->why, o.store.read_only->hint});
    if (o.space.below_reserve)
        o.problems.push_back({"DiskFull",
                              fmt::format("the orchestrator's disk has {} left: only delete, stop and cancel are taken",
                                          format_bytes(o.space.free_bytes)),
                              "axle image list; axle vm list --deleted: delete with --now what isn't needed"});
    if (o.clock.apart)
        o.problems.push_back(
            {"ClockApart",
             fmt::format("this machine's clock says {}, the cloud counted {}: what is deleted expires by the latter",
                         format_time(o.clock.wall), format_time(o.clock.cluster)),
             "if the machine's clock is right: axle clock accept; else set it (timedatectl)"});
}

void Orchestrator::add_host_problems(Overview& o) const {
    const World& world = pipeline_.world();
    if (world.names_of(Kind::host).empty())
        o.problems.push_back({"NoHost", "no host has joined yet", "axle host token create"});
    if (world.names_of(Kind::pool).empty())
        o.problems.push_back(
            {"NoPool", "there is no pool for disks", "axle pool create main --path /var/lib/axle/pools/main"});
    for (const auto& [id, object] : world.all(Kind::host)) {
        const auto& host = static_cast<const Host&>(*object);
        if (!links_.is_connected(id)) o.problems.push_back(away_problem(host, world.vms_on(id).size()));
        for (const auto* conditions : {&host.status.conditions, &host.status.facts.conditions}) {
            for (const Condition& c : *conditions) {
                if (!is_trouble(c)) continue;
                o.problems.push_back(problem_of(host, c, remedy(host, c)));
            }
        }
    }
}

void Orchestrator::add_object_problems(Overview& o) const {
    const World& world = pipeline_.world();
    for (const auto& [id, object] : world.all(Kind::network)) {
        for (const Condition& c : static_cast<const NetworkObject&>(*object).status.conditions) {
            if (is_trouble(c))
                o.problems.push_back(problem_of(
                    *object, c,
                    fmt::format("axle network show {} -p {}", object->meta.name, object->meta.project.name)));
        }
    }
    for (const auto& [id, object] : world.all(Kind::vm)) {
        if (o.problems.size() > kProblemsMax) return;
        const auto& vm = static_cast<const Vm&>(*object);
        if (vm.is_deleted()) continue;
        for (const Condition& c : vm.status.conditions) {
            if (is_trouble(c)) o.problems.push_back(problem_of(vm, c, remedy(vm, c)));
        }
    }
}

void Orchestrator::overview(Principal who, Answered<Overview> answer) {
    Overview o{.store = pipeline_.store_state(),
               .space = pipeline_.store().space(),
               .clock = clock_state(),
               .durable = pipeline_.durable(),
               .version = AXLE_VERSION};
    const World& world = pipeline_.world();
    for (const KindInfo& kind : all_kinds()) {
        for (const auto& [key, id] : world.names_of(kind.kind)) {
            const Uuid scope = kind.kind == Kind::project ? id : key.project;
            if (!may_read(who, kind.kind, scope)) continue;
            ++o.counts[kind.plural];
            if (kind.kind == Kind::vm) ++o.counts[fmt::format("vms.{}", text_of(world.find<Vm>(id)->status.phase))];
        }
    }
    if (who.all_projects) {
        add_store_problems(o);
        add_host_problems(o);
        add_object_problems(o);
    }
    answer_durably<Overview>(std::move(answer), std::move(o));
}

void Orchestrator::accept_loss(Principal who, Answered<StoreState> answer) {
    if (!who.is_administrator())
        return answer_durably<StoreState>(std::move(answer), fail(forbidden(who, "accept a loss of", Kind::project)));
    pipeline_.accept_loss(seen_by_hosts_, [this, answer = std::move(answer)](Result<StoreState> state) {
        if (state) controllers_.start();
        answer(std::move(state));
    });
}

void Orchestrator::accept_clock(Principal who, Answered<ClockState> answer) {
    if (!who.is_administrator())
        return answer_durably<ClockState>(std::move(answer), fail(forbidden(who, "set the time of", Kind::project)));
    if (auto fine = pipeline_.check_writable(); !fine)
        return answer_durably<ClockState>(std::move(answer), fail(std::move(fine.error())));
    pipeline_.accept_clock([this, answer = std::move(answer)] { answer(clock_state()); });
}

ClockState Orchestrator::clock_state() const {
    return {pipeline_.wall(), {pipeline_.cluster_time()}, pipeline_.is_clock_apart()};
}

}  // namespace axle
