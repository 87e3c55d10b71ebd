#include "orchestrator/cli/local_agent.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "common/base/file.hpp"

extern char** environ;

namespace axle::cli {

std::optional<std::string> output_of(const std::string& program, std::vector<std::string> words) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return std::nullopt;
    Fd read_end(ends[0]), write_end(ends[1]);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, write_end.get(), 1);
    std::vector<char*> argv;
    words.insert(words.begin(), program);
    for (std::string& w : words) argv.push_back(w.data());
    argv.push_back(nullptr);
    pid_t child = 0;
    const int started = ::posix_spawnp(&child, program.c_str(), &actions, nullptr, argv.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    write_end.reset();
    if (started != 0) return std::nullopt;
    std::string out;
    char buffer[4096];
    for (ssize_t n = 0; (n = ::read(read_end.get(), buffer, sizeof buffer)) > 0 && out.size() < (1 << 20);)
        out.append(buffer, static_cast<std::size_t>(n));
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return out.empty() ? std::nullopt : std::optional(out);
}

Error nobody_here(Error unreachable) {
    using nlohmann::json;
    const auto told = output_of("axle-agent", {"status", "-o", "json"});
    const json agent = told ? json::parse(*told, nullptr, false) : json();
    unreachable.hint =
        "should it run on this machine: systemctl status axle-allinone axle-orchestrator; it runs on another one: axle "
        "login https://THAT-MACHINE:7443, once";
    if (!agent.is_object()) return unreachable;
    if (!agent.value("joined", false)) {
        unreachable.message = "no orchestrator runs on this machine, and its agent has joined none";
        unreachable.hint =
            "where the orchestrator is: axle host token create prints the line that joins this machine to it";
        return unreachable;
    }
    const std::string name = agent.value("host", json::object()).value("name", ""), at = agent.value("endpoint", "");
    unreachable.message = fmt::format("this machine is host {} of a cloud whose orchestrator is at {}: none runs here",
                                      name.empty() ? "(not named yet)" : name, at.empty() ? "another machine" : at);
    unreachable.hint = fmt::format(
        "run the command there, or once here: axle login {}; the guests of this host alone: axle-agent vm list",
        at.empty() ? "https://THAT-MACHINE:7443" : at);
    return unreachable;
}

}  // namespace axle::cli
