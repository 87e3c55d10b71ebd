#include "orchestrator/cli/suggest.hpp"

#include <algorithm>

#include "common/model/object.hpp"
#include "orchestrator/cli/app.hpp"

namespace axle::cli {
namespace {

std::vector<CLI::App*> commands_of(CLI::App& app) {
    return app.get_subcommands([](CLI::App*) { return true; });
}

std::vector<std::string> names_of(CLI::App& app) {
    std::vector<std::string> names;
    for (CLI::App* command : commands_of(app)) {
        names.push_back(command->get_name());
        for (const std::string& alias : command->get_aliases()) names.push_back(alias);
    }
    return names;
}

const CLI::Option* find_option(const CLI::App& app, const std::string& word) {
    for (const CLI::Option* option : app.get_options()) {
        if (!option->get_positional() && option->check_name(word)) return option;
    }
    return nullptr;
}

std::vector<std::string> flags_of(const CLI::App& app) {
    std::vector<std::string> flags;
    for (const CLI::Option* option : app.get_options()) {
        for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
    }
    return flags;
}

bool takes_positionals(const CLI::App& app) {
    return std::ranges::any_of(app.get_options(), [](const CLI::Option* o) { return o->get_positional(); });
}

// A verb before its noun: `axle create vm`.
std::string turned_round(CLI::App& app, const std::vector<std::string>& args, std::size_t at) {
    CLI::App* noun = at + 1 < args.size() ? find_verb(app, args[at + 1]) : nullptr;
    CLI::App* verb = noun == nullptr ? nullptr : find_verb(*noun, args[at]);
    return verb == nullptr ? "" : noun->get_name() + " " + verb->get_name();
}

// Where parsing has come to, word by word.
struct Walk {
    CLI::App& app;
    CLI::App* at = &app;
    std::string path = "axle";

    Misspelt option(const std::string& word) const {
        const std::string name = word.substr(0, word.find('='));
        std::vector<std::string> flags = flags_of(*at);
        for (const std::string& flag : flags_of(app)) flags.push_back(flag);
        const std::string meant = nearest(name, flags);
        return {fmt::format("{} has no option {}", path, name), meant.empty() ? "" : path + " " + meant};
    }
    Misspelt command(const std::vector<std::string>& args, std::size_t i) const {
        std::string meant = nearest(args[i], names_of(*at));
        if (meant.empty() && at == &app) meant = turned_round(app, args, i);
        return {fmt::format("{} has no command \"{}\"", path, args[i]), meant.empty() ? "" : path + " " + meant};
    }
};

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
    for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
    for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        for (std::size_t j = 1; j <= b.size(); ++j) {
            d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
            const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[a.size()][b.size()];
}

std::string nearest(std::string_view word, const std::vector<std::string>& words) {
    constexpr std::size_t kLongest = 40;  // nobody misspells more than that
    if (word.size() > kLongest) return {};
    const std::size_t most = std::clamp<std::size_t>(word.size() / 3, 1, 3);
    std::string best;
    std::size_t least = most + 1;
    for (const std::string& candidate : words) {
        const std::size_t distance = edit_distance(word, candidate);
        if (distance >= least) continue;
        least = distance;
        best = candidate;
    }
    return best;
}

Misspelt misspelt_in(CLI::App& app, const std::vector<std::string>& args) {
    Walk walk{app};
    for (std::size_t i = 0; i < args.size(); ++i) {
        const std::string& word = args[i];
        if (word == "--") return {};
        if (word.size() > 1 && word[0] == '-') {
            const std::string name = word.substr(0, word.find('='));
            const CLI::Option* option = find_option(*walk.at, name);
            if (option == nullptr) option = find_option(app, name);
            if (option == nullptr && word.starts_with("--")) return walk.option(word);
            if (option != nullptr && name == word && option->get_items_expected_max() > 0) ++i;  // its value
            continue;
        }
        if (CLI::App* next = find_verb(*walk.at, word)) {
            walk.at = next;
            walk.path += " " + next->get_name();
            continue;
        }
        if (takes_positionals(*walk.at)) continue;
        return commands_of(*walk.at).empty() ? Misspelt{} : walk.command(args, i);
    }
    return {};
}

std::string nearest_kind(std::string_view word) {
    std::vector<std::string> names;
    for (const KindInfo& kind : all_kinds()) {
        names.emplace_back(kind.name);
        names.emplace_back(kind.plural);
    }
    return nearest(word, names);
}

}  // namespace axle::cli
