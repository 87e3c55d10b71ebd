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
    const std::string pair = pair_of(stage, act);
    const auto right = reference.expect(act);
    const auto answer = stage.ask(act);
    if (!answer) return "";
    if (!pair.empty()) ++play.coverage[pair];
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
        if (reply.result && reply.result->object) {
            const Object& object = *reply.result->object;
            answer.taken = {.object = object.meta.id, .replayed = reply.result->replayed};
            if (object.kind() == Kind::vm) {
                for (const auto& [name, disk] : static_cast<const Vm&>(object).spec.disks)
                    answer.taken.disks[name] = disk.volume.name;
            }
        }
        if (!reply.result) answer.why = reply.result.error().message;
        return answer;
    }
    void befall(const Act& act) override { test::befall(cloud_, act); }
    void pass(std::int64_t ms) override {
        cloud_.run_for(milliseconds{ms});
        cloud_.run_until([&] { return cloud_.orchestrator_runs(); });
    }
    bool can_ask(const Act& act) override { return mutation_of(cloud_, act).has_value(); }
    std::string phase(Kind kind, const std::string& name) override {
        const World& world = cloud_.world();
        const ObjectPtr project = world.named(Kind::project, {}, "default");
        const ObjectPtr object = world.named(kind, project->meta.id, name);
        if (!object) return "none";
        if (kind == Kind::volume) return text_of(static_cast<const Volume&>(*object).status.phase);
        if (kind == Kind::image) return text_of(static_cast<const Image&>(*object).status.phase);
        return text_of(static_cast<const Vm&>(*object).status.phase);
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

Play play_on(Stage& stage, const History& history, const Coverage* met) {
    Play play;
    Reference reference;
    play.trouble = stage.trouble();
    bool steered = false;
    for (Act act : history.acts) {
        if (!play.trouble.empty()) return play;
        steered = met != nullptr && is_user_verb(act.verb) && !steered;
        if (steered) go_where_least_was_met(stage, *met, play.coverage, act);
        play.acts.push_back(act);
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

namespace {

Play play_simulated(const History& history, const Coverage* met) {
    Cloud cloud({.seed = history.seed, .hosts = history.hosts});
    cloud.furnish();
    SimulatedStage stage(cloud);
    Play play = play_on(stage, history, met);
    finish(play, cloud);
    return play;
}

}  // namespace

Play play_against_reference(const History& history) {
    return play_simulated(history, nullptr);
}

Play play_where_least_was_met(const History& history, const Coverage& met) {
    return play_simulated(history, &met);
}

}  // namespace axle::test
