// The tree of commands: what every file of commands adds to, and what a parsed command line leaves to be run.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "orchestrator/cli/session.hpp"

namespace axle::cli {

// What the chosen command does, given a session. An int: the exit code.
using Action = std::function<Result<int>(Session&)>;

struct Build {
    CLI::App& app;
    Flags flags;
    std::string output_text = "table", timeout_text;
    Action action;                                                  // of the chosen command
    std::function<Result<int>(const Terminal&, const Flags&)> raw;  // of one that needs no session
    const Terminal* terminal = nullptr;

    // A noun ("vm") or a verb that stands alone ("status"). Unknown options go to the program's own, so that
    // `axle vm list -o json` works.
    CLI::App* noun(const char* name, const std::string& help);
    // A verb of a noun; on parse its action is the one to run. Values are held by whoever binds them.
    CLI::App* verb(CLI::App* of, const char* name, const std::string& help, Action action);
};

// One file each.
void add_general_commands(Build& build);
void add_event_commands(Build& build);
void add_capacity_command(Build& build);
void add_apply_commands(Build& build);
void add_kind_commands(Build& build);  // list, show, delete, ... of every kind; makes the nouns
void add_vm_commands(Build& build);
void add_create_commands(Build& build);
void add_connect_commands(Build& build);
void add_login_commands(Build& build);
void add_join_commands(Build& build);
void add_node_commands(Build& build);
void add_decision_commands(Build& build);  // store accept-loss, clock accept
void add_unclaimed_commands(Build& build);
void add_doctor_command(Build& build);
void add_completion_commands(Build& build);

CLI::App* find_verb(CLI::App& of, const std::string& name);  // or an alias of it; null: there is none

// `axle __complete -- WORDS…`: what may stand for the last word, one a line. Not parsed as a command: the words are
// somebody's unfinished line.
int complete(const Terminal& terminal, Build& build, std::vector<std::string> words);

std::unique_ptr<CLI::App> make_app(std::unique_ptr<Build>& build);

// Sends a change, follows its task unless --no-wait, and says what happened. sentence: what is true afterwards.
Result<int> change(Session& session, const char* method, const std::string& target, const json* body,
                   const std::string& sentence);
// POST .../actions/{action} to each in turn; stops at the first that fails. sentence: what is true of it afterwards.
Result<int> act_on_each(Session& session, const KindInfo& kind, const std::vector<std::string>& names,
                        const std::string& action, const json& arguments, const std::string& sentence);
Error usage(std::string message, std::string hint = {});
// By its name or its plural; a usage error where there is none.
Result<const KindInfo*> kind_of(const std::string& word);
// KEY=VALUE words of a flag, into an object of texts.
Result<> add_pairs(json& to, const char* flag, const std::vector<std::string>& words);

}  // namespace axle::cli
