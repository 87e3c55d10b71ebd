#include "agent/network/dnsmasq.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <map>
#include <poll.h>
#include <pwd.h>
#include <sstream>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/file.hpp"
#include "common/base/log.hpp"
#include "common/base/now.hpp"
#include "common/base/process.hpp"
#include "common/model/format.hpp"

namespace axle {
namespace {

constexpr std::int64_t kLogMax = 1 << 20;  // 4 lines, 400 bytes, for each answered guest

std::string host_file_of(const Reservation& r) {
    std::string name = r.mac;
    std::ranges::replace(name, ':', '-');
    return name;
}
std::string host_line(const Reservation& r) {
    return fmt::format("{},{}{},{}\n", r.mac, r.address, is_dotted_name(r.hostname) ? "," + r.hostname : "",
                       kLeaseTime.count());
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
    const std::uint32_t gateway = parse_ipv4(n.gateway).value_or(range.first() + 1);
    std::string text = fmt::format(
        "# Made by the Axle agent for network {}; do not edit.\n"
        "interface={}\nexcept-interface=lo\nbind-dynamic\nno-hosts\ndns-loop-detect\ndomain-needed\nbogus-priv\n"
        "dhcp-range={},static,{},{}\ndhcp-hostsdir={}/hosts\ndhcp-ignore=tag:!known\ndhcp-authoritative\n"
        "dhcp-option=option:router,{}\ndhcp-option=option:mtu,{}\n",
        n.id.str(), n.bridge, format_ipv4(range.first()), format_ipv4(range.mask()), kLeaseTime.count(), folder,
        format_ipv4(gateway), n.mtu);
    std::vector<std::string> resolvers;
    for (const std::string& resolver : n.dns) {
        if (const auto ip = parse_ipv4(resolver)) resolvers.push_back(format_ipv4(*ip));
    }
    if (resolvers.empty()) resolvers.push_back(format_ipv4(gateway));
    text += fmt::format("dhcp-option=option:dns-server,{}\n", fmt::join(resolvers, ","));
    if (is_dotted_name(n.domain)) text += fmt::format("domain={0}\nlocal=/{0}/\n", n.domain);
    if (has_user()) text += "user=dnsmasq\n";
    text += fmt::format("dhcp-leasefile={0}/var/leases\npid-file={0}/pid\nlog-facility={0}/var/log\nlog-async=20\n",
                        folder);
    return text;
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
    const bool taken = has_taken_address(network, folder);
    if (same && pid != 0 && !taken) {
        shorten_log(folder);
        if (changed) ::kill(pid, SIGHUP);
        return {};
    }
    TRY_VOID(stop(folder));
    if (taken) TRY_VOID(forget_leases(network, folder));
    if (!same) TRY_VOID(write_file_durably(folder + "/config", config, 0644));
    return start(folder);
}

// Whoever asks again and again must not fill the disk. It appends, so it goes on at the new end.
void Dnsmasq::shorten_log(const std::string& folder) const {
    const std::string path = folder + "/var/log";
    struct stat st {};
    if (::stat(path.c_str(), &st) != 0 || st.st_size <= kLogMax) return;
    if (::truncate(path.c_str(), 0) != 0) log::warning(system_error("shorten " + path, errno).message);
}

// An address that now is another's while the guest that had it before still has a lease: dnsmasq would refuse it.
bool Dnsmasq::has_taken_address(const NetworkDocument& network, const std::string& folder) const {
    const auto leases = read_lease_file(read_file(folder + "/var/leases").value_or(""));
    return std::ranges::any_of(network.reservations, [&](const Reservation& r) {
        return std::ranges::any_of(leases, [&](const Lease& l) { return l.address == r.address && l.mac != r.mac; });
    });
}

// Keeps the leases of those who still have that address. It reads the file when it starts, so it must not run.
Result<> Dnsmasq::forget_leases(const NetworkDocument& network, const std::string& folder) const {
    std::istringstream lines(read_file(folder + "/var/leases").value_or(""));
    std::string kept, line;
    while (std::getline(lines, line)) {
        const auto lease = read_lease_file(line);
        const bool holds = lease.empty() || std::ranges::any_of(network.reservations, [&](const Reservation& r) {
                               return r.mac == lease[0].mac && r.address == lease[0].address;
                           });
        if (holds) kept += line + "\n";
    }
    TRY_VOID(write_file_durably(folder + "/var/leases", kept, 0644));
    give_to_dnsmasq(folder + "/var/leases");
    return {};
}

Result<> Dnsmasq::start(const std::string& folder) {
    // It forks into the background itself once it has bound its sockets: what it says until then is the reason of a
    // failure.
    ProcessSpec spec{.program = "dnsmasq",
                     .arguments = {"--conf-file=" + folder + "/config"},
                     .time_limit = milliseconds{10'000},
                     .dies_with_us = false};
    auto started = run_checked(spec);
    if (started) return {};
    const bool taken = started.error().message.find("in use") != std::string::npos;
    Error failed = std::move(started.error()).in("DHCP and DNS can't start");
    if (taken) {
        failed.reason = "port-taken";
        failed.hint =
            "another program has port 53 or 67 on all addresses: ss -lnup 'sport = :53 or sport = :67' names it; let "
            "it "
            "listen on its own interfaces only";
    }
    return fail(std::move(failed));
}

Result<> Dnsmasq::stop(const std::string& folder) {
    const int pid = running_pid(folder);
    if (pid == 0) return {};
    // Held by a descriptor, so that its number can't come to mean another process.
    const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!process || running_pid(folder) != pid) return {};
    for (const int signal : {SIGTERM, SIGKILL}) {
        ::syscall(SYS_pidfd_send_signal, process.get(), signal, nullptr, 0);
        pollfd ended{.fd = process.get(), .events = POLLIN, .revents = 0};
        if (::poll(&ended, 1, 3000) > 0) return {};
    }
    return fail(Code::timeout, "dnsmasq (process {}) does not end", pid);
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
    const std::string folder = folder_of(network);
    shorten_log(folder);
    auto log = read_file(folder + "/var/log", 4 * kLogMax);
    if (!log && log.error().code != Code::not_found) return fail(std::move(log.error()));
    // The log is cut now and then; who has a lease was answered.
    return join_leases(read_dhcp_log(log.value_or(""), wall_now()),
                       read_lease_file(read_file(folder + "/var/leases").value_or("")));
}

}  // namespace axle
