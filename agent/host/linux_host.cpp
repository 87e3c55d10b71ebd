#include "agent/host/linux_host.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <sstream>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/host/hardware.hpp"
#include "agent/host/kernel_text.hpp"
#include "agent/hypervisor/accelerator.hpp"
#include "agent/network/network.hpp"
#include "agent/network/rtnetlink.hpp"
#include "common/base/file.hpp"
#include "common/base/mount.hpp"
#include "common/model/format.hpp"

namespace axle {
namespace {

constexpr const char* kSys = "/sys";

// The value behind `key` at a line's start: "NAME=value" or "name : value".
std::string value_in(const std::string& text, std::string_view key, char separator) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with(key)) continue;
        const auto at = line.find(separator);
        if (at == std::string::npos) continue;
        std::string value = line.substr(at + 1);
        while (!value.empty() && (value.front() == ' ' || value.front() == '"' || value.front() == '\t'))
            value.erase(0, 1);
        while (!value.empty() && (value.back() == '"' || value.back() == ' ')) value.pop_back();
        return value;
    }
    return "";
}

std::int64_t kibibytes_in(const std::string& meminfo, std::string_view key) {
    const std::string text = value_in(meminfo, key, ':');
    std::int64_t kib = 0;
    std::from_chars(text.data(), text.data() + text.size(), kib);
    return kib * 1024;
}

// What a person would look for in `ip link`: neither ours nor what comes and goes with containers.
bool is_worth_telling(const Link& link) {
    return link.name != "lo" && link.kind != "veth" && link.kind != "tun" && !is_our_name(link.name);
}

HostInterface interface_of(const Link& link) {
    return {.name = link.name,
            .mac = link.mac,
            .state = read_link_state(kSys, link.name),
            .mtu = link.mtu,
            .speed = read_link_speed(kSys, link.name)};
}

void add_hardware_facts(HostFacts& facts) {
    const std::string processors = kernel_text("/proc/cpuinfo");
    facts.cpu_model = value_in(processors, "model name", ':');
    facts.cpu_flags = value_in(processors, "flags", ':');
    facts.numa = read_numa_nodes(kSys);
    facts.hugepages = read_hugepages(kSys);
    facts.disks = read_block_devices(kSys);
}

void add_network_facts(HostFacts& facts) {
    const auto rtnl = Rtnetlink::open();
    if (!rtnl) return;
    const auto links = (*rtnl)->links();
    const auto addresses = (*rtnl)->addresses();
    const auto routes = (*rtnl)->routes();
    if (!links || !addresses || !routes) return;
    const auto is_ours = [&](int index) {
        const auto found = std::ranges::find(*links, index, &Link::index);
        return found != links->end() && found->name.starts_with("axb") && found->alias.starts_with("axle ");
    };
    for (const Link& link : *links) {
        if (is_worth_telling(link)) facts.interfaces.push_back(interface_of(link));
        if (link.kind == "bridge" && !is_ours(link.index)) facts.bridges.push_back(link.name);
    }
    for (const LinkAddress& address : *addresses) {
        if (!is_ours(address.index) && !address.cidr.starts_with("127.")) facts.addresses.push_back(address.cidr);
    }
    for (const Route& route : *routes) {
        const auto range = parse_cidr(route.destination);
        if (is_ours(route.out_index) || !range || range->prefix == 0) continue;
        facts.routes.push_back(route.destination);
        const auto link = std::ranges::find(*links, route.out_index, &Link::index);
        if (link != links->end()) facts.route_links[route.destination] = link->name;
    }
}

// The address that the host would speak from to the world; nothing is sent. Without a way out: the first it has.
std::string own_address(const std::vector<std::string>& addresses) {
    const Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in world{}, own{};
    world.sin_family = AF_INET;
    world.sin_port = htons(9);
    world.sin_addr.s_addr = htonl(0xc6336401);  // 198.51.100.1, of documentation
    socklen_t size = sizeof own;
    if (fd && ::connect(fd.get(), reinterpret_cast<sockaddr*>(&world), sizeof world) == 0 &&
        ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&own), &size) == 0)
        return format_ipv4(ntohl(own.sin_addr.s_addr));
    return addresses.empty() ? "" : addresses.front().substr(0, addresses.front().find('/'));
}

}  // namespace

std::string read_boot_id() {
    return kernel_text("/proc/sys/kernel/random/boot_id");
}

HostFacts read_host_facts() {
    HostFacts facts;
    utsname names{};
    ::uname(&names);
    facts.hostname = names.nodename;
    std::ranges::transform(facts.hostname, facts.hostname.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (!is_dotted_name(facts.hostname)) facts.hostname = "host";
    facts.machine_id = kernel_text("/etc/machine-id");
    facts.os = value_in(kernel_text("/etc/os-release"), "PRETTY_NAME", '=');
    facts.kernel = names.release;
    facts.agent = AXLE_VERSION;
    facts.cpus = ::sysconf(_SC_NPROCESSORS_ONLN);
    facts.memory = kibibytes_in(kernel_text("/proc/meminfo"), "MemTotal");
    add_hardware_facts(facts);
    add_network_facts(facts);
    facts.underlay = own_address(facts.addresses);
    return facts;
}

std::vector<Condition> read_host_conditions(const std::vector<std::string>& folders,
                                            std::optional<Accelerator> accelerator) {
    std::vector<Condition> out;
    const auto holds = [&](const char* type, const char* reason, std::string message) {
        out.push_back({.type = type, .status = true, .reason = reason, .message = std::move(message)});
    };
    if (const auto found = choose_accelerator(accelerator, find_accelerator()); found.accelerator != Accelerator::kvm)
        holds("NoAccelerator", "NoKvm", "guests run without hardware help: " + found.why);
    for (const std::string& folder : folders) {
        if (!file_exists(folder)) continue;
        if (const auto durable = check_keeps_synced(folder); !durable)
            holds("NotDurable", "State", fmt::format("{}: {}", folder, durable.error().message));
    }
    return out;
}

LinuxHost::LinuxHost(Workers& workers, Executor& core, std::vector<std::string> folders,
                     std::optional<Accelerator> accelerator, std::function<int()> data_port)
    : workers_(workers),
      core_(core),
      folders_(std::move(folders)),
      accelerator_(accelerator),
      data_port_(std::move(data_port)) {}

void LinuxHost::facts(Answer<HostFacts> answer) {
    auto shared = std::make_shared<Answer<HostFacts>>(std::move(answer));
    const bool taken = workers_.submit("host", [this, shared] {
        HostFacts facts = read_host_facts();
        facts.conditions = read_host_conditions(folders_, accelerator_);
        if (data_port_) facts.data_port = data_port_();
        core_.post([shared, facts = std::move(facts)]() mutable { (*shared)(std::move(facts)); });
    });
    if (!taken) core_.post([shared] { (*shared)(fail(Code::exhausted, "too much is waiting")); });
}

void LinuxHost::load(Answer<HostLoad> answer) {
    auto shared = std::make_shared<Answer<HostLoad>>(std::move(answer));
    const bool taken = workers_.submit("host", [this, shared] {
        HostLoad load{.memory_free = kibibytes_in(kernel_text("/proc/meminfo"), "MemAvailable")};
        std::istringstream line(kernel_text("/proc/stat"));
        std::string word;
        line >> word;
        std::int64_t all = 0, idle = 0, value = 0;
        for (int column = 0; column < 8 && line >> value; ++column) {
            all += value;
            if (column == 3 || column == 4) idle += value;
        }
        if (all > all_)  // the first time: since the kernel was started
            load.cpu = static_cast<double>(all - idle - busy_) / static_cast<double>(all - all_);
        all_ = all;
        busy_ = all - idle;
        core_.post([shared, load] { (*shared)(load); });
    });
    if (!taken) core_.post([shared] { (*shared)(fail(Code::exhausted, "too much is waiting")); });
}

}  // namespace axle
