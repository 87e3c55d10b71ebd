// Reads others' rules from the JSON that nft shows (libnftables-json(5)).
#include <map>

#include <nlohmann/json.hpp>

#include "agent/network/foreign_rules.hpp"

namespace axle {
namespace {

using nlohmann::json;
using Action = ForeignRule::Action;
using Match = ForeignRule::Match;
using Key = ForeignRule::Match::Key;

std::string text(const json& value, const char* key) {
    const auto found = value.find(key);
    return found != value.end() && found->is_string() ? found->get<std::string>() : "";
}

Key key_of(const json& left) {
    if (!left.is_object()) return Key::unknown;
    if (const auto meta = left.find("meta"); meta != left.end() && meta->is_object()) {
        static const std::map<std::string, Key> kKeys = {
            {"iifname", Key::in},       {"oifname", Key::out},    {"iif", Key::in},         {"oif", Key::out},
            {"l4proto", Key::protocol}, {"nfproto", Key::family}, {"protocol", Key::family}};
        const auto found = kKeys.find(text(*meta, "key"));
        return found == kKeys.end() ? Key::unknown : found->second;
    }
    if (const auto fib = left.find("fib"); fib != left.end() && fib->is_object()) {
        const bool of_destination = fib->contains("flags") && (*fib)["flags"].dump().find("daddr") != std::string::npos;
        return text(*fib, "result") == "type" && of_destination ? Key::destination_type : Key::unknown;
    }
    if (const auto ct = left.find("ct"); ct != left.end() && ct->is_object()) {
        const std::string key = text(*ct, "key");
        return key == "state" ? Key::state : key == "status" ? Key::status : Key::unknown;
    }
    if (const auto payload = left.find("payload"); payload != left.end() && payload->is_object()) {
        const std::string protocol = text(*payload, "protocol"), field = text(*payload, "field");
        if (field == "dport") return Key::port;
        if (protocol == "ip" && field == "saddr") return Key::source;
        if (protocol == "ip" && field == "daddr") return Key::destination;
        if (protocol == "ip" && field == "protocol") return Key::protocol;
    }
    return Key::unknown;
}

// False: it is of a kind that we don't read (a named set, a range).
bool read_values(const json& right, std::vector<std::string>& out) {
    if (right.is_array()) {
        for (const json& each : right) {
            if (!read_values(each, out)) return false;
        }
        return true;
    }
    if (right.is_number_integer()) return out.push_back(std::to_string(right.get<std::int64_t>())), true;
    if (right.is_string()) {
        const auto value = right.get<std::string>();
        if (value.starts_with('@')) return false;
        out.push_back(value == "ip" ? "ipv4" : value);
        return true;
    }
    if (!right.is_object()) return false;
    if (const auto set = right.find("set"); set != right.end()) return read_values(*set, out);
    if (const auto prefix = right.find("prefix"); prefix != right.end() && prefix->is_object()) {
        out.push_back(fmt::format("{}/{}", text(*prefix, "addr"), prefix->value("len", 32)));
        return true;
    }
    return false;
}

Match match_of(const json& expression) {
    const std::string op = text(expression, "op");
    Match match;
    if (!expression.contains("left") || !expression.contains("right")) return match;
    match.key = key_of(expression["left"]);
    match.negated = op == "!=";
    const bool readable = op == "==" || op == "in" || op == "!=" || op.empty();
    if (!readable || !read_values(expression["right"], match.values)) match.key = Key::unknown;
    return match;
}

bool read_verdict(const std::string& kind, const json& value, ForeignRule& rule) {
    static const std::map<std::string, Action> kVerdicts = {{"accept", Action::accept}, {"drop", Action::drop},
                                                            {"reject", Action::drop},   {"return", Action::back},
                                                            {"jump", Action::jump},     {"goto", Action::go}};
    const auto found = kVerdicts.find(kind);
    if (found == kVerdicts.end()) return false;
    rule.action = found->second;
    if (value.is_object()) rule.target = text(value, "target");
    return true;
}

// What iptables-nft keeps in its own form: nft tells the name alone.
void read_xtables(const json& value, ForeignRule& rule) {
    const std::string name = value.is_object() ? text(value, "name") : "";
    if (value.is_object() && text(value, "type") == "target") {
        if (name == "REJECT") rule.action = Action::drop;
        return;
    }
    if (name == "comment") return;
    Match match;
    // "ESTABLISHED,RELATED -j ACCEPT" and "INVALID -j DROP" are what is written with it; which it is, the verdict
    // tells.
    if (name == "conntrack" || name == "state") {
        match.key = Key::state;
        match.values = {"established if accepted"};
    }
    // ufw lets what is for this host go on by it, and drops the rest without it.
    if (name == "addrtype") {
        match.key = Key::destination_type;
        match.values = {"for this host if it goes on"};
    }
    rule.matches.push_back(std::move(match));
}

// One map of verdicts is as many rules.
std::vector<ForeignRule> rules_of_map(const ForeignRule& before, const json& map) {
    std::vector<ForeignRule> out;
    const auto data = map.find("data");
    const bool readable = map.contains("key") && data != map.end() && data->is_object() && data->contains("set");
    if (!readable || !(*data)["set"].is_array()) return out;
    for (const json& pair : (*data)["set"]) {
        if (!pair.is_array() || pair.size() != 2 || !pair[1].is_object()) continue;
        ForeignRule rule = before;
        Match match{.key = key_of(map["key"])};
        if (pair[0] != "*" && !read_values(pair[0], match.values)) match.key = Key::unknown;
        if (pair[0] != "*") rule.matches.push_back(std::move(match));
        for (const auto& [kind, value] : pair[1].items()) read_verdict(kind, value, rule);
        out.push_back(std::move(rule));
    }
    return out;
}

void add_rules(const json& expressions, ForeignChain& chain) {
    ForeignRule rule;
    for (const json& expression : expressions) {
        if (!expression.is_object() || expression.empty()) continue;
        const std::string kind = expression.begin().key();
        const json& value = expression.begin().value();
        if (kind == "match" && value.is_object()) {
            rule.matches.push_back(match_of(value));
        } else if (kind == "xt") {
            read_xtables(value, rule);
        } else if (kind == "vmap" && value.is_object()) {
            for (ForeignRule& each : rules_of_map(rule, value)) chain.rules.push_back(std::move(each));
            return;
        } else if (kind == "limit" || kind == "quota" || kind == "ct count") {
            rule.matches.push_back({});
        } else {
            read_verdict(kind, value, rule);
        }
    }
    const bool goes_on = rule.action == Action::back || rule.action == Action::accept;
    for (Match& match : rule.matches) {
        if (match.values == std::vector<std::string>{"for this host if it goes on"}) {
            match.values = {"local", "broadcast"};
            if (!goes_on) match.key = Key::unknown;
        }
        if (match.values == std::vector<std::string>{"established if accepted"})
            match.values = {rule.action == Action::accept ? "established" : "invalid"};
    }
    chain.rules.push_back(std::move(rule));
}

}  // namespace

Result<std::vector<ForeignChain>> read_nft_ruleset(const std::string& listing) {
    const json parsed = json::parse(listing, nullptr, false);
    if (!parsed.is_object() || !parsed.contains("nftables") || !parsed["nftables"].is_array())
        return fail(Code::malformed, "the listing of the host's firewall rules can't be read");
    std::vector<ForeignChain> out;
    std::map<std::string, std::size_t> where;
    const auto key = [](const json& item, const char* name) {
        return text(item, "family") + " " + text(item, "table") + " " + text(item, name);
    };
    for (const json& item : parsed["nftables"]) {
        if (!item.is_object()) continue;
        const auto chain = item.find("chain"), rule = item.find("rule");
        if (chain != item.end() && chain->is_object() && text(*chain, "table") != "axle") {
            where[key(*chain, "name")] = out.size();
            const std::string type = text(*chain, "type");
            out.push_back({.family = text(*chain, "family"),
                           .table = text(*chain, "table"),
                           .name = text(*chain, "name"),
                           .hook = type == "filter" ? text(*chain, "hook") : "",
                           .drops = text(*chain, "policy") == "drop"});
        }
        if (rule == item.end() || !rule->is_object() || !rule->contains("expr")) continue;
        if (const auto found = where.find(key(*rule, "chain")); found != where.end())
            add_rules((*rule)["expr"], out[found->second]);
    }
    return out;
}

}  // namespace axle
