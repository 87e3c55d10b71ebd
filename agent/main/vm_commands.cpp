#include "agent/main/vm_commands.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <poll.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "agent/main/agent_service.hpp"
#include "common/base/file.hpp"
#include "common/base/units.hpp"
#include "common/base/unix_address.hpp"
#include "common/http/client.hpp"
#include "common/http/url.hpp"
#include "common/model/codec.hpp"

namespace axle {
namespace {

using Words = std::vector<std::string>;

constexpr char kLeave = 0x1d;  // Ctrl-]

Result<http::Response> ask(const ServiceConfig& config, const char* method, const std::string& target) {
    http::Client client(
        {.endpoint = http::Endpoint{.kind = http::Endpoint::Kind::unix_socket, .path = control_socket(config)}});
    auto answer = client.request(method, target);
    if (!answer)
        return fail(error(Code::unavailable, "the agent does not run here: {}", answer.error().message)
                        .with_hint("systemctl start axle-agent"));
    if (answer->status < 300) return answer;
    const auto problem = parse_json(answer->body);
    if (!problem || !problem->is_object()) return fail(Code::internal, "the agent answers {}", answer->status);
    return fail(error(Code::conflict, "{}", problem->value("detail", "")).with_hint(problem->value("hint", "")));
}

Result<int> list(const ServiceConfig& config, bool json) {
    TRY(answer, ask(config, "GET", "/vms"));
    if (json) return std::puts(answer.body.c_str()), 0;
    TRY(vms, parse_json(answer.body));
    std::puts(fmt::format("{:<32} {:<10} {:<10} {:>4} {:>10}  {}", "NAME", "STATE", "WANTED", "CPUS", "MEMORY", "WAITS")
                  .c_str());
    for (const auto& vm : vms)
        std::puts(fmt::format("{:<32} {:<10} {:<10} {:>4} {:>10}  {}", vm.value("name", ""), vm.value("state", ""),
                              vm.value("power", ""), vm.value("cpus", 0), format_bytes(vm.value("memory", INT64_C(0))),
                              vm.value("waits", ""))
                      .c_str());
    return 0;
}

Result<Fd> connect_to(const std::string& path) {
    TRY(at, unix_address(path));
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0)
        return fail(std::move(system_error("the guest's console " + path, errno)).with_hint("is it running?"));
    return fd;
}

// Copies what is there; false: the end, or the person leaves.
bool copy_some(int from, int to, bool watch_for_leave) {
    std::array<char, 4096> bytes;
    const ssize_t n = ::read(from, bytes.data(), bytes.size());
    if (n <= 0) return n < 0 && errno == EINTR;
    const std::string_view got(bytes.data(), static_cast<std::size_t>(n));
    const auto leave = watch_for_leave ? got.find(kLeave) : std::string_view::npos;
    for (std::string_view rest = got.substr(0, leave); !rest.empty();) {
        const ssize_t written = ::write(to, rest.data(), rest.size());
        if (written < 0 && errno != EINTR) return false;
        if (written > 0) rest.remove_prefix(static_cast<std::size_t>(written));
    }
    return leave == std::string_view::npos;
}

Result<int> console(const ServiceConfig& config, const std::string& name) {
    TRY(answer, ask(config, "GET", "/vms/console" + http::query_string({{"name", name}})));
    TRY(socket, connect_to(answer.body));
    termios before{};
    const bool is_terminal = ::tcgetattr(STDIN_FILENO, &before) == 0;
    if (is_terminal) {
        std::fputs("connected; Ctrl-] leaves\n", stderr);
        termios raw = before;
        ::cfmakeraw(&raw);
        ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
    }
    std::array<pollfd, 2> watched{{{STDIN_FILENO, POLLIN, 0}, {socket.get(), POLLIN, 0}}};
    for (bool goes_on = true; goes_on;) {
        if (::poll(watched.data(), watched.size(), -1) < 0 && errno != EINTR) break;
        if ((watched[1].revents & (POLLIN | POLLHUP)) != 0) goes_on = copy_some(socket.get(), STDOUT_FILENO, false);
        if (goes_on && (watched[0].revents & (POLLIN | POLLHUP)) != 0)
            goes_on = copy_some(STDIN_FILENO, socket.get(), true);
    }
    if (is_terminal) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    return 0;
}

}  // namespace

const char* const kVmCommands =
    "  vm list [-o json]  the guests of this host\n"
    "  vm start NAME      start one, with the orchestrator away; it takes that over when it is back\n"
    "  vm stop NAME [--force]\n"
    "                     the same: shut one down, or power it off\n"
    "  vm console NAME    its serial line; Ctrl-] leaves\n";

Result<int> run_vm_command(const ServiceConfig& config, const Words& words) {
    const std::string verb = words.empty() ? "" : words[0];
    if (verb == "list" && (words.size() == 1 || words == Words{"list", "-o", "json"}))
        return list(config, words.size() > 1);
    if (verb == "console" && words.size() == 2) return console(config, words[1]);
    const bool force = words.size() == 3 && verb == "stop" && words[2] == "--force";
    if ((verb != "start" && verb != "stop") || (words.size() != 2 && !force)) return 2;
    const auto done = ask(
        config, "POST", "/vms/" + verb + http::query_string({{"name", words[1]}, {"force", force ? "true" : "false"}}));
    if (!done) return fail(done.error());
    return 0;
}

}  // namespace axle
