// Histories against the reference model.
#include <algorithm>

#include "tests/support/cloud/eyes.hpp"
#include "tests/support/cloud/history.hpp"
#include "tests/support/cloud/reference.hpp"

namespace axle::test {
namespace {

bool is_user_verb(const std::string& verb) {
    return std::ranges::any_of(user_verbs(), [&](const WeightedVerb& v) { return verb == v.verb; });
}

void ask_and_compare(Cloud& cloud, Reference& reference, Play& play, const Act& act) {
    auto mutation = mutation_of(cloud, act);
    if (!mutation) return;
    if (act.verb.starts_with("vm-")) {
        const Vm* vm = cloud.vm(vm_name(act.subject));
        ++play.coverage[fmt::format("{}: {}", vm != nullptr ? text_of(vm->status.phase) : "none", act.verb)];
    }
    const auto right = reference.expect(act);
    const Reply reply = cloud.ask_and_wait(std::move(*mutation));
    const std::string how = how_answered(reply);
    const std::string why = reply.result ? "" : reply.result.error().message;
    ++play.answers[act.verb + " " + how];
    cloud.trace("answer: " + how + " " + why);
    if (right.contains(how)) return reference.took(act, how, reply.result ? &*reply.result : nullptr);
    std::string all;
    for (const std::string& r : right) all += " " + r;
    cloud.violate(fmt::format("{} was answered {}, right is{} ({})", act.verb, how, all, why));
}

}  // namespace

History draw_model_history(std::uint64_t seed, std::size_t acts) {
    History history = draw_history(seed, acts, true);
    history.level = "model";
    for (Act& act : history.acts) {  // none by which an answer may be lost or a guest be deaf to its user
        const bool unfit = act.verb == "sync-fails" || act.verb == "stall" || act.verb == "disk-full";
        if (unfit || act.verb == "host-faults") act.verb = "cut";
    }
    return history;
}

Play play_against_reference(const History& history) {
    Play play;
    Cloud cloud({.seed = history.seed, .hosts = history.hosts});
    Reference reference;
    cloud.furnish();
    for (const Act& act : history.acts) {
        cloud.run_until([&] { return cloud.orchestrator_runs(); });
        cloud.trace("act: " + text_of(act));
        if (is_user_verb(act.verb))
            ask_and_compare(cloud, reference, play, act);
        else
            befall(cloud, act);
        cloud.run_for(milliseconds{cloud.violation().empty() ? act.wait_ms : 0});
        if (!cloud.violation().empty()) break;
    }
    play.trouble = cloud.violation();
    if (play.trouble.empty()) play.trouble = converge(cloud, std::chrono::minutes{60});
    if (play.trouble.empty()) play.trouble = reference.compare(cloud.world());
    if (play.trouble.empty()) play.trouble = clear_away(cloud);
    finish(play, cloud);
    return play;
}

}  // namespace axle::test
