#include "agent/migration/unix_socket.hpp"

#include <cerrno>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/unix_address.hpp"

namespace axle {
namespace {

constexpr int kBacklog = 16;

Result<Fd> make_socket() {
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) return fail(system_error("open a socket", errno));
    return fd;
}

}  // namespace

Result<UnixConnection> connect_unix(const std::string& path) {
    TRY(address, unix_address(path));
    TRY(fd, make_socket());
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return UnixConnection{.fd = Fd(), .error_number = errno};
    return UnixConnection{.fd = std::move(fd)};
}

Result<Fd> listen_unix(const std::string& path) {
    TRY(address, unix_address(path));
    TRY(fd, make_socket());
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail(system_error("remove " + path, errno));
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return fail(system_error("make " + path, errno));
    // Before it listens: nobody gets in by the umask's grace.
    if (::chmod(path.c_str(), 0600) != 0) return fail(system_error("make " + path, errno));
    if (::listen(fd.get(), kBacklog) != 0) return fail(system_error("listen on " + path, errno));
    return std::move(fd);
}

}  // namespace axle
