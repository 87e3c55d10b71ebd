// Which acts there are, how often they come, and how they are written down.
#include <algorithm>
#include <sstream>

#include "tests/support/cloud/acts.hpp"

namespace axle::test {

std::string text_of(const Act& act) {
    return fmt::format("{} {} {} {} {}", act.verb, act.subject, act.object, act.number, act.wait_ms);
}

std::optional<Act> parse_act(std::string_view line) {
    std::istringstream in{std::string(line)};
    Act act;
    if (!(in >> act.verb >> act.subject >> act.object >> act.number >> act.wait_ms)) return std::nullopt;
    return act;
}

const std::vector<WeightedVerb>& user_verbs() {
    static const std::vector<WeightedVerb> all = {
        {"vm-create", 18},     {"vm-start", 8},       {"vm-stop", 7},        {"vm-force", 4},
        {"vm-pause", 4},       {"vm-resume", 4},      {"vm-reboot", 3},      {"vm-reset", 3},
        {"vm-migrate", 6},     {"vm-delete", 8},      {"vm-expunge", 2},     {"vm-restore", 5},
        {"vm-patch", 8},       {"vm-attach", 6},      {"vm-detach", 5},      {"volume-create", 5},
        {"volume-delete", 4},  {"volume-restore", 3}, {"network-create", 2}, {"network-delete", 2},
        {"forward-create", 3}, {"forward-delete", 2}, {"image-create", 2},   {"image-delete", 2},
        {"image-restore", 1},  {"task-cancel", 1},    {"keyed-create", 7},   {"project-limit", 1},
        {"host-cordon", 2},    {"stray-adopt", 3},    {"stray-remove", 3},   {"vm-restore-as", 3},
        {"volume-patch", 3},   {"network-patch", 2},  {"forward-patch", 1},  {"volume-restore-as", 2},
        {"image-import", 2},   {"image-patch", 1},    {"host-drain", 2},     {"host-undrain", 3},
        {"host-zone", 2},      {"flavor-create", 2},  {"flavor-patch", 1},   {"flavor-delete", 1},
        {"key-create", 2},     {"key-patch", 1},      {"key-delete", 1},     {"zone-create", 1},
        {"zone-patch", 1},     {"zone-delete", 1},    {"group-create", 2},   {"group-patch", 1},
        {"group-delete", 1},   {"pool-create", 3},    {"pool-patch", 1},     {"pool-delete", 2},
        {"project-create", 1}, {"project-patch", 1},  {"project-delete", 1}, {"token-create", 1},
        {"token-patch", 1},    {"token-delete", 1},   {"join-create", 1},    {"join-patch", 1},
        {"join-delete", 1}};
    return all;
}

const std::vector<WeightedVerb>& fault_verbs() {
    static const std::vector<WeightedVerb> all = {{"orchestrator-crash", 10},
                                                  {"agent-crash", 8},
                                                  {"power-cut", 4},
                                                  {"freeze", 3},
                                                  {"cut", 6},
                                                  {"silence", 5},
                                                  {"partition", 4},
                                                  {"sync-fails", 3},
                                                  {"stall", 2},
                                                  {"disk-full", 2},
                                                  {"wall-jump", 2},
                                                  {"host-faults", 6},
                                                  {"guest-down", 6},
                                                  {"guest-crash", 4},
                                                  {"virsh-destroy", 3},
                                                  {"slow-wire", 3},
                                                  {"repeats", 3},
                                                  {"pools-full", 2},
                                                  {"host-wall-jump", 1},
                                                  {"state-full", 2},
                                                  {"unmount", 2},
                                                  {"stray-file", 5}};
    return all;
}

Act draw_act(SeededRandom& random, const std::vector<WeightedVerb>& verbs, int hosts, std::int64_t longest_wait_ms) {
    unsigned all = 0;
    for (const WeightedVerb& v : verbs) all += v.weight;
    auto at = random.below(all);
    const WeightedVerb* chosen = verbs.data();
    while (at >= chosen->weight) at -= (chosen++)->weight;
    Act act{.verb = chosen->verb};
    act.subject = static_cast<int>(random.below(static_cast<std::uint64_t>(std::max(kVms, hosts))));
    act.object = static_cast<int>(random.below(12));
    act.number = static_cast<std::int64_t>(random.below(1'000));
    act.wait_ms = random.chance(10) ? random.between(0, longest_wait_ms) : random.between(0, longest_wait_ms / 40);
    return act;
}

}  // namespace axle::test
