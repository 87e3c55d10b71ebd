// Shell completion: the shells ask `axle __complete WORDS…`, which walks the tree of commands and, for names, asks the
// server.
#include <set>

#include "orchestrator/cli/app.hpp"

namespace axle::cli {
namespace {

constexpr const char* kBash = R"(# bash completion of axle: source <(axle completion bash)
_axle() {
    local words=("${COMP_WORDS[@]:1:COMP_CWORD}")
    mapfile -t COMPREPLY < <(axle __complete -- "${words[@]}" 2>/dev/null)
}
complete -o default -F _axle axle
)";
constexpr const char* kZsh = R"(#compdef axle
# zsh completion of axle: source <(axle completion zsh)
_axle() {
    local -a found
    found=("${(@f)$(axle __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    compadd -a found
}
compdef _axle axle
)";

// Names of a kind; nothing where the server doesn't answer soon.
std::vector<std::string> live_names(const Terminal& terminal, const Flags& flags, const KindInfo& kind) {
    std::vector<std::string> out;
    auto session = Session::open(terminal, flags);
    if (!session) return out;
    auto items = session->list(kind, {{"fields", "name,id"}});
    if (!items) return out;
    for (const json& item : *items) out.push_back(item.value(kind.kind == Kind::task ? "id" : "name", ""));
    return out;
}

bool takes_value(const CLI::App* at, const CLI::App& root, const std::string& word) {
    for (const CLI::App* app : {at, &root}) {
        const CLI::Option* option = word.size() > 1 ? app->get_option_no_throw(word) : nullptr;
        if (option != nullptr) return option->get_items_expected_max() > 0;
    }
    return false;
}

const KindInfo* kind_of_argument(const CLI::App* at, const CLI::App& root,
                                 const std::vector<std::string>& positionals) {
    const std::string verb = at->get_name();
    const bool names_vm = verb == "console" || verb == "ssh" || verb == "forward";
    if (at->get_parent() == &root && names_vm) return positionals.empty() ? &info_of(Kind::vm) : nullptr;
    if ((verb == "get" || verb == "delete") && at->get_parent() == &root)
        return positionals.empty() ? nullptr : find_kind(positionals[0]);
    if (at->get_parent() == nullptr || verb == "create" || verb == "list") return nullptr;
    return find_kind(at->get_parent()->get_name());
}

std::vector<std::string> candidates(const Terminal& terminal, const Flags& flags, CLI::App& root,
                                    const std::vector<std::string>& words) {
    CLI::App* at = &root;
    std::vector<std::string> positionals;
    for (std::size_t i = 0; i + 1 < words.size(); ++i) {
        if (words[i].starts_with('-')) {
            if (takes_value(at, root, words[i])) ++i;
        } else if (CLI::App* sub = find_verb(*at, words[i]); sub != nullptr && positionals.empty()) {
            at = sub;
        } else {
            positionals.push_back(words[i]);
        }
    }
    const std::string last = words.empty() ? "" : words.back();
    std::vector<std::string> out;
    if (last.starts_with('-')) {
        for (const CLI::App* app : {const_cast<const CLI::App*>(at), const_cast<const CLI::App*>(&root)}) {
            for (const CLI::Option* option : app->get_options()) {
                for (const std::string& name : option->get_lnames()) out.push_back("--" + name);
            }
        }
        return out;
    }
    for (const CLI::App* sub : at->get_subcommands([](CLI::App* s) { return !s->get_name().starts_with("__"); }))
        out.push_back(sub->get_name());
    const bool general = at->get_parent() == &root && (at->get_name() == "get" || at->get_name() == "delete");
    if (general && positionals.empty()) {
        for (const KindInfo& kind : all_kinds()) out.emplace_back(kind.name);
    }
    if (const KindInfo* kind = kind_of_argument(at, root, positionals); kind != nullptr && out.empty())
        out = live_names(terminal, flags, *kind);
    return out;
}

}  // namespace

void add_completion_commands(Build& build) {
    auto shell = std::make_shared<std::string>();
    CLI::App* script =
        build.verb(&build.app, "completion", "Completion for your shell: source <(axle completion bash)", {});
    script->add_option("shell", *shell, "bash or zsh")->required()->check(CLI::IsMember({"bash", "zsh"}));
    script->callback([&build, shell] {
        build.raw = [shell](const Terminal& terminal, const Flags&) -> Result<int> {
            return terminal.data(*shell == "bash" ? kBash : kZsh), 0;
        };
    });
}

int complete(const Terminal& terminal, Build& build, std::vector<std::string> words) {
    if (!words.empty() && words.front() == "--") words.erase(words.begin());
    const std::string prefix = words.empty() ? "" : words.back();
    std::string out;
    const auto found = candidates(terminal, build.flags, build.app, words);
    for (const std::string& word : std::set<std::string>(found.begin(), found.end())) {
        if (word.starts_with(prefix)) out += word + "\n";
    }
    terminal.data(out);
    return 0;
}

}  // namespace axle::cli
