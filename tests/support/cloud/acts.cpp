#include "tests/support/cloud/acts.hpp"

#include <algorithm>

#include "common/base/ensure.hpp"
#include "tests/support/cloud/plain_kinds.hpp"

namespace axle::test {
namespace {

constexpr int kNetworks = 3, kStrays = 3;

// What else a new VM names: one thing at most.
std::string vm_ties(const Act& act) {
    if (act.number % 6 == 5) return R"(,"placementGroup":"apart")";
    const std::string tie = vm_tie(act);
    if (tie.starts_with("group")) return fmt::format(R"(,"placementGroup":"{}")", tie);
    if (tie.starts_with("flavor")) return fmt::format(R"(,"flavor":"{}")", tie);
    return tie.empty() ? "" : fmt::format(R"(,"sshKeys":["{}"])", tie);
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
        vm_ties(act));
}

using Make = std::optional<Mutation> (*)(const Subjects&, const Act&);

template <Kind K, std::string (*Name)(int)>
std::optional<Mutation> restore(const Subjects& subjects, const Act& act) {
    const auto gone = subjects.deleted(K, Name(act.subject));
    if (!gone) return std::nullopt;
    return Cloud::act(K, "default", gone->str(), "restore");
}

std::optional<Mutation> patch_vm(const Subjects&, const Act& act) {
    const std::string name = vm_name(act.subject);
    switch (act.number % kVmPatches) {
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
        case 4:
            return Cloud::patch(Kind::vm, "default", name,
                                fmt::format(R"({{"spec":{{"nics":{{"eth1":{}}}}}}})",
                                            act.object % 2 == 0 ? R"({"network":"blue"})" : "null"));
        default:
            return Cloud::patch(
                Kind::vm, "default", name,
                fmt::format(R"({{"spec":{{"placementGroup":{}}}}})",
                            act.object % 3 == 0 ? "null" : "\"" + plain_name("group", act.object) + "\""));
    }
}

std::optional<Mutation> patch_volume(const Subjects&, const Act& act) {
    return Cloud::patch(Kind::volume, "default", volume_name(act.subject),
                        act.number % 2 == 0 ? fmt::format(R"({{"labels":{{"tier":"t{}"}}}})", act.object)
                                            : fmt::format(R"({{"spec":{{"size":"{}GiB"}}}})", 1 + act.object % 3));
}

std::optional<Mutation> patch_network(const Subjects&, const Act& act) {
    return Cloud::patch(
        Kind::network, "default", network_name(act.subject),
        act.number % 2 == 0 ? R"({"spec":{"dns":["192.0.2.53"],"domain":"example"}})" : R"({"spec":{"dns":null}})");
}

std::optional<Mutation> zone_of_host(const Subjects& subjects, const Act& act) {
    const std::string zone = act.object % 3 == 0 ? "null" : "\"" + plain_name("zone", act.object) + "\"";
    return Cloud::patch(Kind::host, "", subjects.host(act.subject), fmt::format(R"({{"spec":{{"zone":{}}}}})", zone));
}

template <Kind K, std::string (*Name)(int)>
std::optional<Mutation> restore_as(const Subjects& subjects, const Act& act) {
    const auto gone = subjects.deleted(K, Name(act.subject));
    if (!gone) return std::nullopt;
    return Cloud::act(K, "default", gone->str(), "restore", fmt::format(R"({{"name":"{}"}})", Name(act.object)));
}

std::optional<Mutation> attach(const Subjects&, const Act& act) {
    const std::string disk = fmt::format("d{}", act.object % 3);
    const std::string what =
        act.number % 2 == 0 ? fmt::format(R"("volume":"{}")", volume_name(act.object)) : R"("size":"1GiB")";
    return Cloud::act(Kind::vm, "default", vm_name(act.subject), "attach",
                      fmt::format(R"({{"disk":"{}",{}}})", disk, what));
}

std::optional<Mutation> detach(const Subjects&, const Act& act) {
    const char* disk = act.object % 4 == 3 ? "data" : nullptr;
    return Cloud::act(Kind::vm, "default", vm_name(act.subject), "detach",
                      disk != nullptr ? R"({"disk":"data"})" : fmt::format(R"({{"disk":"d{}"}})", act.object % 3));
}

std::optional<Mutation> create_image(const Subjects&, const Act& act) {
    constexpr const char* kUrls[] = {"http://images/bad", "http://images/good", "http://images/flaky"};
    const char* url = kUrls[act.number % 3];
    return Cloud::create(Kind::image, "default",
                         fmt::format(R"({{"name":"{}","spec":{{"url":"{}{}","retention":"10m"}}}})",
                                     image_name(act.subject), url, act.object));
}

std::optional<Mutation> cancel(const Subjects& subjects, const Act&) {
    std::vector<Uuid> open = subjects.open_tasks();
    if (open.empty()) return std::nullopt;
    std::ranges::sort(open);
    return Cloud::act(Kind::task, "", open.front().str(), "cancel");
}

std::optional<Mutation> keyed_create(const Subjects&, const Act& act) {
    Mutation m = Cloud::create(Kind::volume, "default",
                               fmt::format(R"({{"name":"k{}","spec":{{"size":"1GiB"}}}})", act.subject));
    m.idempotency_key = fmt::format("key-{}", act.subject);
    m.body_hash = fmt::format("{}", act.number % 5 == 0);
    return m;
}

std::optional<Mutation> limit(const Subjects&, const Act& act) {
    const std::string what = act.number % 3 == 0 ? fmt::format(R"("vms":{})", 2 + act.object) : R"("vms":null)";
    return Cloud::patch(Kind::project, "", "default", fmt::format(R"({{"spec":{{"limits":{{{}}}}}}})", what));
}

#define VM_ACTION(name, action)                                               \
    std::optional<Mutation> name(const Subjects&, const Act& act) {           \
        return Cloud::act(Kind::vm, "default", vm_name(act.subject), action); \
    }
VM_ACTION(start, "start")
VM_ACTION(stop, "stop")
VM_ACTION(pause, "pause")
VM_ACTION(resume, "resume")
VM_ACTION(reboot, "reboot")
VM_ACTION(reset, "reset")
#undef VM_ACTION

std::optional<Mutation> create_volume(const Subjects&, const Act& act) {
    const char* from = act.number % 4 == 0 ? R"("image":"debian")" : R"("size":"1GiB")";
    const std::string in = volume_pool(act);
    return Cloud::create(Kind::volume, "default",
                         fmt::format(R"({{"name":"{}","spec":{{{},"retention":"10m"{}}}}})", volume_name(act.subject),
                                     from, in.empty() ? "" : fmt::format(R"(,"pool":"{}")", in)));
}

std::optional<Mutation> create_forward(const Subjects&, const Act& act) {
    return Cloud::create(Kind::portforward, "default",
                         fmt::format(R"({{"name":"f{}","spec":{{"vm":"{}","hostPort":{},"guestPort":80}}}})",
                                     act.subject, vm_name(act.object), 8000 + act.number % 3));
}

const std::map<std::string, Make, std::less<>>& makers() {
    static const std::map<std::string, Make, std::less<>> all = {
        {"vm-create",
         [](const Subjects&, const Act& a) -> std::optional<Mutation> {
             return Cloud::create(Kind::vm, "default", vm_document(a));
         }},
        {"vm-start", start},
        {"vm-stop", stop},
        {"vm-force",
         [](const Subjects&, const Act& a) -> std::optional<Mutation> {
             return Cloud::act(Kind::vm, "default", vm_name(a.subject), "stop", R"({"force":true})");
         }},
        {"vm-pause", pause},
        {"vm-resume", resume},
        {"vm-reboot", reboot},
        {"vm-reset", reset},
        {"vm-delete",
         [](const Subjects&, const Act& a) -> std::optional<Mutation> {
             return Cloud::remove(Kind::vm, "default", vm_name(a.subject), a.number % 3 == 0);
         }},
        {"vm-expunge",
         [](const Subjects& s, const Act& a) -> std::optional<Mutation> {
             const auto gone = s.deleted(Kind::vm, vm_name(a.subject));
             if (!gone) return std::nullopt;
             return Cloud::remove(Kind::vm, "default", gone->str(), true);
         }},
        {"vm-restore", restore<Kind::vm, vm_name>},
        {"vm-restore-as", restore_as<Kind::vm, vm_name>},
        {"vm-patch", patch_vm},
        {"vm-migrate",
         [](const Subjects& s, const Act& a) -> std::optional<Mutation> {
             const std::string to = a.number % 3 == 0 ? "" : fmt::format(R"("host":"{}",)", s.host(a.object));
             const char* cold = a.number % 5 == 4 ? "true" : "false";
             return Cloud::act(Kind::vm, "default", vm_name(a.subject), "migrate",
                               fmt::format(R"({{{}"cold":{}}})", to, cold));
         }},
        {"vm-attach", attach},
        {"vm-detach", detach},
        {"volume-create", create_volume},
        {"volume-delete",
         [](const Subjects&, const Act& a) -> std::optional<Mutation> {
             return Cloud::remove(Kind::volume, "default", volume_name(a.subject), a.number % 2 == 0);
         }},
        {"volume-restore", restore<Kind::volume, volume_name>},
        {"volume-restore-as", restore_as<Kind::volume, volume_name>},
        {"volume-patch", patch_volume},
        {"network-patch", patch_network},
        {"network-create",
         [](const Subjects&, const Act& a) -> std::optional<Mutation> {
             return Cloud::create(Kind::network, "default", fmt::format(R"({{"name":"{}"}})", network_name(a.subject)));
         }},
        {"network-delete",
         [](const Subjects&, const Act& a) -> std::optional<Mutation> {
             return Cloud::remove(Kind::network, "default", network_name(a.subject));
         }},
        {"forward-create", create_forward},
        {"forward-patch",
         [](const Subjects&, const Act& a) -> std::optional<Mutation> {
             return Cloud::patch(Kind::portforward, "default", fmt::format("f{}", a.subject),
                                 fmt::format(R"({{"spec":{{"guestPort":{}}}}})", 80 + a.object));
         }},
        {"forward-delete",
         [](const Subjects&, const Act& a) -> std::optional<Mutation> {
             return Cloud::remove(Kind::portforward, "default", fmt::format("f{}", a.subject));
         }},
        {"image-create", create_image},
        {"image-delete",
         [](const Subjects&, const Act& a) -> std::optional<Mutation> {
             return Cloud::remove(Kind::image, "default", image_name(a.subject), a.number % 2 == 0);
         }},
        {"image-restore", restore<Kind::image, image_name>},
        {"image-import",
         [](const Subjects&, const Act& a) -> std::optional<Mutation> {
             return Cloud::act(Kind::image, "default", image_name(a.subject), "import");
         }},
        {"image-patch",
         [](const Subjects&, const Act& a) -> std::optional<Mutation> {
             return Cloud::patch(Kind::image, "default", image_name(a.subject),
                                 fmt::format(R"({{"spec":{{"description":"{}"}}}})", a.object));
         }},
        {"task-cancel", cancel},
        {"keyed-create", keyed_create},
        {"project-limit", limit},
        {"stray-adopt",
         [](const Subjects& s, const Act& a) -> std::optional<Mutation> {
             const std::string host = s.host(a.subject);
             return Cloud::adopt(host, stray_id(host, a), stray_name(stray_id(host, a)));
         }},
        {"stray-remove",
         [](const Subjects& s, const Act& a) -> std::optional<Mutation> {
             const std::string host = s.host(a.subject);
             return Cloud::remove_unclaimed(host, stray_id(host, a));
         }},
        {"host-cordon",
         [](const Subjects& s, const Act& a) -> std::optional<Mutation> {
             return Cloud::act(Kind::host, "", s.host(a.subject), a.number % 2 == 0 ? "cordon" : "uncordon");
         }},
        {"host-drain",
         [](const Subjects& s, const Act& a) -> std::optional<Mutation> {
             return Cloud::act(Kind::host, "", s.host(a.subject), "drain",
                               fmt::format(R"({{"parallel":{}}})", 1 + a.number % 3));
         }},
        {"host-undrain",
         [](const Subjects& s, const Act& a) -> std::optional<Mutation> {
             return Cloud::act(Kind::host, "", s.host(a.subject), "undrain",
                               fmt::format(R"({{"takeBack":{}}})", a.number % 2 == 0));
         }},
        {"host-zone", zone_of_host},
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
std::string image_name(int number) {
    return fmt::format("image{}", number % kImages);
}
std::string network_name(int number) {
    return fmt::format("net{}", number % kNetworks);
}

std::string vm_tie(const Act& act) {
    constexpr const char* kTies[] = {"group", "flavor", "key"};
    const auto which = act.number % 20;
    return which < 3 && act.number % 6 != 5 ? plain_name(kTies[which], act.object) : "";
}
std::string volume_pool(const Act& act) {
    return act.number % 5 == 2 ? plain_name("pool", act.object) : "";
}

VolumeId stray_id(const std::string& host, const Act& act) {
    const std::size_t digits = host.find_last_not_of("0123456789") + 1;
    const std::string number = digits == host.size() || host.size() - digits > 4 ? "0" : host.substr(digits);
    return VolumeId{*Uuid::parse(fmt::format("01890000-0000-7000-9000-{:0>10}{:02x}", number, act.object % kStrays))};
}
std::string stray_name(const Uuid& stray) {
    return "stray-" + stray.str().substr(24);
}

std::optional<Mutation> mutation_of(const Subjects& subjects, const Act& act) {
    if (auto plain = plain_mutation(act)) return plain;
    const auto maker = makers().find(act.verb);
    return maker == makers().end() ? std::nullopt : maker->second(subjects, act);
}

namespace {

class CloudSubjects final : public Subjects {
  public:
    explicit CloudSubjects(const Cloud& cloud) : cloud_(cloud) {}
    std::optional<Uuid> deleted(Kind kind, const std::string& name) const override {
        std::optional<Uuid> found;
        for (const auto& [id, object] : cloud_.world().all(kind)) {
            if (object->is_deleted() && object->meta.name == name && (!found || *found < id)) found = id;
        }
        return found;
    }
    std::vector<Uuid> open_tasks() const override {
        std::vector<Uuid> open;
        for (const auto& [id, task] : cloud_.world().all(Kind::task)) open.push_back(id);
        return open;
    }
    std::string host(int number) const override {
        return fmt::format("h{}", static_cast<std::size_t>(number) % cloud_.hosts.size());
    }

  private:
    const Cloud& cloud_;
};

}  // namespace

std::optional<Mutation> mutation_of(const Cloud& cloud, const Act& act) {
    if (!cloud.orchestrator_runs()) return std::nullopt;
    return mutation_of(CloudSubjects(cloud), act);
}

}  // namespace axle::test
