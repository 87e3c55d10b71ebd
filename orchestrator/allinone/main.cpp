// axle-allinone: a private cloud on one machine.
#include <cstdio>
#include <string_view>

#include "orchestrator/allinone/service.hpp"

namespace {

constexpr const char* kUsage =
    "usage: axle-allinone [--config FILE] [COMMAND]\n"
    "  (none)             run the service until SIGTERM\n"
    "  check-config       read the configuration and say what is wrong with it\n"
    "  host-going-down    record that the host goes down and ask all guests to shut down\n"
    "  remove-furniture   take away bridges, rules and settings (the service must be stopped)\n"
    "  --version\n";

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
    std::string_view command;
    for (int i = 1; i < count; ++i) {
        const std::string_view word = words[i];
        if (word == "--version") return std::puts("axle-allinone " AXLE_VERSION), 0;
        if (word == "--help" || word == "-h") return std::fputs(kUsage, stdout), 0;
        if (word == "--config" && i + 1 < count) {
            config_path = words[++i];
            named = true;
        } else if (command.empty() && !word.starts_with("-")) {
            command = word;
        } else {
            return std::fputs(kUsage, stderr), 2;
        }
    }
    const auto config = axle::read_config(config_path, named);
    if (!config) return report(axle::fail(config.error()));
    if (command.empty()) return report(axle::run_service(*config));
    if (command == "check-config") return 0;
    if (command == "host-going-down") return report(axle::host_going_down(*config));
    if (command == "remove-furniture") return report(axle::remove_furniture(*config));
    return std::fputs(kUsage, stderr), 2;
}
