// Histories against the reference model.
#include <algorithm>

#include "tests/support/cloud/eyes.hpp"
#include "tests/support/cloud/history.hpp"

namespace axle::test {
namespace {

bool is_user_verb(const std::string& verb) {
    return std::ranges::any_of(user_verbs(), [&](const WeightedVerb& v) { return verb == v.verb; });
}

// "" or how the answer differs from what is right.
std::string ask_and_compare(Stage& stage, Reference& reference, Play& play, const Act& act) {
    const std::string phase = act.verb.starts_with("vm-") ? stage.phase(vm_name(act.subject)) : "";
    const auto right = reference.expect(act);
    const auto answer = stage.ask(act);
    if (!answer) return "";
    if (!phase.empty()) ++play.coverage[phase + ": " + act.verb];
    ++play.answers[act.verb + " " + answer->how];
    stage.note("answer: " + answer->how + " " + answer->why);
    if (!right.contains(answer->how)) {
        std::string all;
        for (const std::string& r : right) all += " " + r;
        return fmt::format("{} was answered {}, right is{} ({})", act.verb, answer->how, all, answer->why);
    }
    return answer->how == "ok" ? reference.took(act, answer->taken) : "";
}

class SimulatedStage final : public Stage {
  public:
    explicit SimulatedStage(Cloud& cloud) : cloud_(cloud) {}
    std::optional<Answer> ask(const Act& act) override {
        auto mutation = mutation_of(cloud_, act);
        if (!mutation) return std::nullopt;
        const Reply reply = cloud_.ask_and_wait(std::move(*mutation));
        Answer answer{.how = how_answered(reply)};
        if (reply.result && reply.result->object)
            answer.taken = {reply.result->object->meta.id, reply.result->replayed};
        if (!reply.result) answer.why = reply.result.error().message;
        return answer;
    }
    void befall(const Act& act) override { test::befall(cloud_, act); }
    void pass(std::int64_t ms) override {
        cloud_.run_for(milliseconds{ms});
        cloud_.run_until([&] { return cloud_.orchestrator_runs(); });
    }
    std::string phase(const std::string& name) override {
        const Vm* vm = cloud_.vm(name);
        return vm != nullptr ? text_of(vm->status.phase) : "none";
    }
    std::string trouble() override { return cloud_.violation(); }
    std::string settle() override { return converge(cloud_, std::chrono::minutes{60}); }
    Seen seen() override { return seen_in(cloud_.world()); }
    std::string clear_away() override { return test::clear_away(cloud_); }
    void note(const std::string& line) override { cloud_.trace(line); }

  private:
    Cloud& cloud_;
};

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

Play play_on(Stage& stage, const History& history) {
    Play play;
    Reference reference;
    play.trouble = stage.trouble();
    for (const Act& act : history.acts) {
        if (!play.trouble.empty()) return play;
        stage.note("act: " + text_of(act));
        if (is_user_verb(act.verb))
            play.trouble = ask_and_compare(stage, reference, play, act);
        else
            stage.befall(act);
        if (play.trouble.empty()) stage.pass(act.wait_ms);
        if (play.trouble.empty()) play.trouble = stage.trouble();
    }
    if (play.trouble.empty()) play.trouble = stage.settle();
    if (play.trouble.empty()) play.trouble = reference.compare(stage.seen());
    if (play.trouble.empty()) play.trouble = stage.clear_away();
    return play;
}

Play play_against_reference(const History& history) {
    Cloud cloud({.seed = history.seed, .hosts = history.hosts});
    cloud.furnish();
    SimulatedStage stage(cloud);
    Play play = play_on(stage, history);
    finish(play, cloud);
    return play;
}

}  // namespace axle::test
