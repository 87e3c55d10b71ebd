// Consoles and tunnels of the command line, against a host that echoes.
#include "orchestrator/cli/pump.hpp"

#include <csignal>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

#include "common/base/file.hpp"
#include "orchestrator/cli/run.hpp"
#include "tests/support/cloud_server.hpp"

using namespace axle;
using namespace axle::test;

namespace {

// Reads until the text has come, 10 s at most.
std::string read_until(int fd, const std::string& wanted) {
    std::string out;
    pollfd ready{fd, POLLIN, 0};
    while (out.find(wanted) == std::string::npos && ::poll(&ready, 1, 10'000) > 0) {
        char buffer[4096];
        const ssize_t n = ::read(fd, buffer, sizeof buffer);
        if (n <= 0) break;
        out.append(buffer, static_cast<std::size_t>(n));
    }
    return out;
}

// A VM that runs on the echoing host.
void start_vm(CloudServer& cloud) {
    cloud.add_host("h1");
    auto client = cloud.client();
    const auto post = [&](const char* path, const char* body) {
        const auto made = client.request("POST", path, {{"Content-Type", "application/json"}}, body);
        REQUIRE(made);
        CAPTURE(made->body);
        REQUIRE(made->status < 300);
    };
    post("/v1/pools", R"({"name":"main","spec":{"path":"/p","default":true}})");
    post("/v1/projects/default/images?wait=10s", R"({"name":"tiny","spec":{"url":"http://127.0.0.1/x"}})");
    post("/v1/projects/default/networks", R"({"name":"blue","spec":{"cidr":"10.90.0.0/24"}})");
    post(
        "/v1/projects/default/vms?wait=20s",
        R"({"name":"a","spec":{"memory":"128MiB","disks":{"root":{"image":"tiny"}},"nics":{"eth0":{"network":"blue"}}}})");
}

}  // namespace

TEST_CASE("a console carries bytes both ways until the escape comes") {
    CloudServer cloud;
    start_vm(cloud);
    int input[2], output[2];
    REQUIRE(::pipe(input) == 0);
    REQUIRE(::pipe(output) == 0);
    const Fd in(input[0]), type(input[1]), out(output[1]), screen(output[0]);
    auto socket = cloud.client().websocket("/v1/projects/default/vms/a/console");
    REQUIRE(socket);
    Result<> ended;
    std::thread person([&] { ended = cli::pump(*socket, in.get(), out.get(), {.escape = 0x1d}); });
    CHECK(read_until(screen.get(), "welcome\n") == "welcome\n");
    CHECK(::write(type.get(), "ls\n", 3) == 3);
    CHECK(read_until(screen.get(), "ls\n") == "echo:ls\n");
    CHECK(::write(type.get(), "\x1dnever", 6) == 6);
    person.join();
    CHECK(ended.has_value());
}

TEST_CASE("a forwarded port gives each connection a tunnel of its own") {
    CloudServer cloud;
    start_vm(cloud);
    const TempDir dir;
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    const std::string path = dir / "s";
    path.copy(where.sun_path, sizeof where.sun_path - 1);
    const Fd listening(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(listening.get(), reinterpret_cast<sockaddr*>(&where), sizeof where) == 0);
    REQUIRE(::listen(listening.get(), 8) == 0);
    const cli::InterruptGuard guard;
    std::thread server([&] {
        auto client = cloud.client();
        (void)cli::serve_tunnels(
            listening.get(), [&] { return client.websocket("/v1/projects/default/vms/a/forward?port=22"); },
            [](const Error& e) { FAIL_CHECK(e.message); });
    });
    std::vector<Fd> callers;
    for (int i = 0; i < 3; ++i) {
        Fd caller(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        REQUIRE(::connect(caller.get(), reinterpret_cast<sockaddr*>(&where), sizeof where) == 0);
        CHECK(read_until(caller.get(), "welcome\n") == "welcome\n");
        callers.push_back(std::move(caller));
    }
    for (std::size_t i = 0; i < callers.size(); ++i) {
        const std::string said = fmt::format("caller {}\n", i);
        CHECK(::write(callers[i].get(), said.data(), said.size()) == static_cast<ssize_t>(said.size()));
        CHECK(read_until(callers[i].get(), "\n") == "echo:" + said);
    }
    ::kill(::getpid(), SIGINT);
    server.join();
}
