#include "tests/support/cloud/coverage.hpp"

#include <algorithm>

#include "tests/support/cloud/history.hpp"

namespace axle::test {
namespace {

struct StatefulKind {
    std::string prefix;
    Kind kind;
    int count;
    std::string (*name)(int);
    std::vector<std::string> states;
};

// Without the states of what is deleted: that has no name to be called by; and without "uploading": nobody uploads
// here.
template <typename Phase>
std::vector<std::string> states() {
    std::vector<std::string> all = {"none"};
    for (const auto& [phase, text] : names(Phase{})) {
        const std::string state = text;
        if (state != "deleted" && state != "expunging" && state != "uploading") all.push_back(state);
    }
    return all;
}

const std::vector<StatefulKind>& stateful_kinds() {
    static const std::vector<StatefulKind> all = {
        {"vm", Kind::vm, kVms, vm_name, states<VmPhase>()},
        {"volume", Kind::volume, kVolumes, volume_name, states<VolumePhase>()},
        {"image", Kind::image, kImages, image_name, states<ImagePhase>()}};
    return all;
}

const StatefulKind* kind_of(const std::string& verb) {
    const auto found =
        std::ranges::find_if(stateful_kinds(), [&](const StatefulKind& k) { return verb.starts_with(k.prefix + "-"); });
    return found == stateful_kinds().end() ? nullptr : &*found;
}

std::string pair_text(const StatefulKind& kind, const std::string& state, const std::string& verb) {
    return kind.prefix + " " + state + ": " + verb;
}

constexpr int kEnough = 3;

int all_of(const Coverage& coverage) {
    int all = 0;
    for (const auto& [pair, count] : coverage) all += count;
    return all;
}

int times(const Coverage& coverage, const std::string& pair) {
    const auto found = coverage.find(pair);
    return found == coverage.end() ? 0 : found->second;
}

}  // namespace

std::string pair_of(Stage& stage, const Act& act) {
    const StatefulKind* kind = kind_of(act.verb);
    return kind == nullptr ? "" : pair_text(*kind, stage.phase(kind->kind, kind->name(act.subject)), act.verb);
}

std::size_t possible_pairs() {
    std::size_t count = 0;
    for (const WeightedVerb& verb : user_verbs()) {
        if (const StatefulKind* kind = kind_of(verb.verb)) count += kind->states.size();
    }
    return count;
}

void go_where_least_was_met(Stage& stage, const Coverage& before, const Coverage& now, Act& act) {
    struct Candidate {
        int met;
        Act act;
    };
    std::vector<Candidate> candidates;
    for (const StatefulKind& kind : stateful_kinds()) {
        for (int i = 0; i < kind.count; ++i) {
            const int subject = (act.subject + i) % kind.count;  // of equal ones not always the same
            const std::string state = stage.phase(kind.kind, kind.name(subject));
            for (const WeightedVerb& verb : user_verbs()) {
                if (kind_of(verb.verb) != &kind) continue;
                const std::string pair = pair_text(kind, state, verb.verb);
                candidates.push_back({times(before, pair) + times(now, pair), act});
                candidates.back().act.verb = verb.verb;
                candidates.back().act.subject = subject;
            }
        }
    }
    std::ranges::stable_sort(candidates, {}, &Candidate::met);
    const int enough = std::max(kEnough, (all_of(before) + all_of(now)) / static_cast<int>(possible_pairs()));
    for (const Candidate& candidate : candidates) {
        if (candidate.met >= enough) return;
        if (!stage.can_ask(candidate.act)) continue;
        act = candidate.act;
        return;
    }
}

}  // namespace axle::test
