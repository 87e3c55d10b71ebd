// Reads the rules of iptables-legacy, which nft does not show, from the text of iptables-legacy-save.
#include <map>

#include "agent/network/foreign_rules.hpp"

namespace axle {
namespace {

using Action = ForeignRule::Action;
using Match = ForeignRule::Match;
using Key = ForeignRule::Match::Key;

std::vector<std::string> words_of(std::string_view line) {
    std::vector<std::string> out;
    std::string word;
    bool quoted = false, any = false;
    for (const char c : line) {
        if (c == '"') {
            quoted = !quoted;
            any = true;
        } else if (c == ' ' && !quoted) {
            if (any) out.push_back(std::exchange(word, {}));
            any = false;
        } else {
            word += c;
            any = true;
        }
    }
    if (any) out.push_back(word);
    return out;
}

std::vector<std::string> parts_of(Key key, std::string text) {
    if (key == Key::in || key == Key::out) {
        if (text.ends_with('+')) text.back() = '*';
        return {text};
    }
    std::vector<std::string> out;
    std::string part;
    for (const char c : text + ",") {
        if (c == ',')
            out.push_back(std::exchange(part, {}));
        else
            part += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    return out;
}

Action action_of(const std::string& target) {
    static const std::map<std::string, Action> kTargets = {
        {"ACCEPT", Action::accept}, {"DROP", Action::drop}, {"REJECT", Action::drop}, {"RETURN", Action::back}};
    const auto found = kTargets.find(target);
    return found == kTargets.end() ? Action::jump : found->second;  // to a chain that isn't there: nothing
}

// words: behind "-A CHAIN".
ForeignRule rule_of(const std::vector<std::string>& words) {
    static const std::map<std::string, Key> kOptions = {
        {"-i", Key::in},         {"-o", Key::out},           {"-p", Key::protocol},
        {"-s", Key::source},     {"-d", Key::destination},   {"--dport", Key::port},
        {"--dports", Key::port}, {"--ctstate", Key::state},  {"--dst-type", Key::destination_type},
        {"--state", Key::state}, {"--ctstatus", Key::status}};
    ForeignRule rule;
    bool negated = false;
    for (std::size_t i = 2; i < words.size(); ++i) {
        const std::string& word = words[i];
        if (word == "!") {
            negated = true;
            continue;
        }
        const bool has_value = i + 1 < words.size();
        if ((word == "-j" || word == "-g") && has_value) {
            rule.target = words[++i];
            rule.action = word == "-g" ? Action::go : action_of(rule.target);
            return rule;  // what follows is the target's
        }
        if ((word == "-m" || word == "--comment") && has_value) {
            ++i;
        } else if (const auto option = kOptions.find(word); option != kOptions.end() && has_value) {
            rule.matches.push_back({option->second, negated, parts_of(option->second, words[++i])});
        } else if (word.starts_with("-")) {
            rule.matches.push_back({});
        }
        negated = false;
    }
    return rule;
}

}  // namespace

std::vector<ForeignChain> read_iptables_save(std::string_view text) {
    std::vector<ForeignChain> out;
    static const std::map<std::string, std::string> kHooks = {
        {"INPUT", "input"}, {"FORWARD", "forward"}, {"OUTPUT", "output"}};
    bool filter = false;
    while (!text.empty()) {
        const auto end = text.find('\n');
        const std::vector<std::string> words = words_of(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (words.empty()) continue;
        if (words[0].starts_with('*')) filter = words[0] == "*filter";
        if (!filter || words.size() < 2) continue;
        if (words[0].starts_with(':')) {
            const std::string name = words[0].substr(1);
            const auto hook = kHooks.find(name);
            out.push_back({.family = "ip",
                           .table = "filter (iptables-legacy)",
                           .name = name,
                           .hook = hook == kHooks.end() ? "" : hook->second,
                           .drops = words[1] == "DROP"});
        } else if (words[0] == "-A") {
            for (ForeignChain& chain : out) {
                if (chain.name == words[1]) chain.rules.push_back(rule_of(words));
            }
        }
    }
    return out;
}

}  // namespace axle
