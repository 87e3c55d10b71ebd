// axle-orchestrator: the desired state of a cloud, and its API.
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/now.hpp"
#include "common/base/units.hpp"
#include "orchestrator/main/orchestrator_service.hpp"
#include "orchestrator/relocation/relocation.hpp"

namespace {

constexpr const char* kUsage =
    "usage: axle-orchestrator [--config FILE] [COMMAND]\n"
    "  (none), run        run the service until SIGTERM\n"
    "  check-config       read the configuration; say what is wrong with it, or all of it with the defaults\n"
    "  import FILE        bring a cloud's orchestrator to this machine, out of the file that axle node split --export\n"
    "                     made; hosts find it by themselves once it runs\n"
    "  export FILE PLACE  pack the cloud into a file for another machine, which is found at PLACE (NAME[:PORT]); the\n"
    "                     service must be stopped, and does not start here any more (axle node split does it all)\n"
    "  announce PLACE     tell hosts, from the next start on, to look for the orchestrator there, too\n"
    "  --version\n";

using Words = std::vector<std::string>;

int report(const axle::Result<>& result) {
    if (result) return 0;
    std::fprintf(stderr, "axle-orchestrator: %s\n", result.error().message.c_str());
    if (!result.error().hint.empty()) std::fprintf(stderr, "  %s\n", result.error().hint.c_str());
    return 1;
}

int tell_done(const axle::Result<axle::Relocated>& done, const char* sentence) {
    if (!done) return report(axle::fail(done.error()));
    std::printf("%s: cluster %s, %zu files, %s\n", sentence, done->cluster.c_str(), done->files,
                axle::format_bytes(done->bytes).c_str());
    return 0;
}

int export_to(const axle::ServiceConfig& config, const std::string& file, const std::string& place) {
    const auto endpoint = axle::endpoint_of(place);
    if (!endpoint) return report(axle::fail(endpoint.error()));
    return tell_done(axle::export_orchestrator(config, {file, *endpoint}, axle::wall_now()), "packed");
}

int announce(const axle::ServiceConfig& config, const std::string& place) {
    const auto endpoint = axle::endpoint_of(place);
    if (!endpoint) return report(axle::fail(endpoint.error()));
    const auto done = axle::announce_endpoint(config, *endpoint);
    if (done) std::puts(endpoint->c_str());
    return report(done);
}

int perform(const axle::ServiceConfig& config, const std::string& command, const Words& arguments) {
    if (command == "import" && arguments.size() == 1)
        return tell_done(axle::import_orchestrator(config, arguments[0]), "unpacked");
    if (command == "export" && arguments.size() == 2) return export_to(config, arguments[0], arguments[1]);
    if (command == "announce" && arguments.size() == 1) return announce(config, arguments[0]);
    if (!arguments.empty()) return std::fputs(kUsage, stderr), 2;
    if (command.empty() || command == "run") return report(axle::run_orchestrator(config));
    if (command == "check-config") return std::puts(axle::config_text(config).c_str()), 0;
    return std::fputs(kUsage, stderr), 2;
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
        if (word == "--version") return std::puts("axle-orchestrator " AXLE_VERSION), 0;
        if (word == "--help" || word == "-h") return std::fputs(kUsage, stdout), 0;
        if (word == "--config" && i + 1 < count) {
            config_path = words[++i];
            named = true;
        } else if (!word.starts_with("-")) {
            command = word;
        } else {
            return std::fputs(kUsage, stderr), 2;
        }
    }
    const auto config = axle::read_config(config_path, named);
    if (!config) return report(axle::fail(config.error()));
    return perform(*config, command, arguments);
}
