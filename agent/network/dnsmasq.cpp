#include "agent/network/dnsmasq.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <map>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.hpp"
#include "common/base/process.hpp"
#include "common/model/format.hpp"

namespace axle {
namespace {

constexpr std::int64_t kLogMax = 4 << 20;

std::string host_file_of(const Reservation& r) {
    std::string name = r.mac;
    std::ranges::replace(name, ':', '-');
    return name;
}
std::string host_line(const Reservation& r) {
    return fmt::format("{},{}{},12h\n", r.mac, r.address, is_dotted_name(r.hostname) ? "," + r.hostname : "");
}

// dnsmasq gives up root after it has bound its sockets; its lease file must then be its own.
void give_to_dnsmasq(const std::string& path) {
    if (const passwd* user = ::getpwnam("dnsmasq"); user != nullptr) [[maybe_unused]]
        const int ignored = ::chown(path.c_str(), user->pw_uid, user->pw_gid);
}
bool has_user() {
    return ::getpwnam("dnsmasq") != nullptr;
}

}  // namespace

std::string dnsmasq_config(const NetworkDocument& n, const std::string& folder) {
    const Cidr range = parse_cidr(n.cidr).value_or(Cidr{});
    std::string text = fmt::format(
        "# Made by the Axle agent for network {}; do not edit.\n"
        "interface={}\nexcept-interface=lo\nbind-dynamic\nno-hosts\ndomain-needed\nbogus-priv\n"
        "dhcp-range={},static,{},12h\ndhcp-hostsdir={}/hosts\ndhcp-ignore=tag:!known\ndhcp-authoritative\n"
        "dhcp-option=option:router,{}\ndhcp-option=option:mtu,{}\n",
        n.name, n.bridge, format_ipv4(range.first()), format_ipv4(range.mask()), folder, n.gateway, n.mtu);
    text += n.dns.empty() ? fmt::format("dhcp-option=option:dns-server,{}\n", n.gateway)
                          : fmt::format("dhcp-option=option:dns-server,{}\n", fmt::join(n.dns, ","));
    if (!n.domain.empty()) text += fmt::format("domain={0}\nlocal=/{0}/\n", n.domain);
    if (has_user()) text += "user=dnsmasq\n";
    text += fmt::format(
        "dhcp-leasefile={0}/var/leases\npid-file={0}/pid\nlog-facility={0}/var/log\nlog-dhcp\nlog-async=20\n", folder);
    return text;
}

std::vector<Lease> read_dhcp_log(std::string_view log) {
    std::map<std::string, Lease> by_mac;
    while (!log.empty()) {
        const auto end = log.find('\n');
        const std::string_view line = log.substr(0, end);
        log.remove_prefix(end == std::string_view::npos ? log.size() : end + 1);
        const bool asked = line.find(" DHCPDISCOVER(") != std::string_view::npos ||
                           line.find(" DHCPREQUEST(") != std::string_view::npos;
        const auto answer = line.find(" DHCPACK(");
        if (!asked && answer == std::string_view::npos) continue;
        std::string mac, address;  // words after "DHCPxxx(bridge) "
        std::string_view words = line.substr(line.find(')', answer == std::string_view::npos ? 0 : answer) + 1);
        while (!words.empty()) {
            words.remove_prefix(std::min(words.find_first_not_of(' '), words.size()));
            const std::string word(words.substr(0, words.find(' ')));
            words.remove_prefix(std::min(word.size(), words.size()));
            if (!why_not(Format::mac, word))
                mac = word;
            else if (parse_ipv4(word) && address.empty())
                address = word;
        }
        if (mac.empty()) continue;
        Lease& lease = by_mac[mac];
        lease.mac = mac;
        if (!asked)
            lease = {mac, address, DhcpStage::answered};
        else if (lease.stage == DhcpStage::none)
            lease.stage = DhcpStage::asked;
    }
    std::vector<Lease> out;
    for (auto& [mac, lease] : by_mac) out.push_back(std::move(lease));
    return out;
}

Dnsmasq::Dnsmasq(std::string folder) : folder_(std::move(folder)) {}

int Dnsmasq::running_pid(const std::string& folder) const {
    const auto text = read_file(folder + "/pid", 64);
    int pid = 0;
    if (!text || std::from_chars(text->data(), text->data() + text->size(), pid).ec != std::errc{} || pid <= 1)
        return 0;
    const auto command = read_file(fmt::format("/proc/{}/cmdline", pid), 65536);
    const bool ours = command && command->find("dnsmasq") != std::string::npos &&
                      command->find(folder + "/config") != std::string::npos;
    return ours ? pid : 0;
}

Result<bool> Dnsmasq::write_reservations(const NetworkDocument& network, const std::string& folder) {
    std::map<std::string, std::string> wanted;
    for (const Reservation& r : network.reservations) {
        if (!why_not(Format::mac, r.mac) && parse_ipv4(r.address)) wanted[host_file_of(r)] = host_line(r);
    }
    bool changed = false;
    TRY(there, list_directory(folder + "/hosts"));
    for (const std::string& name : there) {
        const auto found = wanted.find(name);
        const auto now = read_file(folder + "/hosts/" + name, 4096);
        if (found != wanted.end() && now && *now == found->second) {
            wanted.erase(found);
            continue;
        }
        changed = true;
        if (found == wanted.end()) TRY_VOID(remove_file_durably(folder + "/hosts/" + name));
    }
    // dnsmasq watches the folder and skips names that begin with a dot, so it never sees half a file.
    for (const auto& [name, line] : wanted) {
        const std::string temporary = folder + "/hosts/.new";
        TRY_VOID(write_file_durably(temporary, line, 0644));
        if (::rename(temporary.c_str(), (folder + "/hosts/" + name).c_str()) != 0)
            return fail(system_error("rename " + temporary, errno));
    }
    return changed;
}

Result<> Dnsmasq::apply(const NetworkDocument& network) {
    const std::string folder = folder_of(network.id), config = dnsmasq_config(network, folder);
    TRY_VOID(make_directories(folder + "/hosts", 0755));
    TRY_VOID(make_directories(folder + "/var", 0755));
    give_to_dnsmasq(folder + "/var");
    TRY(changed, write_reservations(network, folder));
    const auto there = read_file(folder + "/config", 1 << 20);
    const bool same = there && *there == config;
    const int pid = running_pid(folder);
    if (same && pid != 0) {
        struct stat st {};
        if (::stat((folder + "/var/log").c_str(), &st) == 0 && st.st_size > kLogMax &&
            ::truncate((folder + "/var/log").c_str(), 0) == 0)
            ::kill(pid, SIGUSR2);
        if (changed) ::kill(pid, SIGHUP);
        return {};
    }
    TRY_VOID(stop(folder));
    if (!same) TRY_VOID(write_file_durably(folder + "/config", config, 0644));
    return start(folder);
}

Result<> Dnsmasq::start(const std::string& folder) {
    // It forks into the background itself once it has bound its sockets: what it says until then is the reason of a
    // failure.
    ProcessSpec spec{.program = "dnsmasq",
                     .arguments = {"--conf-file=" + folder + "/config"},
                     .time_limit = milliseconds{10'000},
                     .dies_with_us = false};
    auto started = run_checked(spec);
    if (!started)
        return fail(std::move(started.error())
                        .in("DHCP and DNS can't start")
                        .with_hint("does another program have port 53 or 67 on all addresses? ss -lunp 'sport = :53'"));
    return {};
}

Result<> Dnsmasq::stop(const std::string& folder) {
    const int pid = running_pid(folder);
    if (pid == 0) return {};
    ::kill(pid, SIGTERM);
    for (int i = 0; i < 200 && running_pid(folder) != 0; ++i) ::usleep(10'000);
    if (running_pid(folder) != 0) ::kill(pid, SIGKILL);
    return {};
}

Result<> Dnsmasq::remove(NetworkId network) {
    const std::string folder = folder_of(network);
    TRY_VOID(stop(folder));
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
    return {};
}

Result<std::vector<NetworkId>> Dnsmasq::known() const {
    TRY(names_there, list_directory(folder_));
    std::vector<NetworkId> out;
    for (const std::string& name : names_there) {
        if (const auto id = Uuid::parse(name)) out.push_back(NetworkId{*id});
    }
    return out;
}

Result<std::vector<Lease>> Dnsmasq::leases(NetworkId network) const {
    auto log = read_file(folder_of(network) + "/var/log", 2 * kLogMax);
    if (!log)
        return log.error().code == Code::not_found ? Result<std::vector<Lease>>(std::vector<Lease>{})
                                                   : fail(std::move(log.error()));
    return read_dhcp_log(*log);
}

}  // namespace axle
