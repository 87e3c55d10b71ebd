// Streams joined with unix sockets on both hosts, as QEMU and libvirt use them.
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/migration/unix_socket.hpp"
#include "tests/contract/data_port/two_hosts.hpp"

namespace axle::test {
namespace {

bool ready(int fd, short what) {
    pollfd p{fd, what, 0};
    return ::poll(&p, 1, 30'000) > 0;
}
Fd connected(const std::string& path) {
    auto made = connect_unix(path);
    REQUIRE(made);
    REQUIRE(made->fd);
    return std::move(made->fd);
}
Fd accepted(const Fd& listening) {
    CHECK(ready(listening.get(), POLLIN));
    return Fd(::accept4(listening.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
}
void write_all(int fd, std::string_view bytes) {
    while (!bytes.empty() && ready(fd, POLLOUT)) {
        const ssize_t n = ::send(fd, bytes.data(), std::min<std::size_t>(bytes.size(), 7'919), MSG_NOSIGNAL);
        if (n <= 0) return;
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
}
// Until so many have come, or the end.
std::string read_some(int fd, std::size_t size) {
    std::string out, piece(100'003, '\0');
    while (out.size() < size && ready(fd, POLLIN)) {
        const ssize_t n = ::recv(fd, piece.data(), std::min(piece.size(), size - out.size()), 0);
        if (n <= 0) break;
        out.append(piece, 0, static_cast<std::size_t>(n));
    }
    return out;
}
bool at_end(int fd) {
    char byte = 0;
    return ready(fd, POLLIN) && ::recv(fd, &byte, 1, 0) <= 0;
}

// From a socket of the source through the stream to one of the target.
struct Way {
    explicit Way(JoinOptions source_options = {}, JoinOptions target_options = {}) {
        auto made = LocalDoor::open(hosts.io, hosts.workers, door_path, {},
                                    {.dial = [this] { return hosts.open(hosts.client(), hosts.to(), "memory"); },
                                     .options = [source_options] { return source_options; },
                                     .ended = [this](const std::string& why) { note(source_ended, why); }});
        REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().message));
        door = std::move(*made);
        near = connected(door_path);
        join = Join::to_path(hosts.io, hosts.take_stream(), far_path, std::move(target_options),
                             [this](const std::string& why) { note(target_ended, why); });
    }
    // Nobody listens there until now.
    void listen() {
        auto listening = listen_unix(far_path);
        REQUIRE(listening);
        far = accepted(*listening);
        REQUIRE(far);
    }
    void note(std::optional<std::string>& where, const std::string& why) {
        const std::lock_guard hold(mutex);
        where = why;
    }
    bool ended(const std::optional<std::string>& where) {
        return soon([&] {
            const std::lock_guard hold(mutex);
            return where.has_value();
        });
    }

    std::mutex mutex;
    std::optional<std::string> source_ended, target_ended;
    TwoHosts hosts;
    const std::string door_path = hosts.folder / "run/door", far_path = hosts.folder / "qemu.sock";
    std::unique_ptr<LocalDoor> door;
    std::shared_ptr<Join> join;
    Fd near, far;
};

}  // namespace

TEST_CASE("bytes go both ways at once, more than all buffers hold, to a socket on which nobody listened yet") {
    Way way;
    way.listen();
    const std::string there = noise(9'000'011), back = noise(5'000'017);
    std::string got_there, got_back;
    {
        std::jthread a([&] { write_all(way.near.get(), there); }), b([&] { write_all(way.far.get(), back); }),
            c([&] { got_there = read_some(way.far.get(), there.size()); });
        got_back = read_some(way.near.get(), back.size());
    }
    CHECK((got_there == there));
    CHECK((got_back == back));
    way.near.reset();
    CHECK(at_end(way.far.get()));
    REQUIRE(way.ended(way.source_ended));
    REQUIRE(way.ended(way.target_ended));
    CHECK(way.source_ended->empty());
    CHECK(way.target_ended->empty());
}

TEST_CASE("what was sent before the end arrives, also at a reader that comes late") {
    Way way({.buffer_max = 64 << 10}, {.buffer_max = 64 << 10});
    const std::string bytes = noise(6'000'007);
    std::jthread writer([&] {
        write_all(way.near.get(), bytes);
        way.near.reset();
    });
    way.listen();
    CHECK((read_some(way.far.get(), bytes.size() + 1) == bytes));
    CHECK(way.ended(way.source_ended));
    CHECK(way.source_ended->empty());
}

TEST_CASE("a cut on one host ends the sockets of both") {
    Way way;
    way.listen();
    SUBCASE("by the target") {
        way.join->cut("the move is dismissed");
        REQUIRE(way.ended(way.source_ended));
        CHECK(*way.source_ended == "the move is dismissed");
    }
    SUBCASE("by the source") {
        way.door.reset();
        REQUIRE(way.ended(way.target_ended));
        CHECK(*way.target_ended == "the move is over on this host");
        CHECK_FALSE(file_exists(way.door_path));
    }
    SUBCASE("of the whole port") {
        way.hosts.port->stop();
        REQUIRE(way.ended(way.source_ended));
        REQUIRE(way.ended(way.target_ended));
    }
    CHECK(at_end(way.near.get()));
    CHECK(at_end(way.far.get()));
}

TEST_CASE("what passes to the socket can be changed and refused on its way") {
    Way way({}, {.to_socket = [](std::string bytes) -> Result<std::string> {
                if (bytes.find("bad") != std::string::npos)
                    return fail(Code::forbidden, "that call is not let through");
                return "<" + bytes + ">";
            }});
    way.listen();
    write_all(way.near.get(), "good");
    CHECK(read_some(way.far.get(), 6) == "<good>");
    write_all(way.near.get(), "bad");
    CHECK(at_end(way.far.get()));
    CHECK(at_end(way.near.get()));
    REQUIRE(way.ended(way.target_ended));
    CHECK(*way.target_ended == "that call is not let through");
    REQUIRE(way.ended(way.source_ended));
    CHECK(*way.source_ended == "that call is not let through");
}

TEST_CASE("a socket on which nobody ever listens ends the stream, with its name") {
    Way way({}, {.dial_time = milliseconds{20}});
    REQUIRE(way.ended(way.target_ended));
    CHECK(way.target_ended->find("qemu.sock") != std::string::npos);
    CHECK(at_end(way.near.get()));
}

TEST_CASE("the door's socket is for its owner alone, and a refused stream closes the connection with its words") {
    TwoHosts hosts;
    const std::string path = hosts.folder / "run/door";
    std::optional<std::string> why;
    std::mutex mutex;
    auto door = LocalDoor::open(hosts.io, hosts.workers, path, {},
                                {.dial = [] { return Result<ByteStream>(fail(Code::forbidden, "not with me")); },
                                 .ended =
                                     [&](const std::string& words) {
                                         const std::lock_guard hold(mutex);
                                         why = words;
                                     }});
    REQUIRE(door);
    struct stat st {};
    REQUIRE(::stat(path.c_str(), &st) == 0);
    CHECK((st.st_mode & 0777) == 0600);
    const Fd near = connected(path);
    CHECK(at_end(near.get()));
    CHECK(soon([&] {
        const std::lock_guard hold(mutex);
        return why == "not with me";
    }));
}

}  // namespace axle::test
