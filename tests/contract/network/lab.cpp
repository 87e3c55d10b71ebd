#include "tests/contract/network/lab.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "agent/network/netlink_watch.hpp"
#include "common/model/format.hpp"

namespace axle::test {
namespace {

ProcessResult run_words(std::vector<std::string> words) {
    auto ended = run_process({.program = words.front(), .arguments = {words.begin() + 1, words.end()}});
    if (!ended) return {.exit_status = 127, .error_tail = ended.error().message};
    return std::move(*ended);
}

Fd open_tap(const std::string& name) {
    Fd fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
    ifreq request{};
    request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    name.copy(request.ifr_name, IFNAMSIZ - 1);
    REQUIRE_MESSAGE(::ioctl(fd.get(), TUNSETIFF, &request) == 0, name, ": ", std::strerror(errno));
    return fd;
}

void pass_one(int from, int to) {
    char buffer[70000];
    const ssize_t n = ::read(from, buffer, sizeof buffer);
    if (n > 0) [[maybe_unused]]
        const ssize_t ignored = ::write(to, buffer, static_cast<std::size_t>(n));
}

sockaddr_in address_of(const std::string& ip, int port) {
    sockaddr_in out{};
    out.sin_family = AF_INET;
    out.sin_port = htons(static_cast<std::uint16_t>(port));
    out.sin_addr.s_addr = htonl(parse_ipv4(ip).value_or(0));
    return out;
}

std::string big16(int value) {
    return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
}
std::string ip_bytes(const std::string& ip) {
    const std::uint32_t value = parse_ipv4(ip).value_or(0);
    return big16(static_cast<int>(value >> 16)) + big16(static_cast<int>(value & 0xffff));
}
int checksum(const std::string& bytes) {
    unsigned sum = 0;
    for (std::size_t i = 0; i + 1 < bytes.size(); i += 2)
        sum +=
            static_cast<unsigned>(static_cast<unsigned char>(bytes[i]) << 8 | static_cast<unsigned char>(bytes[i + 1]));
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<int>(~sum & 0xffff);
}

}  // namespace

std::string enter_private_network() {
    static const std::string why = []() -> std::string {
        if (::geteuid() != 0) return "needs root, to make network namespaces";
        if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) return std::string("unshare: ") + std::strerror(errno);
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
        ::mount("sysfs", "/sys", "sysfs", 0, nullptr);
        if (::access("/dev/net/tun", R_OK | W_OK) != 0) return "no /dev/net/tun";
        must({"ip", "link", "set", "lo", "up"});
        return "";
    }();
    return why;
}

std::string must(std::vector<std::string> words) {
    const ProcessResult ended = run_words(words);
    REQUIRE_MESSAGE(ended.ok(), fmt::format("{}: {}", fmt::join(words, " "), ended.output + ended.error_tail));
    return ended.output;
}
std::string says(std::vector<std::string> words) {
    const ProcessResult ended = run_words(std::move(words));
    return ended.output + ended.error_tail;
}

Elsewhere::Elsewhere() : thread_([this] { loop(); }) {
    run([this] {
        REQUIRE(::unshare(CLONE_NEWNET) == 0);
        tid_ = static_cast<int>(::syscall(SYS_gettid));
        test::must({"ip", "link", "set", "lo", "up"});
    });
}
Elsewhere::~Elsewhere() {
    {
        const std::lock_guard hold(mutex_);
        ends_ = true;
    }
    changed_.notify_all();
    thread_.join();
}
void Elsewhere::loop() {
    std::unique_lock hold(mutex_);
    for (;;) {
        changed_.wait(hold, [this] { return ends_ || job_ != nullptr; });
        if (ends_) return;
        (*job_)();
        job_ = nullptr;
        changed_.notify_all();
    }
}
void Elsewhere::run(const std::function<void()>& job) {
    std::unique_lock hold(mutex_);
    job_ = &job;
    changed_.notify_all();
    changed_.wait(hold, [this] { return job_ == nullptr; });
}
std::string Elsewhere::says(std::vector<std::string> words) {
    std::string out;
    run([&] { out = test::says(words); });
    return out;
}
std::string Elsewhere::must(std::vector<std::string> words) {
    ProcessResult ended;
    run([&] { ended = run_words(words); });
    REQUIRE_MESSAGE(ended.ok(), fmt::format("{}: {}", fmt::join(words, " "), ended.output + ended.error_tail));
    return ended.output;
}
Fd Elsewhere::listen(int port) {
    Fd out;
    run([&] { out = listen_on(port); });
    return out;
}
Fd Elsewhere::connect(const std::string& address, int port, int patience_ms) {
    Fd out;
    run([&] { out = connect_to(address, port, patience_ms); });
    return out;
}
Fd Elsewhere::frames(const std::string& interface) {
    Fd out;
    run([&] {
        out = Fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL)));
        sockaddr_ll where{};
        where.sll_family = AF_PACKET;
        where.sll_protocol = htons(ETH_P_ALL);
        where.sll_ifindex = static_cast<int>(::if_nametoindex(interface.c_str()));
        REQUIRE(::bind(out.get(), reinterpret_cast<sockaddr*>(&where), sizeof where) == 0);
    });
    return out;
}

Fd listen_on(int port) {
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int one = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    const sockaddr_in where = address_of("0.0.0.0", port);
    REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0);
    REQUIRE(::listen(fd.get(), 8) == 0);
    return fd;
}
Fd connect_to(const std::string& address, int port, int patience_ms) {
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const sockaddr_in where = address_of(address, port);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0) return fd;
    if (errno != EINPROGRESS) return {};
    pollfd done{.fd = fd.get(), .events = POLLOUT, .revents = 0};
    int error = 0;
    socklen_t size = sizeof error;
    const bool answered = ::poll(&done, 1, patience_ms) > 0;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    return answered && error == 0 ? std::move(fd) : Fd{};
}
std::optional<std::string> accepted(const Fd& server, int patience_ms) {
    pollfd ready{.fd = server.get(), .events = POLLIN, .revents = 0};
    if (::poll(&ready, 1, patience_ms) <= 0) return std::nullopt;
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    const Fd client(::accept(server.get(), reinterpret_cast<sockaddr*>(&peer), &size));
    return format_ipv4(ntohl(peer.sin_addr.s_addr));
}
std::optional<std::string> seen_client(Elsewhere& client, const std::string& address, int port, const Fd& server,
                                       int patience_ms) {
    const Fd connection = client.connect(address, port, patience_ms);
    return connection ? accepted(server, 1000) : std::nullopt;
}

Guest::Guest(const std::string& tap, const std::string& address) : mac(address), wake_(::eventfd(0, EFD_CLOEXEC)) {
    host_side_ = open_tap(tap);
    run([this] { guest_side_ = open_tap("eth0"); });
    must({"ip", "link", "set", "eth0", "address", mac, "up"});
    pump_ = std::thread([this] {
        for (;;) {
            pollfd ends[] = {{host_side_.get(), POLLIN, 0}, {guest_side_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
            ::poll(ends, 3, -1);
            if (ends[2].revents != 0) return;
            if ((ends[0].revents & POLLIN) != 0) pass_one(host_side_.get(), guest_side_.get());
            if ((ends[1].revents & POLLIN) != 0) pass_one(guest_side_.get(), host_side_.get());
            if (((ends[0].revents | ends[1].revents) & POLLERR) != 0) return;  // its tap was taken away
        }
    });
}
Guest::~Guest() {
    ::eventfd_write(wake_.get(), 1);
    pump_.join();
}

std::string mac_bytes_of(const std::string& mac) {
    std::string out;
    for (std::size_t i = 0; i + 1 < mac.size(); i += 3)
        out += static_cast<char>(std::stoi(mac.substr(i, 2), nullptr, 16));
    return out;
}
std::string frame(const std::string& to_mac, const std::string& from_mac, int type, const std::string& payload) {
    return mac_bytes_of(to_mac) + mac_bytes_of(from_mac) + big16(type) + payload;
}
std::string arp(const std::string& from_mac, const std::string& sender_mac, const std::string& sender_ip,
                const std::string& target_ip) {
    return frame("ff:ff:ff:ff:ff:ff", from_mac, ETH_P_ARP,
                 big16(1) + big16(ETH_P_IP) + std::string("\x06\x04") + big16(1) + mac_bytes_of(sender_mac) +
                     ip_bytes(sender_ip) + std::string(6, '\0') + ip_bytes(target_ip));
}
std::string udp(const std::string& from_mac, const std::string& from_ip, int from_port, int to_port,
                const std::string& marker, const std::string& to_ip) {
    const std::string body =
        big16(from_port) + big16(to_port) + big16(static_cast<int>(8 + marker.size())) + big16(0) + marker;
    std::string header = std::string("\x45\x00", 2) + big16(static_cast<int>(20 + body.size())) + big16(7) + big16(0) +
                         std::string("\x40\x11", 2) + big16(0) + ip_bytes(from_ip) + ip_bytes(to_ip);
    header.replace(10, 2, big16(checksum(header)));
    return frame("ff:ff:ff:ff:ff:ff", from_mac, ETH_P_IP, header + body);
}
void send_frame(const Fd& socket, const std::string& bytes) {
    REQUIRE(::send(socket.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
}
bool hears(const Fd& socket, const std::string& marker, int patience_ms) {
    const auto end = std::chrono::steady_clock::now() + milliseconds{patience_ms};
    char buffer[70000];
    for (;;) {
        const auto left = std::chrono::duration_cast<milliseconds>(end - std::chrono::steady_clock::now()).count();
        pollfd ready{.fd = socket.get(), .events = POLLIN, .revents = 0};
        if (left <= 0 || ::poll(&ready, 1, static_cast<int>(left)) <= 0) return false;
        const ssize_t n = ::recv(socket.get(), buffer, sizeof buffer, 0);
        if (n > 0 && std::string_view(buffer, static_cast<std::size_t>(n)).find(marker) != std::string_view::npos)
            return true;
    }
}

Host::Host() {
    events_thread_ = std::jthread([this] { events_.run(); });
    ::chmod(temp_.path().c_str(), 0711);  // dnsmasq gives up root and reads its files there
    restart();
}
Host::~Host() {
    if (auto removed = remove_all(); !removed) MESSAGE(removed.error().message);
    network_.reset();
    events_.stop();
}
void Host::restart() {
    network_.reset();
    workers_ = std::make_unique<Workers>("network");
    network_ =
        std::make_unique<LinuxNetwork>(LinuxNetworkOptions{.state_folder = temp_.path()}, events_, *workers_, core_);
    network_->on_hint([this](NetworkHint hint) { hints_.push_back(hint); });
}
NetworkReport Host::apply(const NetworkPlan& plan) {
    std::optional<Result<NetworkReport>> answer;
    network_->apply(plan, [&](Result<NetworkReport> report) { answer = std::move(report); });
    REQUIRE(core_.run_until([&] { return answer.has_value(); }));
    REQUIRE_MESSAGE(answer->has_value(), answer->error().message);
    return std::move(**answer);
}
std::vector<Lease> Host::leases(NetworkId network) {
    std::optional<Result<std::vector<Lease>>> answer;
    network_->leases(network, [&](Result<std::vector<Lease>> told) { answer = std::move(told); });
    REQUIRE(core_.run_until([&] { return answer.has_value(); }));
    REQUIRE(answer->has_value());
    return std::move(**answer);
}
bool Host::is_told(NetworkHint hint, std::function<void()> deed) {
    const milliseconds quiet = hint == NetworkHint::ours ? NetlinkWatch::kOursEvery : NetlinkWatch::kHostEvery;
    do {  // until what was done before is told
        hints_.clear();
        core_.run_until([] { return false; }, quiet + milliseconds{100});
    } while (!hints_.empty());
    deed();
    return core_.run_until([&] { return std::ranges::find(hints_, hint) != hints_.end(); });
}
Result<> Host::remove_all() {
    std::optional<Result<>> answer;
    network_->remove_all([&](Result<> done) { answer = std::move(done); });
    REQUIRE(core_.run_until([&] { return answer.has_value(); }));
    return std::move(*answer);
}

NetworkId network_id(int n) {
    return NetworkId{*Uuid::parse(fmt::format("01900000-0000-7000-8000-0000000000{:02x}", n))};
}
VmId vm_id(int n) {
    return VmId{*Uuid::parse(fmt::format("01900000-0000-7000-9000-0000000000{:02x}", n))};
}
NetworkDocument nat_network(int n) {
    return {.id = network_id(n),
            .name = fmt::format("default/n{}", n),
            .type = NetworkType::nat,
            .bridge = bridge_name(network_id(n)),
            .cidr = fmt::format("10.90.{}.0/24", n),
            .gateway = fmt::format("10.90.{}.1", n),
            .gateway_mac = fmt::format("52:54:00:90:{:02x}:01", n),
            .domain = "cloud.test"};
}
NicPlan nic_on(NetworkDocument& network, int vm, int last) {
    const std::string mac = fmt::format("52:54:00:aa:00:{:02x}", vm);
    const std::string address = network.cidr.substr(0, network.cidr.rfind('.')) + fmt::format(".{}", last);
    network.reservations.push_back({mac, address, fmt::format("vm{}", vm)});
    return {vm_id(vm), "eth0", network.id, tap_name(vm_id(vm), "eth0"), mac, address};
}

}  // namespace axle::test
