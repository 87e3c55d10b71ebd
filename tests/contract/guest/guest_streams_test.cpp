// Streams to guests, over real sockets and files: the test stands where QEMU and the guest would.
#include "agent/guest/guest_streams.hpp"

#include <arpa/inet.h>
#include <filesystem>
#include <fstream>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

#include <doctest/doctest.h>

#include "common/base/file.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/waiting_executor.hpp"

namespace axle::test {
namespace {

struct Lab {
    TempDir dir;
    WaitingExecutor core;
    Loop io{"guest streams"};
    std::jthread thread{[this] { io.run(); }};
    std::map<std::uint64_t, std::string> got;
    std::map<std::uint64_t, std::string> closed;
    Result<std::string> picture = std::string(600'000, 'p');
    std::unique_ptr<GuestStreams> streams = std::make_unique<GuestStreams>(
        io, core,
        GuestPaths{.console = [this](VmId) { return dir / "console"; },
                   .vnc = [this](VmId) { return dir / "vnc"; },
                   .log = [this](VmId) { return dir / "log"; },
                   .device = [](VmId, const std::string& address) -> Result<std::string> {
                       if (address.ends_with(".9")) return fail(Code::forbidden, "{} is of somebody else", address);
                       return address.ends_with(".8") ? "axnone" : "lo";
                   }},
        [this](Message message) { take(std::move(message)); },
        [this](VmId, auto answer) { core.post([this, answer] { answer(picture); }); });

    ~Lab() {
        streams.reset();
        io.stop();
    }
    void take(Message message) {
        if (const auto* data = std::get_if<StreamData>(&message)) got[data->stream] += data->bytes;
        if (const auto* end = std::get_if<StreamClose>(&message)) {
            CHECK_FALSE(closed.contains(end->stream));  // once
            closed[end->stream] = end->error;
        }
    }
    void write(const std::string& name, const std::string& bytes) {
        std::ofstream(dir / name, std::ios::binary | std::ios::app) << bytes;
    }
    bool until(const std::function<bool()>& claim) { return core.run_until(claim, seconds{20}); }
};

// A guest's end of a socket.
class Guest {
  public:
    explicit Guest(const std::string& path) : listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        REQUIRE(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
        REQUIRE(::listen(listener_.get(), 4) == 0);
    }
    Guest() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
        REQUIRE(::listen(listener_.get(), 4) == 0);
    }
    std::int64_t port() const {
        sockaddr_in address{};
        socklen_t size = sizeof address;
        REQUIRE(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
        return ntohs(address.sin_port);
    }
    void accept() {
        peer_.reset(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        REQUIRE(peer_);
        const timeval limit{20, 0};
        ::setsockopt(peer_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        ::setsockopt(peer_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    }
    bool nobody_came() const {
        pollfd waiting{listener_.get(), POLLIN, 0};
        return ::poll(&waiting, 1, 0) == 0;
    }
    void say(const std::string& bytes) {
        REQUIRE(::send(peer_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
    }
    std::string hear(std::size_t n) {
        std::string bytes(n, '\0');
        const ssize_t got = ::recv(peer_.get(), bytes.data(), n, MSG_WAITALL);
        bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
        return bytes;
    }
    // Bytes that fit before the other side stops taking them.
    std::size_t flood() {
        const std::string piece(65536, 'x');
        const timeval limit{1, 0};
        ::setsockopt(peer_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        std::size_t sent = 0;
        for (ssize_t n = 0; sent < (64u << 20); sent += static_cast<std::size_t>(n)) {
            n = ::send(peer_.get(), piece.data(), piece.size(), MSG_NOSIGNAL);
            if (n <= 0) break;
        }
        return sent;
    }
    void hang_up() { peer_.reset(); }

  private:
    Fd listener_, peer_;
};

}  // namespace

TEST_CASE("a console carries bytes both ways until the guest's side ends it") {
    Lab lab;
    Guest guest(lab.dir / "console");
    lab.streams->handle(StreamOpen{.stream = 1});
    guest.accept();
    const std::string binary("login: \0\xff\n", 10);
    guest.say(binary);
    CHECK(lab.until([&] { return lab.got[1] == binary; }));
    lab.streams->handle(StreamData{1, "root\n"});
    CHECK(guest.hear(5) == "root\n");
    guest.hang_up();
    CHECK(lab.until([&] { return lab.closed.contains(1); }));
    CHECK(lab.closed[1] == "");
    lab.streams->handle(StreamData{1, "late"});
    lab.streams->handle(StreamClose{1, ""});
}

TEST_CASE("streams don't mix, and one that is closed leaves the others alone") {
    Lab lab;
    Guest console(lab.dir / "console"), screen(lab.dir / "vnc"), service;
    lab.streams->handle(StreamOpen{.stream = 1, .kind = StreamKind::console});
    lab.streams->handle(StreamOpen{.stream = 2, .kind = StreamKind::vnc});
    lab.streams->handle(
        StreamOpen{.stream = 3, .kind = StreamKind::tcp, .address = "127.0.0.1", .port = service.port()});
    console.accept();
    screen.accept();
    service.accept();
    console.say("c");
    screen.say("s");
    service.say("t");
    CHECK(lab.until([&] { return lab.got[1] == "c" && lab.got[2] == "s" && lab.got[3] == "t"; }));
    lab.streams->handle(StreamClose{2, ""});
    CHECK(screen.hear(1) == "");  // hung up
    console.say("C");
    CHECK(lab.until([&] { return lab.got[1] == "cC"; }));
    lab.streams->handle(std::nullopt);  // the connection to the orchestrator is gone
    CHECK(console.hear(1) == "");
    CHECK(service.hear(1) == "");
    CHECK(lab.closed.empty());  // who hung up needn't be told
}

TEST_CASE("what can't be reached is told with the reason, once") {
    Lab lab;
    lab.streams->handle(StreamOpen{.stream = 1, .kind = StreamKind::console});
    lab.streams->handle(StreamOpen{.stream = 2, .kind = StreamKind::tcp, .address = "not-an-address", .port = 22});
    lab.streams->handle(StreamOpen{.stream = 3, .kind = StreamKind::tcp, .address = "127.0.0.1", .port = 0});
    lab.streams->handle(StreamOpen{.stream = 4, .kind = StreamKind::tcp, .address = "127.0.0.1", .port = 1});
    lab.streams->handle(StreamOpen{.stream = 5, .kind = StreamKind::tcp, .address = "127.0.0.8", .port = 22});
    CHECK(lab.until([&] { return lab.closed.size() == 5; }));
    CHECK(lab.closed[5].find("axnone") != std::string::npos);
    for (const auto& [stream, why] : lab.closed) {
        CAPTURE(stream);
        CHECK(why != "");
    }
}

TEST_CASE("a tunnel goes to the guest's own addresses, over the guest's own network, and nowhere else") {
    Lab lab;
    Guest service;
    lab.streams->handle(
        StreamOpen{.stream = 1, .kind = StreamKind::tcp, .address = "127.0.0.9", .port = service.port()});
    CHECK(lab.until([&] { return lab.closed.contains(1); }));
    CHECK(lab.closed[1] == "127.0.0.9 is of somebody else");
    CHECK(service.nobody_came());
}

TEST_CASE("a guest that takes nothing ends its stream instead of filling memory") {
    Lab lab;
    Guest guest(lab.dir / "console");
    lab.streams->handle(StreamOpen{.stream = 1});
    guest.accept();
    for (int i = 0; i < 64 && lab.closed.empty(); ++i) {
        lab.streams->handle(StreamData{1, std::string(65536, 'x')});
        lab.core.run();
    }
    CHECK(lab.until([&] { return lab.closed.contains(1); }));
    CHECK(lab.closed[1].find("does not take") != std::string::npos);
}

TEST_CASE("a guest that floods waits while its words are not yet taken, and loses none") {
    Lab lab;
    Guest guest(lab.dir / "console");
    lab.streams->handle(StreamOpen{.stream = 1});
    guest.accept();
    const std::size_t sent = guest.flood();  // the core takes nothing meanwhile
    CHECK(sent < (8u << 20));
    CHECK(lab.until([&] { return lab.got[1].size() == sent; }));
    guest.say("!");
    CHECK(lab.until([&] { return lab.got[1].ends_with("!"); }));
}

TEST_CASE("a log is read whole, or its tail, and ends") {
    Lab lab;
    std::string text;
    for (int i = 0; i < 20'000; ++i) text += fmt::format("line {}\n", i);
    lab.write("log", text);
    lab.streams->handle(StreamOpen{.stream = 1, .kind = StreamKind::log});
    lab.streams->handle(StreamOpen{.stream = 2, .kind = StreamKind::log, .tail = 100});
    CHECK(lab.until([&] { return lab.closed.size() == 2; }));
    CHECK(lab.got[1] == text);
    CHECK(lab.got[2] == text.substr(text.size() - 100));
    CHECK(lab.closed[1] == "");
}

TEST_CASE("a log that is followed goes on over rotation, and may begin before there is one") {
    Lab lab;
    lab.streams->handle(StreamOpen{.stream = 1, .kind = StreamKind::log, .follow = true});
    lab.write("log", "one ");
    CHECK(lab.until([&] { return lab.got[1] == "one "; }));
    lab.write("log", "two ");
    CHECK(lab.until([&] { return lab.got[1] == "one two "; }));
    lab.write("log", "three ");
    std::filesystem::rename(lab.dir / "log", lab.dir / "log.0");  // as virtlogd does
    lab.write("log", "four");
    CHECK(lab.until([&] { return lab.got[1] == "one two three four"; }));
    CHECK(lab.closed.empty());
    lab.streams->handle(StreamClose{1, ""});
}

TEST_CASE("a screenshot comes in pieces that fit a message, or as a reason") {
    Lab lab;
    lab.streams->handle(StreamOpen{.stream = 1, .kind = StreamKind::screenshot});
    CHECK(lab.until([&] { return lab.closed.contains(1); }));
    CHECK(lab.got[1] == *lab.picture);
    CHECK(lab.closed[1] == "");
    lab.picture = fail(Code::conflict, "the guest is off");
    lab.streams->handle(StreamOpen{.stream = 2, .kind = StreamKind::screenshot});
    CHECK(lab.until([&] { return lab.closed.contains(2); }));
    CHECK(lab.closed[2] == "the guest is off");
}

}  // namespace axle::test
