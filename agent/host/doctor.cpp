#include "agent/host/doctor.hpp"

#include <algorithm>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "agent/host/machine_facts.hpp"
#include "common/base/units.hpp"

namespace axle {
namespace {

using Level = Finding::Level;

constexpr std::int64_t kFreeLow = 10 * kGiB, kFreeNone = kGiB;
constexpr std::int64_t kYearFirst = 2024, kYearLast = 2100;  // a clock outside stood still or jumped

std::string gib(std::int64_t bytes) {
    return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / static_cast<double>(kGiB));
}

Finding accelerator(const MachineFacts& m) {
    if (m.kvm) return {"accelerator", Level::ok, "guests run with kvm: " + m.accelerator_why};
    return {"accelerator", Level::warning,
            "guests run without hardware help, some ten times slower: " + m.accelerator_why,
            "switch virtualisation on in the firmware (VT-x, AMD-V; in a VM: nested virtualisation) and load kvm_intel "
            "or kvm_amd"};
}
void kvm_device(const MachineFacts& m, std::vector<Finding>& out) {
    if (m.kvm_shut.empty()) return;
    out.push_back(
        {"kvm device", Level::warning,
         fmt::format("{}, so the user who runs guests can't open it: libvirt starts a QEMU to ask what it can "
                     "do at every step, and each change of a guest takes seconds",
                     m.kvm_shut),
         "chgrp kvm /dev/kvm && chmod 0660 /dev/kvm (udev does so where it runs)"});
}
Finding libvirt(const MachineFacts& m) {
    if (m.libvirt_trouble.empty()) return {"libvirt", Level::ok, m.libvirt_socket + " answers"};
    return {"libvirt", Level::failed, fmt::format("{}: {}", m.libvirt_socket, m.libvirt_trouble),
            "systemctl enable --now libvirtd.service (package libvirt-daemon-system)"};
}
Finding apparmor(const MachineFacts& m) {
    if (m.apparmor) return {"apparmor", Level::ok, "confines QEMU"};
    return {"apparmor", Level::warning, "AppArmor is off: a guest that breaks out of QEMU is held by its user only",
            "boot with apparmor=1 security=apparmor, and install the package apparmor"};
}
Finding bridges(const MachineFacts& m) {
    if (!m.bridges.empty()) return {"bridges", Level::ok, fmt::format("{}", fmt::join(m.bridges, ", "))};
    return {"bridges", Level::ok, "the host has none of its own: networks of type nat work, bridged ones need one"};
}
void firewalls(const MachineFacts& m, std::vector<Finding>& out) {
    for (const ForeignFacts& each : m.firewalls) out.push_back({"firewall", Level::failed, each.message, each.remedy});
    if (!m.firewalls_trouble.empty())
        out.push_back(
            {"firewall", Level::warning, "others' rules can't be read: " + m.firewalls_trouble, "run as root"});
    else if (m.firewalls.empty())
        out.push_back({"firewall", Level::ok, "nobody else's rules are in the way of guests"});
}
void folder(const FolderFacts& f, std::vector<Finding>& out) {
    if (!f.trouble.empty()) {
        out.push_back({"space", Level::warning, fmt::format("{}: {}", f.path, f.trouble), "make it, or mount it"});
        return;
    }
    Finding space{"space", Level::ok, fmt::format("{} has {} of {} free", f.path, gib(f.free), gib(f.size))};
    if (f.free < kFreeLow) {
        space.level = f.free < kFreeNone ? Level::failed : Level::warning;
        space.fix = "make room: remove images and volumes that nobody needs, or move the pool to a larger disk";
    }
    out.push_back(std::move(space));
    if (!f.not_durable.empty())
        out.push_back({"durability", Level::failed, fmt::format("{}: {}", f.path, f.not_durable),
                       "move it to a file system on a disk (ext4, xfs) mounted with barriers"});
    else if (!f.remark.empty())
        out.push_back({"durability", Level::warning, fmt::format("{}: {}", f.path, f.remark)});
    else
        out.push_back({"durability", Level::ok, f.path + " keeps what is synced"});
}
Finding clock_of(const MachineFacts& m) {
    if (m.clock_year < kYearFirst || m.clock_year > kYearLast)
        return {"clock", Level::failed, fmt::format("the clock says {}: certificates will be refused", m.clock_year),
                "timedatectl set-ntp true"};
    if (!m.clock_synchronised)
        return {"clock", Level::warning, "nobody keeps the clock right: certificates and logs depend on it",
                "timedatectl set-ntp true (package systemd-timesyncd or chrony)"};
    return {"clock", Level::ok, "synchronised"};
}
Finding port_of(const PortFacts& p) {
    const std::string name = fmt::format("port {}", p.port);
    if (p.taken_by.empty()) return {name, Level::ok, "free or ours"};
    return {name, Level::failed, fmt::format("{} listens there", p.taken_by),
            "stop it, or let it listen on another port"};
}
Finding resolver(const MachineFacts& m) {
    if (!m.resolvers.empty()) return {"resolver", Level::ok, fmt::format("{}", fmt::join(m.resolvers, ", "))};
    return {"resolver", Level::warning, "/etc/resolv.conf names no server: guests can look up their neighbours only",
            "name one there: nameserver ADDRESS"};
}
void leftovers(const MachineFacts& m, std::vector<Finding>& out) {
    for (const std::string& each : m.leftovers)
        out.push_back({"leftover", Level::warning, each + " belongs to nothing that this host keeps",
                       "it goes when the agent runs: systemctl start axle-agent (or axle-allinone)"});
    if (m.leftovers.empty()) out.push_back({"leftover", Level::ok, "nothing of ours is without an owner"});
}

const char* word_of(Level level) {
    if (level == Level::ok) return "ok";
    return level == Level::warning ? "warning" : "error";
}

}  // namespace

std::vector<Finding> judge(const MachineFacts& m) {
    std::vector<Finding> out{accelerator(m)};
    kvm_device(m, out);
    out.insert(out.end(), {libvirt(m), apparmor(m), bridges(m)});
    firewalls(m, out);
    for (const FolderFacts& each : m.folders) folder(each, out);
    out.push_back(clock_of(m));
    for (const PortFacts& each : m.ports) out.push_back(port_of(each));
    out.push_back(resolver(m));
    if (!m.nameless.empty())
        out.push_back(
            {"own name", Level::warning,
             fmt::format("/etc/hosts does not have this machine's name: libvirt looks \"{}\" up at each start "
                         "of a guest, and waits where no name server answers",
                         m.nameless),
             fmt::format("echo '127.0.1.1 {}' >>/etc/hosts", m.nameless)});
    leftovers(m, out);
    return out;
}

std::vector<Finding> examine(const DoctorOptions& options) {
    return judge(gather_machine_facts(options));
}

std::string as_json(const std::vector<Finding>& findings) {
    nlohmann::json checks = nlohmann::json::array();
    for (const Finding& f : findings)
        checks.push_back({{"name", f.name}, {"level", word_of(f.level)}, {"message", f.cause}, {"fix", f.fix}});
    // Names of files and processes needn't be UTF-8.
    return nlohmann::json{{"checks", checks}}.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string as_table(const std::vector<Finding>& findings) {
    std::string out;
    for (const Finding& f : findings) {
        out += fmt::format("{:<8} {:<12} {}\n", word_of(f.level), f.name, f.cause);
        if (!f.fix.empty()) out += fmt::format("{:>22}{}\n", "=> ", f.fix);
    }
    return out;
}

int exit_status(const std::vector<Finding>& findings) {
    return std::ranges::any_of(findings, [](const Finding& f) { return f.level == Level::failed; }) ? 1 : 0;
}

}  // namespace axle
