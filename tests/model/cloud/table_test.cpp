// That histories leave out nothing that the API offers: what is new there gets a verb here, or a reason why not.
#include <doctest/doctest.h>

#include "orchestrator/core/actions.hpp"
#include "tests/support/cloud/acts.hpp"

using namespace axle;
using namespace axle::test;

namespace {

constexpr const char* kSome = "01900000-0000-7000-8000-000000000001";

// Everything that an act may name is there.
struct AllThere final : Subjects {
    std::optional<Uuid> deleted(Kind, const std::string&) const override { return Uuid::parse(kSome); }
    std::vector<Uuid> open_tasks() const override { return {*Uuid::parse(kSome)}; }
    std::string host(int number) const override { return fmt::format("h{}", number); }
};

std::string text_of(const Mutation& m) {
    const char* what = m.verb == Verb::create ? "create" : m.verb == Verb::patch ? "patch" : "delete";
    return fmt::format("{} {}", text_of(m.target.kind), m.verb == Verb::action ? m.action.c_str() : what);
}

// "vm create", "host drain", ...: what acts of users come to.
std::set<std::string> reached() {
    std::set<std::string> all;
    for (const WeightedVerb& verb : user_verbs()) {
        for (int number = 0; number < 60; ++number) {
            for (int object = 0; object < 12; ++object) {
                const auto m = mutation_of(AllThere{}, {.verb = verb.verb, .object = object, .number = number});
                REQUIRE_MESSAGE(m, verb.verb);
                all.insert(text_of(*m));
            }
        }
    }
    return all;
}

std::set<std::string> offered() {
    std::set<std::string> all;
    for (const KindInfo& kind : all_kinds()) {
        for (const char* what : {"create", "patch", "delete"}) all.insert(fmt::format("{} {}", kind.name, what));
    }
    for (const ActionInfo& action : all_actions()) all.insert(fmt::format("{} {}", text_of(action.kind), action.name));
    return all;
}

const std::map<std::string, std::string> kLeftOut = {
    {"host create", "hosts join by themselves"},
    {"host delete", "a host that leaves or is lost is a scenario of its own: lost_host_test"},
    {"task create", "tasks come of what else is asked"},
    {"task patch", "a task can't be changed"},
    {"task delete", "a task can't be deleted"},
};

}  // namespace

TEST_CASE("every kind and every action of the API has a verb of a history, or a reason why it has none") {
    const std::set<std::string> has_verb = reached();
    for (const std::string& what : offered()) {
        CAPTURE(what);
        CHECK(has_verb.contains(what) != kLeftOut.contains(what));
    }
    for (const std::string& what : has_verb) CHECK_MESSAGE(offered().contains(what), what);
}
