// axle-agent: keeps one host's guests, networks and disks.
#include <array>
#include <cstdio>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

#include "agent/host_commands.hpp"
#include "agent/main/agent_program.hpp"
#include "agent/main/agent_service.hpp"
#include "agent/main/vm_commands.hpp"

namespace {

constexpr const char* kUsage =
    "usage: axle-agent [--config FILE] [COMMAND]\n"
    "  (none), run        keep this host until SIGTERM\n"
    "  join STRING [--endpoint URL]\n"
    "                     make this machine a host of a cloud, or renew its certificate (axle host token create);\n"
    "                     URL: where it looks for the orchestrator first\n"
    "  status [-o json]   whether it has joined and is connected\n"
    "  check-config       read the configuration; say what is wrong with it, or all of it with the defaults\n"
    "  host-going-down    record that the host goes down and ask all guests to shut down\n"
    "  host-stays-up      take that back: guests that were to run are started again\n"
    "  remove-furniture   take away bridges, rules and settings (the service must be stopped)\n";

using Words = std::vector<std::string>;

int tell_usage(std::FILE* where) {
    std::fprintf(where, "%s%s%s  --version\n", kUsage, axle::kVmCommands, axle::kHostCommands);
    return where == stdout ? 0 : 2;
}

int report(const axle::Result<>& result) {
    if (result) return 0;
    std::fprintf(stderr, "axle-agent: %s\n", result.error().message.c_str());
    if (!result.error().hint.empty()) std::fprintf(stderr, "  %s\n", result.error().hint.c_str());
    return 1;
}

int print(const axle::Result<std::string>& text) {
    if (!text) return report(axle::fail(text.error()));
    std::puts(text->c_str());
    return 0;
}

int run(const axle::ServiceConfig& config, char** words) {
    const auto again = axle::run_agent(config);
    if (!again) return report(axle::fail(again.error()));
    if (*again) ::execv("/proc/self/exe", words);
    return *again ? 1 : 0;
}

int perform(const axle::ServiceConfig& config, const std::string& command, const Words& arguments, char** words) {
    if (axle::is_host_command(command))
        return axle::run_host_command("axle-agent", command, arguments, axle::agent_options(config));
    if (command == "vm") {
        const auto status = axle::run_vm_command(config, arguments);
        if (!status) return report(axle::fail(status.error()));
        return *status == 2 ? tell_usage(stderr) : *status;
    }
    if (command == "join" && arguments.size() == 1) return print(axle::join_host(config, arguments[0], ""));
    if (command == "join" && arguments.size() == 3 && arguments[1] == "--endpoint")
        return print(axle::join_host(config, arguments[0], arguments[2]));
    if (command == "status" && (arguments.empty() || arguments == Words{"-o", "json"}))
        return print(axle::agent_status(config, !arguments.empty()));
    if (!arguments.empty()) return tell_usage(stderr);
    if (command.empty() || command == "run") return run(config, words);
    if (command == "check-config") return std::puts(axle::config_text(config).c_str()), 0;
    if (command == "host-going-down") return report(axle::host_going_down(config));
    if (command == "host-stays-up") return report(axle::host_stays_up(config));
    if (command == "remove-furniture") return report(axle::remove_furniture(config));
    return tell_usage(stderr);
}

}  // namespace

int main(int count, char** words) {
    std::string config_path = "/etc/axle/axle.yaml";
    bool named = false;
    std::string command;
    Words arguments;  // of the command
    for (int i = 1; i < count; ++i) {
        const std::string_view word = words[i];
        if (!command.empty()) {
            arguments.emplace_back(word);
            continue;
        }
        if (word == "--version") return std::puts("axle-agent " AXLE_VERSION), 0;
        if (word == "--help" || word == "-h") return tell_usage(stdout);
        if (word == "--config" && i + 1 < count) {
            config_path = words[++i];
            named = true;
        } else if (!word.starts_with("-")) {
            command = word;
        } else {
            return tell_usage(stderr);
        }
    }
    const auto config = axle::read_config(config_path, named);
    if (!config) return report(axle::fail(config.error()));
    return perform(*config, command, arguments, words);
}
