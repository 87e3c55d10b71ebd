// What reaches into a guest: console, vnc, log, screenshot, forward, ssh.
#include <arpa/inet.h>
#include <charconv>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/file.hpp"
#include "common/http/url.hpp"
#include "orchestrator/cli/app.hpp"
#include "orchestrator/cli/pump.hpp"

namespace axle::cli {
namespace {

constexpr int kEscape = 0x1d;  // Ctrl-]

std::string vm_path(const Session& session, const std::string& vm, const char* below) {
    return session.path_of(info_of(Kind::vm), vm) + "/" + below;
}

Result<int> console(Session& session, const std::string& vm) {
    TRY(socket, session.client().websocket(vm_path(session, vm, "console")));
    const Terminal& terminal = session.terminal();
    if (terminal.in_is_tty) terminal.say(fmt::format("console of {}; Ctrl-] leaves it\r", vm));
    Result<> ended;
    {
        const RawTerminal raw(terminal.in_fd);
        ended = pump(socket, terminal.in_fd, ::fileno(terminal.out), {.escape = terminal.in_is_tty ? kEscape : -1});
    }
    if (terminal.in_is_tty) terminal.say("");
    if (!ended) return fail(std::move(ended.error()).in("the console"));
    return 0;
}

Result<int> log(Session& session, const std::string& vm, bool follow, std::int64_t tail) {
    Query query;
    if (follow) query.emplace_back("follow", "true");
    if (tail > 0) query.emplace_back("tail", std::to_string(tail));
    const InterruptGuard guard;
    auto response = session.client().download(vm_path(session, vm, "log") + http::query_string(query), {},
                                              [&](std::string_view bytes) {
                                                  session.terminal().data(bytes);
                                                  return !was_interrupted();
                                              });
    if (was_interrupted()) return 0;
    if (!response) return fail(std::move(response.error()));
    if (response->status > 299) return fail(error_of_response(*response));
    return 0;
}

Result<int> screenshot(Session& session, const std::string& vm, const std::string& file) {
    auto response = session.client().request("GET", vm_path(session, vm, "screenshot"));
    if (!response) return fail(std::move(response.error()));
    if (response->status > 299) return fail(error_of_response(*response));
    if (file == "-") return session.terminal().data(response->body), 0;
    const std::string path = file.empty() ? vm.substr(vm.find('/') + 1) + ".png" : file;
    TRY_VOID(write_file_durably(path, response->body, 0644));
    session.terminal().say("written to " + path);
    return 0;
}

Result<std::pair<Fd, int>> listen_here(const std::string& address, int port) {
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(static_cast<std::uint16_t>(port));
    if (::inet_pton(AF_INET, address.c_str(), &where.sin_addr) != 1)
        return fail(usage(fmt::format("\"{}\" is no IPv4 address", address)));
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&where), sizeof where) != 0 || ::listen(fd.get(), 64) != 0)
        return fail(system_error(fmt::format("port {} of this machine", port), errno));
    socklen_t size = sizeof where;
    ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&where), &size);
    return std::pair(std::move(fd), static_cast<int>(ntohs(where.sin_port)));
}

Result<int> tunnel(Session& session, const std::string& path, int local_port, const std::string& sentence) {
    TRY(listening, listen_here("127.0.0.1", local_port));
    session.terminal().say(fmt::format("127.0.0.1:{} {}; Ctrl-C ends it", listening.second, sentence));
    const InterruptGuard guard;
    TRY_VOID(serve_tunnels(
        listening.first.get(), [&] { return session.client().websocket(path); },
        [&](const Error& e) { tell_error(session.terminal(), e); }));
    return 0;
}

struct Ports {
    int local = 0, remote = 0;
};
Result<Ports> parse_ports(const std::string& text) {
    const auto number = [](std::string_view t) {
        int n = 0;
        const auto read = std::from_chars(t.data(), t.data() + t.size(), n);
        return read.ec == std::errc{} && read.ptr == t.data() + t.size() && n > 0 && n < 65536 ? n : 0;
    };
    const std::size_t colon = text.find(':');
    Ports ports;
    ports.remote = number(colon == std::string::npos ? text : std::string_view(text).substr(colon + 1));
    ports.local = colon == std::string::npos ? ports.remote : number(std::string_view(text).substr(0, colon));
    const bool any_local = colon == 0;
    if (ports.remote == 0 || (ports.local == 0 && !any_local))
        return fail(usage(fmt::format("\"{}\" is neither PORT nor LOCAL:REMOTE", text), "for example 8080:80"));
    return ports;
}

Result<int> forward(Session& session, const std::string& vm, const std::string& ports_text, bool stdio) {
    TRY(ports, parse_ports(ports_text));
    const std::string path = vm_path(session, vm, "forward") + fmt::format("?port={}", ports.remote);
    if (!stdio) return tunnel(session, path, ports.local, fmt::format("leads to port {} of {}", ports.remote, vm));
    TRY(socket, session.client().websocket(path));
    TRY_VOID(pump(socket, session.terminal().in_fd, ::fileno(session.terminal().out)));
    return 0;
}

std::string user_of_image(const std::string& image) {
    for (const char* user : {"debian", "ubuntu", "fedora", "almalinux", "rocky", "centos", "arch", "alpine"}) {
        if (image.find(user) != std::string::npos) return user;
    }
    return "root";
}

// In single quotes for the shell that ssh runs ProxyCommand with.
std::string shell_quoted(const std::string& text) {
    std::string out = "'";
    for (const char c : text)
        out += c == '\'' ? std::string("'\\''") : c == '%' ? std::string("%%") : std::string(1, c);
    return out + "'";
}

// The same server as this session's, for the `axle forward` that ssh starts; the token goes by the environment.
std::string proxy_command(const Session& session, const std::string& vm) {
    const Wanted& wanted = session.flags().wanted;
    // Without "exec": ssh puts it in front itself.
    std::string command = shell_quoted("/proc/" + std::to_string(::getpid()) + "/exe");
    std::error_code ignored;
    char self[4096];
    if (const ssize_t n = ::readlink("/proc/self/exe", self, sizeof self); n > 0)
        command = shell_quoted(std::string(self, static_cast<std::size_t>(n)));
    if (!wanted.context.empty()) command += " --context " + shell_quoted(wanted.context);
    if (!wanted.endpoint.empty()) command += " --endpoint " + shell_quoted(wanted.endpoint);
    if (!wanted.token_file.empty()) command += " --token-file " + shell_quoted(wanted.token_file);
    return command + " --project " + shell_quoted(session.project()) + " forward " + shell_quoted(vm) + " 22 --stdio";
}

Result<int> ssh(Session& session, const std::string& target, const std::vector<std::string>& words, std::string user) {
    std::string vm = target;
    if (const std::size_t at = target.find('@'); at != std::string::npos) {
        user = target.substr(0, at);
        vm = target.substr(at + 1);
    }
    TRY(object, session.get(session.path_of(info_of(Kind::vm), vm)));
    const json* image = find_at(object, "/spec/disks/root/image");
    if (user.empty()) user = user_of_image(image != nullptr && image->is_string() ? image->get<std::string>() : "");
    const std::string keys = config_directory(session.terminal()) + "/known_hosts";
    TRY_VOID(make_directories(keys, 0700));
    const std::string id = object.value("id", "");
    // Each VM has its own file, by id: a new VM of an old name or address is no stranger with a changed key.
    std::vector<std::string> argv = {"ssh",
                                     "-o",
                                     "ProxyCommand=" + proxy_command(session, vm),
                                     "-o",
                                     "UserKnownHostsFile=" + keys + "/" + id,
                                     "-o",
                                     "StrictHostKeyChecking=accept-new",
                                     "-o",
                                     "HostKeyAlias=" + id,
                                     "-l",
                                     user,
                                     object.value("name", vm)};
    argv.insert(argv.end(), words.begin(), words.end());
    std::vector<char*> raw;
    for (std::string& word : argv) raw.push_back(word.data());
    raw.push_back(nullptr);
    if (!session.flags().wanted.token.empty()) ::setenv("AXLE_TOKEN", session.flags().wanted.token.c_str(), 1);
    ::execvp("ssh", raw.data());
    return fail(
        std::move(system_error("ssh", errno)).with_hint("is the OpenSSH client installed? apt install openssh-client"));
}

struct Options {
    std::string vm, text, user;
    std::vector<std::string> words;
    bool flag = false;
    std::int64_t number = 0;
};

void add_to(Build& build, CLI::App* at) {  // under vm and, for the common ones, at the top
    auto c = std::make_shared<Options>();
    CLI::App* con =
        build.verb(at, "console", "Serial console; Ctrl-] leaves it", [c](Session& s) { return console(s, c->vm); });
    con->add_option("name", c->vm, "VM")->required();
    auto h = std::make_shared<Options>();
    CLI::App* shell = build.verb(at, "ssh", "Log in by ssh, from any machine: axle ssh web1 -- uptime",
                                 [h](Session& s) { return ssh(s, h->vm, h->words, h->user); });
    shell->add_option("name", h->vm, "VM, or USER@VM")->required();
    shell->add_option("-l,--user", h->user, "User in the guest");
    shell->add_option("command", h->words, "Command to run there, after --");
    auto f = std::make_shared<Options>();
    CLI::App* fwd = build.verb(at, "forward", "A port of this machine that leads to one of the guest",
                               [f](Session& s) { return forward(s, f->vm, f->text, f->flag); });
    fwd->add_option("name", f->vm, "VM")->required();
    fwd->add_option("ports", f->text, "PORT, LOCAL:REMOTE or :REMOTE")->required();
    fwd->add_flag("--stdio", f->flag, "Use standard input and output instead of a port");
}

}  // namespace

void add_connect_commands(Build& build) {
    CLI::App* noun = build.noun("vm", info_of(Kind::vm).doc);
    add_to(build, noun);
    add_to(build, &build.app);
    auto l = std::make_shared<Options>();
    CLI::App* log_verb = build.verb(noun, "log", "What the guest wrote to its serial port",
                                    [l](Session& s) { return log(s, l->vm, l->flag, l->number); });
    log_verb->add_option("name", l->vm, "VM")->required();
    log_verb->add_flag("-f,--follow", l->flag, "Go on with what comes");
    log_verb->add_option("--tail", l->number, "Only so many bytes from the end");
    auto p = std::make_shared<Options>();
    CLI::App* shot = build.verb(noun, "screenshot", "A picture of the screen (PNG)",
                                [p](Session& s) { return screenshot(s, p->vm, p->text); });
    shot->add_option("name", p->vm, "VM")->required();
    shot->add_option("file", p->text, "File to write; - is standard output");
    auto v = std::make_shared<Options>();
    CLI::App* vnc = build.verb(noun, "vnc", "A port of this machine that a VNC viewer can connect to", [v](Session& s) {
        return tunnel(s, vm_path(s, v->vm, "vnc"), static_cast<int>(v->number), "shows the screen of " + v->vm);
    });
    vnc->add_option("name", v->vm, "VM")->required();
    vnc->add_option("--port", v->number, "Port of this machine (default: a free one)")->check(CLI::Range(0, 65535));
}

}  // namespace axle::cli
