#include "tests/support/cloud/plain_kinds.hpp"

#include <algorithm>

namespace axle::test {
namespace {

constexpr int kOfEach = 2;

std::string nothing(const Act&) {
    return "{}";
}
std::string flavor(const Act& act) {
    return fmt::format(R"({{"cpus":{},"memory":"{}GiB"}})", 1 + act.number % 4, 1 + act.number % 3);
}
std::string key(const Act& act) {
    return fmt::format(R"({{"publicKey":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{:0>43} one"}})", act.number);
}
std::string pool(const Act& act) {
    return fmt::format(R"({{"path":"/pools/{}"}})", plain_name("pool", act.subject));
}
std::string token(const Act& act) {
    return act.number % 2 == 0 ? R"({"role":"viewer"})" : R"({"role":"editor","projects":["default"]})";
}

}  // namespace

const std::vector<PlainKind>& plain_kinds() {
    static const std::vector<PlainKind> all = {
        {"flavor", Kind::flavor, flavor}, {"key", Kind::sshkey, key},
        {"zone", Kind::zone, nothing},    {"group", Kind::placementgroup, nothing},
        {"pool", Kind::pool, pool},       {"project", Kind::project, nothing},
        {"token", Kind::token, token},    {"join", Kind::jointoken, nothing}};
    return all;
}

const PlainKind* plain_kind_of(std::string_view verb) {
    const auto dash = verb.find('-');
    const std::string_view does = dash == std::string_view::npos ? "" : verb.substr(dash);
    if (does != "-create" && does != "-patch" && does != "-delete") return nullptr;
    const auto found = std::ranges::find(plain_kinds(), verb.substr(0, dash), &PlainKind::prefix);
    return found == plain_kinds().end() ? nullptr : &*found;
}

std::string plain_name(std::string_view prefix, int number) {
    return fmt::format("{}{}", prefix, number % kOfEach);
}

bool is_plain_name(std::string_view prefix, std::string_view name) {
    for (int i = 0; i < kOfEach; ++i) {
        if (plain_name(prefix, i) == name) return true;
    }
    return false;
}

std::optional<Mutation> plain_mutation(const Act& act) {
    const PlainKind* plain = plain_kind_of(act.verb);
    if (plain == nullptr) return std::nullopt;
    const std::string name = plain_name(plain->prefix, act.subject);
    if (act.verb.ends_with("-delete")) return Cloud::remove(plain->kind, "default", name);
    if (act.verb.ends_with("-patch"))
        return Cloud::patch(plain->kind, "default", name, fmt::format(R"({{"labels":{{"tier":"t{}"}}}})", act.object));
    return Cloud::create(plain->kind, "default", fmt::format(R"({{"name":"{}","spec":{}}})", name, plain->spec(act)));
}

}  // namespace axle::test
