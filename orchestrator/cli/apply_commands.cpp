// apply and diff: files of documents.
#include <unistd.h>

#include "common/base/file.hpp"
#include "common/http/url.hpp"
#include "orchestrator/cli/app.hpp"

namespace axle::cli {
namespace {

struct Options {
    std::vector<std::string> files;
    std::string set;
    bool force = false, prune = false;
};

Result<std::string> read_stdin(int fd) {
    std::string text;
    char buffer[65536];
    while (true) {
        const ssize_t n = ::read(fd, buffer, sizeof buffer);
        if (n < 0) return fail(system_error("standard input", errno));
        if (n == 0) return text;
        text.append(buffer, static_cast<std::size_t>(n));
        if (text.size() > (std::size_t{8} << 20)) return fail(Code::too_large, "standard input is over 8 MiB");
    }
}

// All files as one text of YAML documents; JSON is YAML as well, but one JSON file alone is sent as JSON, so that its
// mistakes are told in JSON's words.
Result<std::pair<std::string, const char*>> read_files(const Session& session, const Options& o) {
    std::string all;
    bool json_only = o.files.size() == 1;
    for (const std::string& file : o.files) {
        auto text = file == "-" ? read_stdin(session.terminal().in_fd) : read_file(file, 8 << 20);
        if (!text) return fail(std::move(text.error()));
        const std::size_t first = text->find_first_not_of(" \t\r\n");
        json_only = json_only && first != std::string::npos && ((*text)[first] == '{' || (*text)[first] == '[');
        if (!all.empty()) all += "\n---\n";
        all += *text;
    }
    return std::pair(all, json_only ? "application/json" : "application/yaml");
}

void tell_result(const Terminal& terminal, const json& result, bool with_changes) {
    const std::string action = word(result, "action");
    const bool dry_run = result.value("dryRun", false);
    const char* done = action == "create"   ? (dry_run ? "would be created" : "created")
                       : action == "change" ? (dry_run ? "would be changed" : "changed")
                       : action == "delete" ? (dry_run ? "would be deleted" : "deleted")
                       : action == "none"   ? "unchanged"
                                            : "failed";
    const std::string name = fmt::format("{}/{}", word(result, "kind"), word(result, "name"));
    terminal.data(
        fmt::format("{} {}{}\n", name, done, word(result, "note").empty() ? "" : " (" + word(result, "note") + ")"));
    const json changes = result.value("changes", json::array());
    if (with_changes && action != "delete") {
        for (const json& change : changes) {
            const std::string at = dotted(word(change, "pointer")), effect = word(change, "effect");
            const char* note = effect == "reboot" ? "   (takes effect at the next start)" : "";
            if (!change.contains("before"))
                terminal.data(fmt::format("  + {}: {}{}\n", at, change.value("after", json()).dump(), note));
            else if (!change.contains("after"))
                terminal.data(fmt::format("  - {}: {}{}\n", at, change["before"].dump(), note));
            else
                terminal.data(
                    fmt::format("  ~ {}: {} -> {}{}\n", at, change["before"].dump(), change["after"].dump(), note));
        }
    }
    if (!result.contains("error")) return;
    const json& e = result["error"];
    terminal.say(fmt::format("error: {}: {}", name, word(e, "detail")));
    for (const json& field : e.value("errors", json::array()))
        terminal.say(fmt::format("  {}: {}", dotted(word(field, "pointer")), word(field, "detail")));
    if (!word(e, "hint").empty()) terminal.say("hint: " + word(e, "hint"));
}

Result<> follow_tasks(Session& session, const json& results) {
    if (!session.flags().wait) return {};
    for (const json& result : results) {
        if (!word(result, "task").empty()) TRY_VOID(follow_task(session, "/v1/tasks/" + word(result, "task")));
    }
    return {};
}

Result<int> apply(Session& session, const Options& o, bool only_plan) {
    TRY(text, read_files(session, o));
    const bool dry_run = only_plan || session.flags().dry_run;
    Query query = {{"project", session.project()}};
    if (!o.set.empty()) query.emplace_back("set", o.set);
    if (o.force) query.emplace_back("force", "true");
    if (o.prune) query.emplace_back("prune", "true");
    if (dry_run) query.emplace_back("dryRun", "true");
    TRY(report, session.send_text("POST", "/v1/apply" + http::query_string(query), text.first, text.second));
    const json& results = report["results"];
    const bool failed = report.value("failed", false);
    if (session.flags().output == Output::table || session.flags().output == Output::wide) {
        for (const json& result : results) tell_result(session.terminal(), result, dry_run);
    } else {
        show_one(session, report);
    }
    if (!dry_run) TRY_VOID(follow_tasks(session, results));
    if (failed) return 1;
    const bool differs =
        std::any_of(results.begin(), results.end(), [](const json& r) { return word(r, "action") != "none"; });
    return only_plan && differs ? 1 : 0;
}

void add_options(CLI::App* command, const std::shared_ptr<Options>& o) {
    command->add_option("-f,--file", o->files, "File with documents (YAML or JSON); - is standard input")->required();
    command->add_option("--set", o->set, "Name of the set of fields (default: default)");
    command->add_flag("--force", o->force, "Take fields that another set holds");
    command->add_flag("--prune", o->prune, "With --set: delete what the set made and doesn't name any more");
}

}  // namespace

void add_apply_commands(Build& build) {
    auto a = std::make_shared<Options>();
    add_options(build.verb(&build.app, "apply", "Make it so: create and change what the files say",
                           [a](Session& s) { return apply(s, *a, false); }),
                a);
    auto d = std::make_shared<Options>();
    add_options(build.verb(&build.app, "diff", "What apply would do; exit code 1 where something differs",
                           [d](Session& s) { return apply(s, *d, true); }),
                d);
}

}  // namespace axle::cli
