// Where connections come from: TCP and unix sockets.
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.hpp"
#include "common/base/unix_address.hpp"
#include "common/http/server_core.hpp"

namespace axle::http {

static constexpr int kBacklog = 4096;

static std::string where(const std::string& address, int port) {
    if (address.empty()) return fmt::format("port {}", port);
    return fmt::format("port {} on {}", port, address);
}

static Error bind_error(const std::string& address, int port, int number) {
    if (number == EADDRINUSE)
        return error(Code::conflict, "{} is taken by another program", where(address, port))
            .with_hint(fmt::format("`ss -ltnp 'sport = :{}'` shows which; stop it or choose another port", port));
    if (number == EADDRNOTAVAIL)
        return error(Code::invalid, "address {} is not one of this machine", address)
            .with_hint("`ip address` shows those that are; leave it out to listen on all");
    return system_error("can't listen on " + where(address, port), number);
}

static Result<Fd> bind_tcp(const sockaddr* to, socklen_t size, bool both_families, const std::string& address,
                           int port) {
    Fd fd(socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) return fail(system_error("can't make a socket", errno));
    const int on = 1, off = 0;
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (to->sa_family == AF_INET6)
        setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, both_families ? &off : &on, sizeof on);
    if (bind(fd.get(), to, size) != 0 || listen(fd.get(), kBacklog) != 0) return fail(bind_error(address, port, errno));
    return fd;
}

Result<Fd> listen_on_tcp(const std::string& address, int port) {
    if (port < 0 || port > 65535) return fail(Code::invalid, "port {} is not between 0 and 65535", port);
    const bool all = address.empty() || address == "::";
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(static_cast<std::uint16_t>(port));
    if (all || inet_pton(AF_INET6, address.c_str(), &six.sin6_addr) == 1) {
        auto made = bind_tcp(reinterpret_cast<const sockaddr*>(&six), sizeof six, all, address, port);
        if (made || !all || made.error().code == Code::conflict) return made;
    }
    sockaddr_in four{};
    four.sin_family = AF_INET;
    four.sin_port = six.sin6_port;
    if (!all && inet_pton(AF_INET, address.c_str(), &four.sin_addr) != 1)
        return fail(error(Code::invalid, "\"{}\" is no IPv4 or IPv6 address", address)
                        .with_hint("names are not looked up here"));
    return bind_tcp(reinterpret_cast<const sockaddr*>(&four), sizeof four, false, address,
                    port);  // a kernel without IPv6
}

Result<int> port_of(int fd) {
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0)
        return fail(system_error("the kernel does not tell the port", errno));
    if (bound.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(bound).sin6_port);
    return ntohs(reinterpret_cast<const sockaddr_in&>(bound).sin_port);
}

// Clears the path for a new socket: only of a socket that nobody serves.
static Result<> clear_path(const std::string& path, const sockaddr_un& at) {
    struct stat found {};
    if (lstat(path.c_str(), &found) != 0) return {};
    if (!S_ISSOCK(found.st_mode))
        return fail(error(Code::conflict, "{} is there and is no socket", path)
                        .with_hint("move it away or choose another path"));
    const Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0 || errno == EAGAIN)
        return fail(error(Code::conflict, "another process serves {}", path)
                        .with_hint(fmt::format("`ss -lxp src {}` shows which; it is probably running already", path)));
    if (errno != ECONNREFUSED) return fail(system_error("can't tell whether somebody serves " + path, errno));
    if (unlink(path.c_str()) != 0 && errno != ENOENT)
        return fail(system_error("can't remove the old socket " + path, errno));
    return {};
}

Result<Fd> listen_on_unix(const std::string& path, unsigned mode, int group) {
    if (path.empty()) return fail(Code::invalid, "the path of a unix socket is empty");
    TRY(at, unix_address(path));
    TRY_VOID(clear_path(path, at));
    Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) return fail(system_error("can't make a socket", errno));
    // The file takes its mode from the socket's own at bind: it is never open wider than meant, not for an instant.
    if (fchmod(fd.get(), 0600) != 0 || bind(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0)
        return fail(system_error("can't make the socket " + path, errno));
    if (group >= 0 && chown(path.c_str(), static_cast<uid_t>(-1), static_cast<gid_t>(group)) != 0)
        return fail(system_error(fmt::format("can't give {} to group {}", path, group), errno));
    if (chmod(path.c_str(), mode) != 0 || listen(fd.get(), kBacklog) != 0)
        return fail(system_error("can't listen on " + path, errno));
    return fd;
}

static Peer peer_on_unix(int fd) {
    Peer peer;
    peer.kind = Peer::Kind::unix_socket;
    ucred who{};
    socklen_t size = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return peer;
    peer.uid = who.uid;
    peer.gid = who.gid;
    peer.pid = who.pid;
    std::vector<gid_t> groups(64);
    for (;;) {
        size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) == 0) break;
        if (errno != ERANGE) return peer;
        groups.resize(size / sizeof(gid_t));
    }
    peer.groups.assign(groups.begin(), groups.begin() + static_cast<std::ptrdiff_t>(size / sizeof(gid_t)));
    return peer;
}

static Peer peer_on_tcp(const sockaddr_storage& from, Peer::Kind kind) {
    Peer peer;
    peer.kind = kind;
    char text[INET6_ADDRSTRLEN] = "";
    if (from.ss_family == AF_INET) {
        const auto& four = reinterpret_cast<const sockaddr_in&>(from);
        inet_ntop(AF_INET, &four.sin_addr, text, sizeof text);
        peer.ip = text;
        peer.address = fmt::format("{}:{}", text, ntohs(four.sin_port));
        return peer;
    }
    const auto& six = reinterpret_cast<const sockaddr_in6&>(from);
    inet_ntop(AF_INET6, &six.sin6_addr, text, sizeof text);
    peer.ip = text;
    const bool mapped = IN6_IS_ADDR_V4MAPPED(&six.sin6_addr);
    if (mapped) peer.ip.erase(0, std::strlen("::ffff:"));
    peer.address = fmt::format(fmt::runtime(mapped ? "{}:{}" : "[{}]:{}"), peer.ip, ntohs(six.sin6_port));
    return peer;
}

Listener::Listener(ServerCore& core, Fd fd, Peer::Kind kind, TlsContext context, TlsFiles files, std::string path)
    : core_(core),
      fd_(std::move(fd)),
      kind_(kind),
      context_(std::move(context)),
      files_(std::move(files)),
      path_(std::move(path)),
      resume_(core.loop, "accept again", [this] { watch_->want(true, false); }) {}

Listener::~Listener() {
    if (!path_.empty()) unlink(path_.c_str());
}

void Listener::begin() {
    watch_ =
        std::make_unique<IoWatch>(core_.loop, "accept", fd_.get(), true, false, [this](bool, bool) { accept_some(); });
}

void Listener::accept_some() {
    for (int i = 0; i < 64; ++i) {
        sockaddr_storage from{};
        socklen_t size = sizeof from;
        Fd fd(accept4(fd_.get(), reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!fd) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) pause();
            return;
        }
        const int on = 1;
        if (kind_ != Peer::Kind::unix_socket) setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        Peer peer = kind_ == Peer::Kind::unix_socket ? peer_on_unix(fd.get()) : peer_on_tcp(from, kind_);
        core_.accepted(std::move(fd), std::move(peer), context_);
    }
}

// Level-triggered, a listener that can't accept would spin.
void Listener::pause() {
    log::warning(
        fmt::format("can't accept a connection: {}; waiting 100 ms ({} are open)", std::strerror(errno), core_.open()));
    watch_->want(false, false);
    resume_.start(milliseconds{100});
}

}  // namespace axle::http
