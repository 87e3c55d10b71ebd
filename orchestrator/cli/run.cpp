#include "orchestrator/cli/run.hpp"

#include "common/base/units.hpp"
#include "orchestrator/cli/app.hpp"
#include "orchestrator/cli/suggest.hpp"

namespace axle::cli {
namespace {

void add_common_flags(Build& build) {
    CLI::App& app = build.app;
    Flags& f = build.flags;
    app.add_option("-o,--output", build.output_text, "table, wide, json, yaml, name or csv")
        ->check(CLI::IsMember({"table", "wide", "json", "yaml", "name", "csv"}));
    app.add_option("-p,--project", f.wanted.project, "Project [AXLE_PROJECT]");
    app.add_option("--context", f.wanted.context, "Context of the configuration [AXLE_CONTEXT]");
    app.add_option("--endpoint", f.wanted.endpoint, "https://HOST:7443 or unix:PATH [AXLE_ENDPOINT]");
    app.add_option("--token", f.wanted.token, "Token [AXLE_TOKEN]; better: --token-file");
    app.add_option("--token-file", f.wanted.token_file, "File that holds the token");
    app.add_option("--timeout", build.timeout_text, "How long to wait for tasks, such as 90s (default 10m)");
    app.add_flag("--wait,!--no-wait", f.wait, "Wait until the work is done (default), or name the task and return");
    app.add_flag("-A,--all-projects", f.all_projects, "Of all projects");
    app.add_flag("--dry-run", f.dry_run, "Tell what would change, and change nothing");
}

Result<> finish_flags(Build& build) {
    build.flags.output = *parse_output(build.output_text);
    if (build.timeout_text.empty()) return {};
    auto time = parse_duration(build.timeout_text);
    if (!time) return fail(usage("--timeout: " + time.error().message));
    build.flags.timeout = *time;
    return {};
}

Result<int> perform(Build& build, const Terminal& terminal) {
    TRY_VOID(finish_flags(build));
    if (build.raw) return build.raw(terminal, build.flags);
    if (!build.action) return fail(usage("no command was given", "axle --help lists them"));
    TRY(session, Session::open(terminal, build.flags));
    auto done = build.action(session);
    if (done) keep_trust(terminal, session.client(), session.context());
    return done;
}

// CLI11's words, on the stream where they belong: help that was asked for is data.
int tell_parse_error(CLI::App& app, const std::vector<std::string>& args, const CLI::ParseError& e,
                     const Terminal& terminal) {
    if (e.get_exit_code() == 0) {
        terminal.data(e.get_name() == "CallForAllHelp"   ? app.help("", CLI::AppFormatMode::All)
                      : e.get_name() == "CallForVersion" ? std::string(e.what()) + "\n"
                                                         : app.help());
        return 0;
    }
    if (const Misspelt misspelt = misspelt_in(app, args); !misspelt.message.empty()) {
        terminal.say("error: " + misspelt.message);
        if (!misspelt.meant.empty()) {
            terminal.say("hint: did you mean: " + misspelt.meant);
            return 2;
        }
    } else {
        terminal.say(std::string("error: ") + e.what());
    }
    const CLI::App* at = &app;
    while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
    terminal.say(fmt::format("hint: axle{}{} --help", at == &app ? "" : " ",
                             at == &app                 ? ""
                             : at->get_parent() == &app ? at->get_name()
                                                        : at->get_parent()->get_name() + " " + at->get_name()));
    return 2;
}

}  // namespace

CLI::App* find_verb(CLI::App& of, const std::string& name) {
    for (CLI::App* verb : of.get_subcommands([](CLI::App*) { return true; })) {
        if (verb->check_name(name)) return verb;
    }
    return nullptr;
}

CLI::App* Build::noun(const char* name, const std::string& help) {
    CLI::App* found = find_verb(app, name);
    if (found == nullptr) found = app.add_subcommand(name, help)->fallthrough()->require_subcommand(0);
    return found;
}

CLI::App* Build::verb(CLI::App* of, const char* name, const std::string& help, Action run) {
    CLI::App* verb = of->add_subcommand(name, help)->fallthrough();
    verb->callback([this, run = std::move(run)] { action = run; });
    return verb;
}

Result<const KindInfo*> kind_of(const std::string& word) {
    if (const KindInfo* kind = find_kind(word)) return kind;
    const std::string meant = nearest_kind(word);
    return fail(usage(fmt::format("there is no kind \"{}\"", word), meant.empty() ? "" : "did you mean: " + meant));
}

Error usage(std::string message, std::string hint) {
    Error e{.code = Code::invalid, .message = std::move(message), .hint = std::move(hint), .reason = "usage"};
    return e;
}

Result<int> act_on_each(Session& session, const KindInfo& kind, const std::vector<std::string>& names,
                        const std::string& action, const json& arguments, const std::string& sentence) {
    for (const std::string& name : names) {
        TRY(code, change(session, "POST", session.path_of(kind, name) + "/actions/" + action, &arguments,
                         fmt::format("{} {} {}", kind.name, name, sentence)));
        if (code != 0) return code;
    }
    return 0;
}

Result<> add_pairs(json& to, const char* flag, const std::vector<std::string>& words) {
    for (const std::string& pair : words) {
        const std::size_t equals = pair.find('=');
        if (equals == std::string::npos) return fail(usage(fmt::format("{} {} is not KEY=VALUE", flag, pair)));
        to[pair.substr(0, equals)] = pair.substr(equals + 1);
    }
    return {};
}

std::unique_ptr<CLI::App> make_app(std::unique_ptr<Build>& build) {
    auto app = std::make_unique<CLI::App>("axle: a private cloud for Linux machines", "axle");
    build = std::unique_ptr<Build>(new Build{*app});
    app->set_version_flag("--version", AXLE_VERSION);
    app->require_subcommand(0, 1);
    add_common_flags(*build);
    add_general_commands(*build);
    add_event_commands(*build);
    add_capacity_command(*build);
    add_kind_commands(*build);
    add_vm_commands(*build);
    add_create_commands(*build);
    add_apply_commands(*build);
    add_connect_commands(*build);
    add_login_commands(*build);
    add_join_commands(*build);
    add_node_commands(*build);
    add_decision_commands(*build);
    add_unclaimed_commands(*build);
    add_doctor_command(*build);
    add_completion_commands(*build);
    return app;
}

Result<int> change(Session& session, const char* method, const std::string& target, const json* body,
                   const std::string& sentence) {
    std::string location;
    const bool asks_more = target.find('?') != std::string::npos;
    const std::string full = session.flags().dry_run ? target + (asks_more ? "&" : "?") + "dryRun=true" : target;
    TRY(object, session.request(method, full, body, &location));
    if (session.flags().dry_run) return show_one(session, object), 0;
    if (!session.flags().wait || location.empty()) return show_task(session, object, location, sentence), 0;
    TRY(said, follow_task(session, location));
    const std::string path = target.substr(0, std::min(target.find("/actions/"), target.find('?')));
    auto now = session.get(path);  // what it has become; it may be gone
    show_done(session, now ? *now : object, said.empty() ? sentence : fmt::format("{}: {}", sentence, said));
    return 0;
}

int run(const std::vector<std::string>& args, const Terminal& terminal) {
    std::unique_ptr<Build> build;
    const auto app = make_app(build);
    build->terminal = &terminal;
    if (!args.empty() && args.front() == "__complete")
        return complete(terminal, *build, {args.begin() + 1, args.end()});
    try {
        std::vector<std::string> reversed(args.rbegin(), args.rend());  // as CLI11 wants them
        app->parse(reversed);
    } catch (const CLI::ParseError& e) {
        return tell_parse_error(*app, args, e, terminal);
    }
    const auto done = perform(*build, terminal);
    if (done) return *done;
    tell_error(terminal, done.error());
    return exit_code_of(done.error());
}

}  // namespace axle::cli
