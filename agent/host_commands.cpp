#include "agent/host_commands.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "agent/host/doctor.hpp"
#include "agent/network/foreign_firewall.hpp"
#include "common/base/file.hpp"

namespace axle {
namespace {

using Words = std::vector<std::string>;

// All bridges of nat networks: their names begin so.
constexpr const char* kOurBridges = "axb+";

void print_line(const std::string& text) {
    std::fputs((text + "\n").c_str(), stdout);
}

Result<int> doctor(const Words& words, const AgentOptions& options) {
    const bool json = words == Words{"-o", "json"};
    if (!json && !words.empty()) return 2;
    const auto findings = examine({.state_folder = options.state_folder,
                                   .host_folder = options.host_folder,
                                   .folders = {parent_of(options.state_folder)},
                                   .accelerator = options.accelerator});
    std::fputs((json ? as_json(findings) : as_table(findings)).c_str(), stdout);
    return exit_status(findings);
}

Result<int> firewalls(const Words& words, const AgentOptions&) {
    if (!words.empty()) return 2;
    TRY(programs, blocking_programs());
    for (const std::string& program : programs) print_line(program);
    return 0;
}

Result<int> open_firewall(const Words& words, const AgentOptions& options) {
    const std::string record = opened_record(options.host_folder);
    if (words == Words{"--again"}) {
        TRY_VOID(open_foreign_firewalls(record, {}, {}));
        return 0;
    }
    if (std::ranges::any_of(words, [](const std::string& word) { return word.starts_with('-'); })) return 2;
    TRY(programs, blocking_programs());
    if (programs.empty()) print_line("no firewall of others is in guests' way");
    TRY_VOID(open_foreign_firewalls(record, programs, words.empty() ? Words{kOurBridges} : words));
    for (const std::string& program : programs) print_line(program + " lets guests through now");
    return 0;
}

Result<int> close_firewall(const Words& words, const AgentOptions& options) {
    if (!words.empty()) return 2;
    TRY_VOID(close_foreign_firewalls(opened_record(options.host_folder)));
    return 0;
}

struct Command {
    const char* name;
    Result<int> (*run)(const Words& words, const AgentOptions& options);
};
constexpr std::array<Command, 4> kCommands{{{"doctor", doctor},
                                            {"firewalls", firewalls},
                                            {"open-firewall", open_firewall},
                                            {"close-firewall", close_firewall}}};

const Command* find_command(const std::string& name) {
    const auto* const found = std::ranges::find(kCommands, name, [](const Command& c) { return std::string(c.name); });
    return found == kCommands.end() ? nullptr : found;
}

}  // namespace

const char* const kHostCommands =
    "  doctor [-o json]   examine this machine: each finding with its cause and what to do\n"
    "  firewalls          name the firewalls of others that cut guests off (docker, ufw, firewalld)\n"
    "  open-firewall [INTERFACE...]\n"
    "                     let guests through them, in the places that they leave for it; --again: what was opened\n"
    "                     before, and nothing else\n"
    "  close-firewall     take back exactly what open-firewall did\n";

bool is_host_command(const std::string& command) {
    return find_command(command) != nullptr;
}

int run_host_command(const std::string& program, const std::string& command, const Words& words,
                     const AgentOptions& options) {
    const Command* found = find_command(command);
    const auto status = found != nullptr ? found->run(words, options) : Result<int>(2);
    if (status && *status == 2) std::fprintf(stderr, "commands of %s:\n%s", program.c_str(), kHostCommands);
    if (status) return *status;
    std::fprintf(stderr, "%s: %s\n", program.c_str(), status.error().message.c_str());
    if (!status.error().hint.empty()) std::fprintf(stderr, "  %s\n", status.error().hint.c_str());
    return 1;
}

}  // namespace axle
