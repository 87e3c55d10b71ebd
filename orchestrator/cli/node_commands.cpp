// node: this machine as a part of a cloud. What is done here is done to the machine's programs, so a script does it.
#include <cerrno>
#include <unistd.h>

#include "common/base/file.hpp"
#include "orchestrator/cli/app.hpp"

namespace axle::cli {
namespace {

constexpr const char* kNodeSplit = "/usr/lib/axle/node-split";

struct Options {
    std::string file, place;
    bool back = false, leave_hosts = false, yes = false;
};

// Becomes the script; comes back only if there is none.
Result<int> split(const Options& o) {
    std::vector<std::string> words{kNodeSplit};
    if (!o.file.empty()) words.insert(words.end(), {"--export", o.file});
    if (!o.place.empty()) words.insert(words.end(), {"--to", o.place});
    if (o.back) words.emplace_back("--back");
    if (o.leave_hosts) words.emplace_back("--leave-hosts");
    if (o.yes) words.emplace_back("--yes");
    std::vector<char*> raw;
    for (std::string& word : words) raw.push_back(word.data());
    raw.push_back(nullptr);
    ::execv(kNodeSplit, raw.data());
    return fail(system_error(fmt::format("run {}", kNodeSplit), errno));
}

}  // namespace

void add_node_commands(Build& build) {
    CLI::App* node = build.noun("node", "This machine as a part of the cloud");
    CLI::App* verb = node->add_subcommand("split",
                                          "Make two programs of this machine's all-in-one, an orchestrator and an "
                                          "agent, with no guest disturbed; or move the orchestrator to another machine")
                         ->fallthrough();
    auto o = std::make_shared<Options>();
    verb->add_option("--export", o->file, "Pack the orchestrator into this file; it doesn't serve here any more");
    verb->add_option("--to", o->place, "With --export: where it will be found, NAME[:PORT]; hosts are told before");
    verb->add_flag("--leave-hosts", o->leave_hosts, "With --export: hosts that are away join again by hand, later");
    verb->add_flag("--back", o->back, "Make one program of both again");
    verb->add_flag("--yes", o->yes, "Don't ask");
    verb->callback([&build, o] { build.raw = [o](const Terminal&, const Flags&) { return split(*o); }; });
}

}  // namespace axle::cli
