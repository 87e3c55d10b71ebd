#include "agent/network/foreign_rules.hpp"

#include <algorithm>

#include "common/model/format.hpp"

namespace axle {
namespace {

using Action = ForeignRule::Action;
using Match = ForeignRule::Match;
using Key = ForeignRule::Match::Key;

constexpr int kJumpsMax = 32;
constexpr int kRulesMax = 100'000;  // that are looked at for one packet: jumps that fan out would go on for ever

bool is_like(const std::string& pattern, const std::string& text) {
    if (!pattern.ends_with('*')) return pattern == text;
    return text.starts_with(pattern.substr(0, pattern.size() - 1));
}
bool is_in_range(const std::string& range, const std::string& address) {
    const auto there = parse_cidr(range.find('/') == std::string::npos ? range + "/32" : range);
    const auto ip = parse_ipv4(address);
    return there && ip && there->contains(*ip);
}

// What the packet says of this; nullptr: it isn't known.
const std::string* of_packet(Key key, const Packet& packet) {
    static const std::string kFamily = "ipv4";
    const std::string* value = nullptr;
    switch (key) {
        case Key::in:
            value = &packet.in;
            break;
        case Key::out:
            value = &packet.out;
            break;
        case Key::protocol:
            value = &packet.protocol;
            break;
        case Key::port:
            value = &packet.port;
            break;
        case Key::state:
            return &packet.state;
        case Key::status:
            return &packet.status;
        case Key::family:
            return &kFamily;
        case Key::source:
            value = &packet.source;
            break;
        case Key::destination:
            value = &packet.destination;
            break;
        case Key::destination_type:
            value = &packet.destination_type;
            break;
        case Key::unknown:
            break;
    }
    return value == nullptr || value->empty() ? nullptr : value;
}

bool holds(const Match& match, const Packet& packet) {
    const std::string* value = of_packet(match.key, packet);
    if (value == nullptr) return false;
    const bool any = std::ranges::any_of(match.values, [&](const std::string& wanted) {
        if (match.key == Key::in || match.key == Key::out) return is_like(wanted, *value);
        if (match.key == Key::source || match.key == Key::destination) return is_in_range(wanted, *value);
        return wanted == *value;
    });
    return any != match.negated;
}

bool names_ours(const Match& match, const Packet& packet) {
    const bool interface = match.key == Key::in || match.key == Key::out;
    return interface && !match.negated && holds(match, packet) &&
           std::ranges::any_of(match.values, [](const std::string& name) { return name != "*" && !name.empty(); });
}

bool applies(const ForeignRule& rule, const Packet& packet) {
    bool all = true, contradicted = false, ours = false;
    for (const Match& match : rule.matches) {
        const bool so = holds(match, packet);
        all = all && so;
        contradicted = contradicted || (!so && of_packet(match.key, packet) != nullptr);
        ours =
            ours || (names_ours(match, packet) && (match.key == Key::in ? packet.in : packet.out).starts_with("axb"));
    }
    return all || (rule.action == Action::accept && ours && !contradicted);
}

enum class Fate { goes_on, accepted, dropped };

class Walk {
  public:
    Walk(const std::vector<ForeignChain>& chains, const Packet& packet) : chains_(chains), packet_(packet) {}
    Fate through(const ForeignChain& chain, int depth);
    std::string where;

  private:
    const ForeignChain* named(const ForeignChain& from, const std::string& name) const {
        const auto found = std::ranges::find_if(chains_, [&](const ForeignChain& c) {
            return c.name == name && c.table == from.table && c.family == from.family;
        });
        return found == chains_.end() ? nullptr : &*found;
    }
    const std::vector<ForeignChain>& chains_;
    const Packet& packet_;
    int left_ = kRulesMax;
};

Fate Walk::through(const ForeignChain& chain, int depth) {
    if (depth > kJumpsMax) return Fate::goes_on;
    for (const ForeignRule& rule : chain.rules) {
        if (left_-- <= 0) return Fate::goes_on;
        if (rule.action == Action::none || !applies(rule, packet_)) continue;
        if (rule.action == Action::accept) return Fate::accepted;
        if (rule.action == Action::back) return Fate::goes_on;
        if (rule.action == Action::drop) {
            where = fmt::format("a rule of chain {} of table {} {}", chain.name, chain.family, chain.table);
            return Fate::dropped;
        }
        const ForeignChain* target = named(chain, rule.target);
        const Fate fate = target == nullptr ? Fate::goes_on : through(*target, depth + 1);
        if (fate != Fate::goes_on || rule.action == Action::go) return fate;
    }
    return Fate::goes_on;
}

}  // namespace

std::optional<Drop> find_drop(const std::vector<ForeignChain>& chains, const Packet& packet) {
    for (const ForeignChain& chain : chains) {
        const bool sees_it = chain.hook == packet.hook && (chain.family == "ip" || chain.family == "inet");
        if (!sees_it) continue;
        Walk walk(chains, packet);
        const Fate fate = walk.through(chain, 0);
        if (fate == Fate::dropped) return Drop{&chain, walk.where};
        if (fate == Fate::goes_on && chain.drops)
            return Drop{&chain,
                        fmt::format("the policy of chain {} of table {} {}", chain.name, chain.family, chain.table)};
    }
    return std::nullopt;
}

}  // namespace axle
