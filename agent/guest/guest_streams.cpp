#include "agent/guest/guest_streams.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <map>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.hpp"
#include "common/base/unix_address.hpp"

namespace axle {
namespace {

constexpr std::size_t kToGuestMax = 1 << 20;    // bytes that a guest hasn't taken yet; more ends the stream
constexpr std::size_t kFromGuestMax = 1 << 20;  // bytes that the core hasn't taken yet; the guest waits
constexpr std::size_t kPiece = 16384;
constexpr milliseconds kFollow{250};

// device: the only one that may be used; empty: any.
Result<Fd> connect_to(const sockaddr* address, socklen_t size, const std::string& what,
                      const std::string& device = "") {
    Fd fd(::socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) return fail(system_error("open a socket", errno));
    if (!device.empty() &&
        ::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, device.c_str(), static_cast<socklen_t>(device.size())) != 0)
        return fail(system_error("connect over " + device, errno));
    if (::connect(fd.get(), address, size) != 0 && errno != EINPROGRESS)
        return fail(system_error("connect to " + what, errno));
    return fd;
}

Result<Fd> connect_unix(const std::string& path) {
    TRY(address, unix_address(path));
    return connect_to(reinterpret_cast<const sockaddr*>(&address), sizeof address, path);
}

// Over the guest's own network and nothing else: the host stands in networks that a tenant must not reach.
Result<Fd> connect_tcp(const std::string& host, std::int64_t port, const std::string& device) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    if (port < 1 || port > 65535 || ::inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1)
        return fail(Code::invalid, "{}:{} is no address", host, port);
    auto fd = connect_to(reinterpret_cast<const sockaddr*>(&address), sizeof address, fmt::format("{}:{}", host, port),
                         device);
    if (!fd) return fd;
    int one = 1;
    ::setsockopt(fd->get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

}  // namespace

// All open streams; I/O loop only, but for construction.
struct GuestStreams::Pipes : std::enable_shared_from_this<Pipes> {
    struct Pipe {
        Fd fd;
        std::unique_ptr<IoWatch> watch;
        std::unique_ptr<Timer> timer;  // of a followed log
        std::string to_guest;
        std::size_t untaken = 0;  // posted to the core
        std::string path;         // log
        std::int64_t position = 0;
        ino_t inode = 0;
    };
    Loop& io;
    Executor& core;
    std::function<void(Message)> emit;  // core thread
    std::map<std::uint64_t, std::shared_ptr<Pipe>> open;

    Pipes(Loop& loop, Executor& executor) : io(loop), core(executor) {}

    void tell(Message message) {
        core.post([self = shared_from_this(), message = std::move(message)]() mutable {
            if (self->emit) self->emit(std::move(message));
        });
    }
    void tell_data(std::uint64_t id, Pipe& pipe, std::string bytes) {
        const std::size_t size = bytes.size();
        pipe.untaken += size;
        core.post([self = shared_from_this(), id, bytes = std::move(bytes), size]() mutable {
            if (self->emit) self->emit(StreamData{id, std::move(bytes)});
            self->io.post([self, id, size] { self->taken(id, size); });
        });
    }
    void taken(std::uint64_t id, std::size_t size) {
        const auto found = open.find(id);
        if (found == open.end()) return;
        Pipe& pipe = *found->second;
        pipe.untaken -= std::min(size, pipe.untaken);
        if (pipe.watch) pipe.watch->want(pipe.untaken < kFromGuestMax, !pipe.to_guest.empty());
    }
    void end(std::uint64_t id, std::string why) {
        if (open.erase(id) > 0) tell(StreamClose{id, std::move(why)});
    }

    void add_socket(std::uint64_t id, Result<Fd> fd) {
        if (!fd) return tell(StreamClose{id, fd.error().message});
        auto pipe = std::make_shared<Pipe>();
        pipe->fd = std::move(*fd);
        pipe->watch =
            std::make_unique<IoWatch>(io, "guest stream", pipe->fd.get(), true, true,
                                      [this, id](bool readable, bool writable) { ready(id, readable, writable); });
        open[id] = std::move(pipe);
    }
    void ready(std::uint64_t id, bool readable, bool writable) {
        const auto found = open.find(id);
        if (found == open.end()) return;
        const auto pipe = found->second;  // stays while its own callback runs
        if (writable && !flush(id, *pipe)) return;
        if (!readable || !pipe->watch->wants_read()) return;
        char bytes[kPiece];
        const ssize_t n = ::recv(pipe->fd.get(), bytes, sizeof bytes, 0);
        if (n > 0) {
            tell_data(id, *pipe, std::string(bytes, static_cast<std::size_t>(n)));
            return pipe->watch->want(pipe->untaken < kFromGuestMax, !pipe->to_guest.empty());
        }
        if (n == 0) return end(id, "");
        if (errno != EAGAIN && errno != EINTR && errno != ENOTCONN)
            end(id, system_error("the guest's side", errno).message);
    }
    bool flush(std::uint64_t id, Pipe& pipe) {
        while (!pipe.to_guest.empty()) {
            const ssize_t n = ::send(pipe.fd.get(), pipe.to_guest.data(), pipe.to_guest.size(), MSG_NOSIGNAL);
            if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN)) break;
            if (n < 0) {
                end(id, system_error("the guest's side", errno).message);
                return false;
            }
            pipe.to_guest.erase(0, static_cast<std::size_t>(n));
        }
        pipe.watch->want(pipe.untaken < kFromGuestMax, !pipe.to_guest.empty());
        return true;
    }
    void write(std::uint64_t id, const std::string& bytes) {
        const auto found = open.find(id);
        if (found == open.end() || !found->second->watch) return;
        const auto pipe = found->second;
        if (pipe->to_guest.size() + bytes.size() > kToGuestMax)
            return end(id, "the guest does not take what it is sent");
        pipe->to_guest += bytes;
        flush(id, *pipe);
    }

    void add_log(const StreamOpen& wish, std::string path) {
        auto pipe = std::make_shared<Pipe>();
        pipe->path = std::move(path);
        open[wish.stream] = pipe;
        reopen(*pipe);
        struct stat st {};
        if (wish.tail > 0 && pipe->fd && ::fstat(pipe->fd.get(), &st) == 0 && st.st_size > wish.tail)
            pipe->position = st.st_size - wish.tail;
        read_log(wish.stream, *pipe);
        if (!wish.follow) return end(wish.stream, "");
        pipe->timer = std::make_unique<Timer>(io, "guest log", [this, id = wish.stream] {
            if (const auto found = open.find(id); found != open.end()) read_log(id, *found->second);
        });
        pipe->timer->repeat(kFollow);
    }
    void reopen(Pipe& pipe) {
        struct stat st {};
        if (::stat(pipe.path.c_str(), &st) != 0 || (pipe.fd && st.st_ino == pipe.inode)) return;
        pipe.fd.reset(::open(pipe.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
        pipe.inode = st.st_ino;
        pipe.position = 0;
    }
    void read_log(std::uint64_t id, Pipe& pipe) {
        for (int round = 0; round < 2; ++round) {  // what is left of the old file, then the one that replaced it
            char bytes[kPiece];
            for (;;) {
                const ssize_t n = pipe.fd ? ::pread(pipe.fd.get(), bytes, sizeof bytes, pipe.position) : 0;
                if (n <= 0) break;
                pipe.position += n;
                tell(StreamData{id, std::string(bytes, static_cast<std::size_t>(n))});
            }
            reopen(pipe);
        }
    }
};

GuestStreams::GuestStreams(Loop& io, Executor& core, GuestPaths paths, std::function<void(Message)> send,
                           std::function<void(VmId, std::function<void(Result<std::string>)>)> screenshot)
    : pipes_(std::make_shared<Pipes>(io, core)),
      paths_(std::move(paths)),
      send_(send),
      screenshot_(std::move(screenshot)) {
    pipes_->emit = std::move(send);
}

GuestStreams::~GuestStreams() {
    pipes_->emit = nullptr;
    pipes_->io.post([pipes = pipes_] { pipes->open.clear(); });
}

void GuestStreams::open(const StreamOpen& wish) {
    if (wish.kind == StreamKind::screenshot) {
        screenshot_(wish.vm, [this, id = wish.stream, alive = std::weak_ptr(alive_)](Result<std::string> png) {
            if (alive.expired()) return;
            constexpr std::size_t kMessage = 256 << 10;
            for (std::size_t at = 0; png && at < png->size(); at += kMessage)
                send_(StreamData{id, png->substr(at, kMessage)});
            send_(StreamClose{id, png ? "" : png.error().message});
        });
        return;
    }
    std::string where;  // a path, or a network device
    if (wish.kind == StreamKind::console) where = paths_.console(wish.vm);
    if (wish.kind == StreamKind::vnc) where = paths_.vnc(wish.vm);
    if (wish.kind == StreamKind::log) where = paths_.log(wish.vm);
    if (wish.kind == StreamKind::tcp) {
        auto device = paths_.device(wish.vm, wish.address);
        if (!device) return send_(StreamClose{wish.stream, device.error().message});
        where = std::move(*device);
    }
    pipes_->io.post([pipes = pipes_, wish, where = std::move(where)] {
        if (wish.kind == StreamKind::log)
            pipes->add_log(wish, where);
        else if (wish.kind == StreamKind::tcp)
            pipes->add_socket(wish.stream, connect_tcp(wish.address, wish.port, where));
        else
            pipes->add_socket(wish.stream, connect_unix(where));
    });
}

void GuestStreams::handle(std::optional<Message> message) {
    if (!message) return pipes_->io.post([pipes = pipes_] { pipes->open.clear(); });
    if (const auto* wish = std::get_if<StreamOpen>(&*message)) return open(*wish);
    if (const auto* data = std::get_if<StreamData>(&*message))
        pipes_->io.post([pipes = pipes_, data = *data] { pipes->write(data.stream, data.bytes); });
    if (const auto* end = std::get_if<StreamClose>(&*message))
        pipes_->io.post([pipes = pipes_, id = end->stream] { pipes->open.erase(id); });
}

}  // namespace axle
