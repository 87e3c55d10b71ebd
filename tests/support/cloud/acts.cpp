#include "tests/support/cloud/acts.hpp"

#include <algorithm>
#include <sstream>

#include "common/base/ensure.hpp"

namespace axle::test {
namespace {

constexpr int kVms = 6, kVolumes = 4, kNetworks = 3;

// A deleted thing of this name: the newest.
ObjectPtr deleted(Cloud& cloud, Kind kind, const std::string& name) {
    ObjectPtr found;
    for (const auto& [id, object] : cloud.world().all(kind)) {
        const bool newer = !found || found->meta.id < object->meta.id;
        if (object->is_deleted() && object->meta.name == name && newer) found = object;
    }
    return found;
}

std::string vm_document(const Act& act) {
    const auto cpus = 1 + act.number % 4;
    std::string disks =
        act.object % 3 == 0 ? R"("root":{"size":"1GiB"})" : R"("root":{"image":"debian","size":"2GiB"})";
    if (act.object % 3 == 2) disks += R"(,"data":{"size":"1GiB"})";
    return fmt::format(
        R"({{"name":"{}","spec":{{"cpus":{},"memory":"{}GiB","disks":{{{}}},"nics":{{"eth0":{{"network":"{}"}}}},)"
        R"("power":"{}","stopTimeout":"20s","retention":"{}m","onGuestShutdown":"{}"{}}}}})",
        vm_name(act.subject), cpus, cpus, disks, act.object % 4 == 3 ? network_name(1) : "blue",
        act.number % 5 == 4 ? "stopped" : "running", 5 + act.number % 60, act.number % 7 == 6 ? "restart" : "stay-off",
        act.number % 6 == 5 ? R"(,"placementGroup":"apart")" : "");
}

using Make = std::optional<Mutation> (*)(Cloud&, const Act&);

template <Kind K, std::string (*Name)(int)>
std::optional<Mutation> restore(Cloud& cloud, const Act& act) {
    const ObjectPtr gone = deleted(cloud, K, Name(act.subject));
    if (!gone) return std::nullopt;
    return Cloud::act(K, "default", gone->meta.id.str(), "restore");
}

std::string image_name(int number) {
    return fmt::format("image{}", number);
}

std::optional<Mutation> patch_vm(Cloud&, const Act& act) {
    const std::string name = vm_name(act.subject);
    switch (act.number % 5) {
        case 0:
            return Cloud::patch(Kind::vm, "default", name, fmt::format(R"({{"labels":{{"tier":"t{}"}}}})", act.object));
        case 1:
            return Cloud::patch(Kind::vm, "default", name,
                                fmt::format(R"({{"spec":{{"cpus":{}}}}})", 1 + act.object % 4));
        case 2:
            return Cloud::patch(
                Kind::vm, "default", name,
                fmt::format(R"({{"spec":{{"power":"{}"}}}})", act.object % 2 == 0 ? "stopped" : "running"));
        case 3:
            return Cloud::patch(Kind::vm, "default", name,
                                fmt::format(R"({{"spec":{{"deletionProtection":{}}}}})", act.object % 3 == 0));
        default:
            return Cloud::patch(Kind::vm, "default", name,
                                fmt::format(R"({{"spec":{{"nics":{{"eth1":{}}}}}}})",
                                            act.object % 2 == 0 ? R"({"network":"blue"})" : "null"));
    }
}

std::optional<Mutation> attach(Cloud&, const Act& act) {
    const std::string disk = fmt::format("d{}", act.object % 3);
    const std::string what =
        act.number % 2 == 0 ? fmt::format(R"("volume":"{}")", volume_name(act.object)) : R"("size":"1GiB")";
    return Cloud::act(Kind::vm, "default", vm_name(act.subject), "attach",
                      fmt::format(R"({{"disk":"{}",{}}})", disk, what));
}

std::optional<Mutation> detach(Cloud&, const Act& act) {
    const char* disk = act.object % 4 == 3 ? "data" : nullptr;
    return Cloud::act(Kind::vm, "default", vm_name(act.subject), "detach",
                      disk != nullptr ? R"({"disk":"data"})" : fmt::format(R"({{"disk":"d{}"}})", act.object % 3));
}

std::optional<Mutation> create_image(Cloud&, const Act& act) {
    constexpr const char* kUrls[] = {"http://images/bad", "http://images/good", "http://images/flaky"};
    const char* url = kUrls[act.number % 3];
    return Cloud::create(Kind::image, "default",
                         fmt::format(R"({{"name":"{}","spec":{{"url":"{}{}","retention":"10m"}}}})",
                                     image_name(act.subject), url, act.object));
}

std::optional<Mutation> cancel(Cloud& cloud, const Act&) {
    std::vector<Uuid> open;
    for (const auto& [id, task] : cloud.world().all(Kind::task)) open.push_back(id);
    if (open.empty()) return std::nullopt;
    std::ranges::sort(open);
    return Cloud::act(Kind::task, "", open.front().str(), "cancel");
}

std::optional<Mutation> keyed_create(Cloud&, const Act& act) {
    Mutation m = Cloud::create(Kind::volume, "default",
                               fmt::format(R"({{"name":"k{}","spec":{{"size":"1GiB"}}}})", act.subject));
    m.idempotency_key = fmt::format("key-{}", act.subject);
    m.body_hash = fmt::format("{}", act.number % 5 == 0);
    return m;
}

std::optional<Mutation> limit(Cloud&, const Act& act) {
    const std::string what = act.number % 3 == 0 ? fmt::format(R"("vms":{})", 2 + act.object) : R"("vms":null)";
    return Cloud::patch(Kind::project, "", "default", fmt::format(R"({{"spec":{{"limits":{{{}}}}}}})", what));
}

#define VM_ACTION(name, action)                                               \
    std::optional<Mutation> name(Cloud&, const Act& act) {                    \
        return Cloud::act(Kind::vm, "default", vm_name(act.subject), action); \
    }
VM_ACTION(start, "start")
VM_ACTION(stop, "stop")
VM_ACTION(pause, "pause")
VM_ACTION(resume, "resume")
VM_ACTION(reboot, "reboot")
VM_ACTION(reset, "reset")
#undef VM_ACTION

std::optional<Mutation> create_volume(Cloud&, const Act& act) {
    const char* from = act.number % 4 == 0 ? R"("image":"debian")" : R"("size":"1GiB")";
    return Cloud::create(
        Kind::volume, "default",
        fmt::format(R"({{"name":"{}","spec":{{{},"retention":"10m"}}}})", volume_name(act.subject), from));
}

std::optional<Mutation> create_forward(Cloud&, const Act& act) {
    return Cloud::create(Kind::portforward, "default",
                         fmt::format(R"({{"name":"f{}","spec":{{"vm":"{}","hostPort":{},"guestPort":80}}}})",
                                     act.subject, vm_name(act.object), 8000 + act.number % 3));
}

const std::map<std::string, Make, std::less<>>& makers() {
    static const std::map<std::string, Make, std::less<>> all = {
        {"vm-create",
         [](Cloud&, const Act& a) -> std::optional<Mutation> {
             return Cloud::create(Kind::vm, "default", vm_document(a));
         }},
        {"vm-start", start},
        {"vm-stop", stop},
        {"vm-force",
         [](Cloud&, const Act& a) -> std::optional<Mutation> {
             return Cloud::act(Kind::vm, "default", vm_name(a.subject), "stop", R"({"force":true})");
         }},
        {"vm-pause", pause},
        {"vm-resume", resume},
        {"vm-reboot", reboot},
        {"vm-reset", reset},
        {"vm-delete",
         [](Cloud&, const Act& a) -> std::optional<Mutation> {
             return Cloud::remove(Kind::vm, "default", vm_name(a.subject), a.number % 3 == 0);
         }},
        {"vm-expunge",
         [](Cloud& c, const Act& a) -> std::optional<Mutation> {
             const ObjectPtr gone = deleted(c, Kind::vm, vm_name(a.subject));
             if (!gone) return std::nullopt;
             return Cloud::remove(Kind::vm, "default", gone->meta.id.str(), true);
         }},
        {"vm-restore", restore<Kind::vm, vm_name>},
        {"vm-patch", patch_vm},
        {"vm-migrate",
         [](Cloud& c, const Act& a) -> std::optional<Mutation> {
             const auto host = static_cast<std::size_t>(a.object) % c.hosts.size();
             const std::string to = a.number % 3 == 0 ? "" : fmt::format(R"("host":"h{}",)", host);
             const char* cold = a.number % 5 == 4 ? "true" : "false";
             return Cloud::act(Kind::vm, "default", vm_name(a.subject), "migrate",
                               fmt::format(R"({{{}"cold":{}}})", to, cold));
         }},
        {"vm-attach", attach},
        {"vm-detach", detach},
        {"volume-create", create_volume},
        {"volume-delete",
         [](Cloud&, const Act& a) -> std::optional<Mutation> {
             return Cloud::remove(Kind::volume, "default", volume_name(a.subject), a.number % 2 == 0);
         }},
        {"volume-restore", restore<Kind::volume, volume_name>},
        {"network-create",
         [](Cloud&, const Act& a) -> std::optional<Mutation> {
             return Cloud::create(Kind::network, "default", fmt::format(R"({{"name":"{}"}})", network_name(a.subject)));
         }},
        {"network-delete",
         [](Cloud&, const Act& a) -> std::optional<Mutation> {
             return Cloud::remove(Kind::network, "default", network_name(a.subject));
         }},
        {"forward-create", create_forward},
        {"forward-delete",
         [](Cloud&, const Act& a) -> std::optional<Mutation> {
             return Cloud::remove(Kind::portforward, "default", fmt::format("f{}", a.subject));
         }},
        {"image-create", create_image},
        {"image-delete",
         [](Cloud&, const Act& a) -> std::optional<Mutation> {
             return Cloud::remove(Kind::image, "default", image_name(a.subject), a.number % 2 == 0);
         }},
        {"image-restore", restore<Kind::image, image_name>},
        {"task-cancel", cancel},
        {"keyed-create", keyed_create},
        {"project-limit", limit},
        {"host-cordon",
         [](Cloud& c, const Act& a) -> std::optional<Mutation> {
             const auto host = static_cast<std::size_t>(a.subject) % c.hosts.size();
             return Cloud::act(Kind::host, "", fmt::format("h{}", host), a.number % 2 == 0 ? "cordon" : "uncordon");
         }},
    };
    return all;
}

}  // namespace

std::string vm_name(int number) {
    return fmt::format("vm{}", number % kVms);
}
std::string volume_name(int number) {
    return fmt::format("disk{}", number % kVolumes);
}
std::string network_name(int number) {
    return fmt::format("net{}", number % kNetworks);
}

std::string text_of(const Act& act) {
    return fmt::format("{} {} {} {} {}", act.verb, act.subject, act.object, act.number, act.wait_ms);
}

std::optional<Act> parse_act(std::string_view line) {
    std::istringstream in{std::string(line)};
    Act act;
    if (!(in >> act.verb >> act.subject >> act.object >> act.number >> act.wait_ms)) return std::nullopt;
    return act;
}

const std::vector<WeightedVerb>& user_verbs() {
    static const std::vector<WeightedVerb> all = {
        {"vm-create", 18},     {"vm-start", 8},       {"vm-stop", 7},        {"vm-force", 4},
        {"vm-pause", 4},       {"vm-resume", 4},      {"vm-reboot", 3},      {"vm-reset", 3},
        {"vm-migrate", 6},     {"vm-delete", 8},      {"vm-expunge", 2},     {"vm-restore", 5},
        {"vm-patch", 8},       {"vm-attach", 6},      {"vm-detach", 5},      {"volume-create", 5},
        {"volume-delete", 4},  {"volume-restore", 3}, {"network-create", 2}, {"network-delete", 2},
        {"forward-create", 3}, {"forward-delete", 2}, {"image-create", 2},   {"image-delete", 2},
        {"image-restore", 1},  {"task-cancel", 1},    {"keyed-create", 3},   {"project-limit", 1},
        {"host-cordon", 2}};
    return all;
}

const std::vector<WeightedVerb>& fault_verbs() {
    static const std::vector<WeightedVerb> all = {{"orchestrator-crash", 10},
                                                  {"agent-crash", 8},
                                                  {"power-cut", 4},
                                                  {"freeze", 3},
                                                  {"cut", 6},
                                                  {"silence", 5},
                                                  {"partition", 4},
                                                  {"sync-fails", 3},
                                                  {"stall", 2},
                                                  {"disk-full", 2},
                                                  {"wall-jump", 2},
                                                  {"host-faults", 6},
                                                  {"guest-down", 6},
                                                  {"guest-crash", 4},
                                                  {"virsh-destroy", 3},
                                                  {"slow-wire", 3},
                                                  {"state-full", 2},
                                                  {"unmount", 2}};
    return all;
}

Act draw_act(SeededRandom& random, const std::vector<WeightedVerb>& verbs, int hosts, std::int64_t longest_wait_ms) {
    unsigned all = 0;
    for (const WeightedVerb& v : verbs) all += v.weight;
    auto at = random.below(all);
    const WeightedVerb* chosen = verbs.data();
    while (at >= chosen->weight) at -= (chosen++)->weight;
    Act act{.verb = chosen->verb};
    act.subject = static_cast<int>(random.below(static_cast<std::uint64_t>(std::max(kVms, hosts))));
    act.object = static_cast<int>(random.below(12));
    act.number = static_cast<std::int64_t>(random.below(1'000));
    act.wait_ms = random.chance(10) ? random.between(0, longest_wait_ms) : random.between(0, longest_wait_ms / 40);
    return act;
}

std::optional<Mutation> mutation_of(Cloud& cloud, const Act& act) {
    if (!cloud.orchestrator_runs()) return std::nullopt;
    const auto maker = makers().find(act.verb);
    return maker == makers().end() ? std::nullopt : maker->second(cloud, act);
}

namespace {

bool befall_guest(Cloud& cloud, const Act& act) {
    if (act.verb != "guest-down" && act.verb != "guest-crash" && act.verb != "virsh-destroy") return false;
    const Vm* vm = cloud.orchestrator_runs() ? cloud.vm(vm_name(act.subject)) : nullptr;
    SimulatedMachine* machine = vm != nullptr ? cloud.machine_of(*vm) : nullptr;
    if (machine == nullptr) return true;
    const VmId id{vm->meta.id};
    if (act.verb == "guest-down") machine->guest_shuts_down(id);
    if (act.verb == "guest-crash") machine->guest_crashes(id);
    if (act.verb == "virsh-destroy") machine->virsh_destroy(id);
    return true;
}

bool befall_orchestrator(Cloud& cloud, const Act& act) {
    const milliseconds span{act.number * 60};
    if (act.verb == "orchestrator-crash") {
        if (cloud.orchestrator_runs()) cloud.restart_orchestrator_in(act.object == 0 ? span * 10 : span / 10);
    } else if (act.verb == "sync-fails") {
        cloud.disk.sync_fails = cloud.orchestrator_runs();
    } else if (act.verb == "stall") {
        cloud.disk.stalled = true;
        cloud.time.after(span / 2, [&cloud] {
            if (cloud.disk.stalled) cloud.unstall();
        });
    } else if (act.verb == "disk-full") {
        cloud.disk.space.below_reserve = true;
        cloud.time.after(span, [&cloud] { cloud.disk.space.below_reserve = false; });
    } else if (act.verb == "wall-jump") {
        const std::int64_t hours = std::array<std::int64_t, 4>{-1, 1, -24 * 3650, 24 * 3650}[act.number % 4];
        cloud.jump_wall(hours * 3'600'000);
    } else if (act.verb == "slow-wire") {
        cloud.wire_rules.slow_ms = act.number * 3;
    } else {
        return false;
    }
    return true;
}

bool befall_host(Cloud& cloud, const Act& act) {
    const std::size_t host = static_cast<std::size_t>(act.subject) % cloud.hosts.size();
    SimulatedMachine& machine = *cloud.hosts[host].machine;
    const milliseconds span{act.number * 120};
    if (act.verb == "agent-crash") {
        if (machine.agent() != nullptr) cloud.crash_agent(host);
    } else if (act.verb == "power-cut") {
        if (machine.agent() != nullptr) cloud.power_cut(host, span);
    } else if (act.verb == "freeze") {
        cloud.freeze(host, span * 2);
    } else if (act.verb == "cut") {
        cloud.cut(host);
    } else if (act.verb == "silence") {
        cloud.silence(host, act.object % 2 == 0 ? Wire::agent : Wire::orchestrator);
    } else if (act.verb == "partition") {
        cloud.partition(host, true);
        cloud.time.after(span * 2, [&cloud, host] { cloud.partition(host, false); });
    } else if (act.verb == "host-faults") {
        machine.faults = act.number % 3 == 0 ? MachineFaults{}
                                             : MachineFaults{.fails = 5,
                                                             .lies = 4,
                                                             .hangs = 1,
                                                             .loses_hints = 20,
                                                             .late_hints = 10,
                                                             .no_space = 1,
                                                             .deaf_guests = 10,
                                                             .slow_ms = 300};
    } else if (act.verb == "state-full") {
        machine.fill_state_disk(true);
        cloud.time.after(span, [&machine] { machine.fill_state_disk(false); });
    } else if (act.verb == "unmount") {
        if (!cloud.orchestrator_runs()) return true;
        for (const auto& [id, pool] : cloud.world().all(Kind::pool)) machine.unmounted.insert(PoolId{id});
        cloud.time.after(span, [&machine] { machine.unmounted.clear(); });
    } else {
        return false;
    }
    return true;
}

}  // namespace

bool befall(Cloud& cloud, const Act& act) {
    return befall_guest(cloud, act) || befall_orchestrator(cloud, act) || befall_host(cloud, act);
}

}  // namespace axle::test
