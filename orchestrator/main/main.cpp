// axle-orchestrator: the desired state of a cloud, and its API.
#include <cstdio>
#include <string>
#include <string_view>

#include "orchestrator/main/orchestrator_service.hpp"

namespace {

constexpr const char* kUsage =
    "usage: axle-orchestrator [--config FILE] [COMMAND]\n"
    "  (none), run    run the service until SIGTERM\n"
    "  check-config   read the configuration; say what is wrong with it, or all of it with the defaults\n"
    "  --version\n";

int report(const axle::Result<>& result) {
    if (result) return 0;
    std::fprintf(stderr, "axle-orchestrator: %s\n", result.error().message.c_str());
    if (!result.error().hint.empty()) std::fprintf(stderr, "  %s\n", result.error().hint.c_str());
    return 1;
}

}  // namespace

int main(int count, char** words) {
    std::string config_path = "/etc/axle/axle.yaml";
    bool named = false;
    std::string command;
    for (int i = 1; i < count; ++i) {
        const std::string_view word = words[i];
        if (word == "--version") return std::puts("axle-orchestrator " AXLE_VERSION), 0;
        if (word == "--help" || word == "-h") return std::fputs(kUsage, stdout), 0;
        if (word == "--config" && i + 1 < count) {
            config_path = words[++i];
            named = true;
        } else if (!word.starts_with("-") && command.empty()) {
            command = word;
        } else {
            return std::fputs(kUsage, stderr), 2;
        }
    }
    const auto config = axle::read_config(config_path, named);
    if (!config) return report(axle::fail(config.error()));
    if (command.empty() || command == "run") return report(axle::run_orchestrator(*config));
    if (command == "check-config") return std::puts(axle::config_text(*config).c_str()), 0;
    return std::fputs(kUsage, stderr), 2;
}
