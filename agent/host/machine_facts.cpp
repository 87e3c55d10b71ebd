#include "agent/host/machine_facts.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <sstream>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/host/port_owner.hpp"
#include "agent/hypervisor/accelerator.hpp"
#include "agent/hypervisor/qemu_user.hpp"
#include "agent/network/firewall.hpp"
#include "agent/network/foreign_firewall.hpp"
#include "agent/network/rtnetlink.hpp"
#include "common/base/file.hpp"
#include "common/base/mount.hpp"
#include "common/base/now.hpp"
#include "common/base/unix_address.hpp"

namespace axle {
namespace {

// Empty: somebody answers there.
std::string why_no_answer(const std::string& path) {
    const auto address = unix_address(path);
    if (!address) return "its path is too long for a socket";
    const Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0)
        return system_error("can't be reached", errno).message;
    return "";
}

FolderFacts look_at(const std::string& path) {
    FolderFacts out{.path = path};
    struct statvfs space {};
    if (::statvfs(path.c_str(), &space) != 0) {
        out.trouble = system_error("can't be looked at", errno).message;
        return out;
    }
    out.free = static_cast<std::int64_t>(space.f_bavail) * static_cast<std::int64_t>(space.f_frsize);
    out.size = static_cast<std::int64_t>(space.f_blocks) * static_cast<std::int64_t>(space.f_frsize);
    const auto durable = check_keeps_synced(path);
    if (!durable)
        out.not_durable = durable.error().message;
    else if (*durable)
        out.remark = **durable;
    return out;
}

bool is_synchronised() {
    timex state{};
    const int answer = ::adjtimex(&state);  // no modes: asks only
    return answer >= 0 && answer != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
}

// The host's own name, unless files alone tell its address.
std::string name_without_address() {
    utsname names{};
    ::uname(&names);
    const std::string name = names.nodename;
    const auto says = [](const char* path, std::string_view word) {
        std::istringstream words(read_file(path, 1 << 20).value_or(""));
        for (std::string each; words >> each;) {
            if (each == word) return true;
        }
        return false;
    };
    return says("/etc/hosts", name) || says("/etc/nsswitch.conf", "myhostname") ? "" : name;
}

std::vector<std::string> find_resolvers() {
    std::vector<std::string> out;
    const std::string text = read_file("/etc/resolv.conf", 1 << 16).value_or("");
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        const std::string line = text.substr(at, end - at);
        at = end + 1;
        if (!line.starts_with("nameserver")) continue;
        const auto value = line.find_first_not_of(" \t", 10);
        if (value != std::string::npos) out.push_back(line.substr(value));
    }
    return out;
}

// Names of the documents that the agent keeps: what carries one of their ids has an owner.
class Owners {
  public:
    explicit Owners(const std::string& state_folder)
        : names_(list_directory(state_folder + "/desired").value_or(std::vector<std::string>{})) {}
    bool know(const std::string& id) const {
        return std::ranges::any_of(names_, [&](const std::string& name) { return name.find(id) != std::string::npos; });
    }
    bool none() const { return names_.empty(); }

  private:
    std::vector<std::string> names_;
};

// "axle network ID" of a bridge, "axle nic ID NIC" of a tap.
std::optional<std::string> id_in_mark(const Link& link) {
    for (const std::string mark : {"axle network ", "axle nic "}) {
        const bool named = mark == "axle nic " ? link.name.starts_with("axt")
                                               : link.name.starts_with("axb") || link.name.starts_with("axv");
        if (named && link.alias.starts_with(mark))
            return link.alias.substr(mark.size(), link.alias.find(' ', mark.size()) - mark.size());
    }
    return std::nullopt;
}

void add_interfaces(const Owners& owners, MachineFacts& facts) {
    const auto rtnl = Rtnetlink::open();
    const auto links = rtnl ? (*rtnl)->links() : fail(rtnl.error());
    for (const Link& link : links ? *links : std::vector<Link>{}) {
        const auto id = id_in_mark(link);
        if (!id && link.kind == "bridge") facts.bridges.push_back(link.name);
        if (id && !owners.know(*id)) facts.leftovers.push_back(fmt::format("interface {} ({})", link.name, link.alias));
    }
}

void add_firewalls(const Owners& owners, MachineFacts& facts) {
    const auto chains = read_foreign_rules();
    const auto path = chains ? read_host_path() : fail(chains.error());
    if (!path) {
        facts.firewalls_trouble = path.error().message;
        return;
    }
    // Any network of type nat: only the prefix of its bridge's name is in others' rules.
    const NetworkDocument any{.type = NetworkType::nat, .bridge = "axb000000000000", .gateway = "10.90.0.1"};
    for (const ForeignBlock& block : foreign_blocks(*chains, any, *path))
        facts.firewalls.push_back({block.message, block.remedy});
    if (!owners.none()) return;
    const auto listing = Firewall().list_ruleset();
    if (listing && listing->find("\"table\": \"axle\"") != std::string::npos)
        facts.leftovers.emplace_back("firewall table axle");
}

void add_dnsmasq(const Owners& owners, const std::string& host_folder, MachineFacts& facts) {
    const std::string folder = host_folder + "/dnsmasq";
    const auto known = list_directory(folder);
    for (const std::string& id : known ? *known : std::vector<std::string>{}) {
        if (!owners.know(id)) facts.leftovers.push_back(fmt::format("DHCP and DNS of a network ({}/{})", folder, id));
    }
}

}  // namespace

MachineFacts gather_machine_facts(const DoctorOptions& options) {
    MachineFacts facts;
    const AcceleratorFinding accelerator = choose_accelerator(options.accelerator, find_accelerator());
    facts.kvm = accelerator.accelerator == Accelerator::kvm;
    facts.accelerator_why = accelerator.why;
    if (const auto guests_user = find_qemu_user()) facts.kvm_shut = why_shut_to(guests_user->uid);
    facts.libvirt_socket = options.libvirt_socket;
    facts.libvirt_trouble = why_no_answer(options.libvirt_socket);
    facts.apparmor = read_file("/sys/module/apparmor/parameters/enabled", 16).value_or("").starts_with('Y');
    for (const std::string& folder : options.folders) facts.folders.push_back(look_at(folder));
    const std::chrono::sys_time<milliseconds> now{milliseconds{wall_now().ms}};
    const auto today = std::chrono::floor<std::chrono::days>(now);
    facts.clock_year = static_cast<int>(std::chrono::year_month_day(today).year());
    facts.clock_synchronised = is_synchronised();
    for (const int port : options.ports) facts.ports.push_back({port, foreign_owner_of(port)});
    facts.resolvers = find_resolvers();
    facts.nameless = name_without_address();
    const Owners owners(options.state_folder);
    add_interfaces(owners, facts);
    add_firewalls(owners, facts);
    add_dnsmasq(owners, options.host_folder, facts);
    return facts;
}

}  // namespace axle
