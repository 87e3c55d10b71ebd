// axle-allinone: a private cloud on one machine.
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "agent/host_commands.hpp"
#include "agent/main/agent_service.hpp"
#include "orchestrator/allinone/service.hpp"

namespace {

constexpr const char* kUsage =
    "usage: axle-allinone [--config FILE] [COMMAND]\n"
    "  (none)             run the service until SIGTERM\n"
    "  check-config       read the configuration; say what is wrong with it, or all of it with the defaults\n"
    "  host-going-down    record that the host goes down and ask all guests to shut down\n"
    "  host-stays-up      take that back: guests that were to run are started again\n"
    "  remove-furniture   take away bridges, rules and settings (the service must be stopped)\n";

void tell_usage(std::FILE* where) {
    std::fprintf(where, "%s%s  --version\n", kUsage, axle::kHostCommands);
}

int report(const axle::Result<>& result) {
    if (result) return 0;
    std::fprintf(stderr, "axle-allinone: %s\n", result.error().message.c_str());
    if (!result.error().hint.empty()) std::fprintf(stderr, "  %s\n", result.error().hint.c_str());
    return 1;
}

}  // namespace

int main(int count, char** words) {
    std::string config_path = "/etc/axle/axle.yaml";
    bool named = false;
    std::string command;
    std::vector<std::string> arguments;  // of the command
    for (int i = 1; i < count; ++i) {
        const std::string_view word = words[i];
        if (!command.empty()) {
            arguments.emplace_back(word);
            continue;
        }
        if (word == "--version") return std::puts("axle-allinone " AXLE_VERSION), 0;
        if (word == "--help" || word == "-h") return tell_usage(stdout), 0;
        if (word == "--config" && i + 1 < count) {
            config_path = words[++i];
            named = true;
        } else if (!word.starts_with("-")) {
            command = word;
        } else {
            return tell_usage(stderr), 2;
        }
    }
    const auto config = axle::read_config(config_path, named);
    if (!config) return report(axle::fail(config.error()));
    if (command.empty()) return report(axle::run_service(*config));
    if (axle::is_host_command(command))
        return axle::run_host_command("axle-allinone", command, arguments, axle::agent_options(*config));
    if (!arguments.empty()) return tell_usage(stderr), 2;
    if (command == "check-config") return std::puts(axle::config_text(*config).c_str()), 0;
    if (command == "host-going-down") return report(axle::host_going_down(*config));
    if (command == "host-stays-up") return report(axle::host_stays_up(*config));
    if (command == "remove-furniture") return report(axle::remove_furniture(*config));
    return tell_usage(stderr), 2;
}
