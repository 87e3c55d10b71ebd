// What isn't well in the whole cloud, and a person's word on what only a person can decide: a loss, a clock.
#include <algorithm>

#include "common/base/counted.hpp"
#include "common/base/units.hpp"
#include "orchestrator/core/orchestrator.hpp"
#include "orchestrator/core/severity.hpp"

namespace axle {
namespace {

constexpr std::size_t kProblemsMax = 50;
constexpr std::size_t kNamesMax = 10;  // that a sentence names

Problem problem_of(const Object& object, const Condition& c, const std::string& hint) {
    const std::string where = object.meta.project.name.empty() ? "" : object.meta.project.name + "/";
    return {name_of(c), fmt::format("{} {}{}: {}", info_of(object.kind()).name, where, object.meta.name, c.message),
            hint};
}

// The command that says more of a VM's trouble, or ends it.
std::string remedy(const Vm& vm, const Condition& c) {
    const std::string name = fmt::format("{} -p {}", vm.meta.name, vm.meta.project.name);
    if (c.type == "Scheduled") return "axle vm explain " + name;
    if (c.type == "StopTimedOut") return "axle vm stop " + name + " --force";
    if (c.type == "NoAddress") return "axle vm log " + name;
    return "axle vm show " + name;
}

// host: empty: of several.
std::string host_remedy(const std::string& type, const std::string& host) {
    if (type == "Unclaimed") return "axle unclaimed list" + (host.empty() ? "" : " --host " + host);
    if (type == "DrainStuck")
        return fmt::format("axle host undrain {} takes the drain back", host.empty() ? "HOST" : host);
    if (type == "NoAccelerator")
        return "nothing, if that is known; else switch virtualization on in the firmware there, or nested "
               "virtualization where the machine is a VM itself";
    return fmt::format("on {}: axle-agent doctor (axle doctor, if it is an all-in-one)",
                       host.empty() ? "each of them" : "that host");
}

std::string listed(const std::vector<std::string>& names) {
    std::string out;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (i == kNamesMax) return out + fmt::format(" and {} more", names.size() - i);
        out += (i == 0 ? "" : ", ") + names[i];
    }
    return out;
}

// The same condition, of one host or several.
struct HostCondition {
    Condition first;
    bool alike = true;  // all say the same
    std::vector<std::string> hosts;
};

Problem problem_of(const HostCondition& c) {
    const bool one = c.hosts.size() == 1;
    Problem problem{.type = name_of(c.first), .note = severity_of(c.first) == Severity::note, .hosts = c.hosts};
    problem.message = one ? fmt::format("host {}: {}", c.hosts[0], c.first.message)
                          : fmt::format("{} hosts ({}): {}{}", c.hosts.size(), listed(c.hosts),
                                        c.alike ? "" : c.hosts[0] + " says: ", c.first.message);
    problem.hint = host_remedy(c.first.type, one ? c.hosts[0] : "");
    return problem;
}

Problem away_problem(std::vector<std::string> hosts, std::size_t guests) {
    const bool one = hosts.size() == 1;
    const std::string known =
        fmt::format("what is known of {} {} is from before", one ? "its" : "their", counted(guests, "VM"));
    return {.type = "HostAway",
            .message = one ? fmt::format("the agent of host {} is not connected; {}", hosts[0], known)
                           : fmt::format("the agents of {} hosts ({}) are not connected; {}", hosts.size(),
                                         listed(hosts), known),
            .hint = fmt::format("on {}, if it is on: axle-agent doctor; journalctl -u 'axle*'. Dead for good: axle "
                                "host remove {} --lost",
                                one ? "that host" : "each of them", one ? hosts[0] : "HOST"),
            .hosts = std::move(hosts)};
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
    std::vector<std::string> away;
    std::size_t guests_away = 0;
    std::map<std::string, HostCondition> by_type;
    for (const auto& [key, id] : world.names_of(Kind::host)) {
        const auto& host = *world.find<Host>(id);
        if (!links_.is_connected(id)) {
            away.push_back(host.meta.name);
            guests_away += world.vms_on(id).size();
        }
        for (const auto* conditions : {&host.status.conditions, &host.status.facts.conditions}) {
            for (const Condition& c : *conditions) {
                if (severity_of(c) != Severity::trouble && severity_of(c) != Severity::note) continue;
                HostCondition& same = by_type.try_emplace(c.type, HostCondition{c}).first->second;
                same.alike = same.alike && same.first.message == c.message;
                if (same.hosts.empty() || same.hosts.back() != host.meta.name) same.hosts.push_back(host.meta.name);
            }
        }
    }
    if (!away.empty()) o.problems.push_back(away_problem(std::move(away), guests_away));
    for (const auto& [type, condition] : by_type) o.problems.push_back(problem_of(condition));
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
        std::ranges::stable_partition(o.problems, [](const Problem& p) { return !p.note; });
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
