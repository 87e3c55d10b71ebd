#include "orchestrator/core/severity.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace axle {
namespace {

using namespace std::string_view_literals;

// Well when they hold; every other type names something that isn't.
constexpr std::array kGood = {"Ready"sv, "Scheduled"sv, "Placed"sv};
// Why they may not hold in the normal course of things: of agents, of the orchestrator.
constexpr std::array kSteps = {"Preparing"sv,        "Stopping"sv,     "Moving"sv,       "HostGoingDown"sv,
                               "EpochUnconfirmed"sv, "CrashBackOff"sv, "ImagePending"sv, "WaitsForVm"sv};
constexpr std::array kNotes = {"NoAccelerator"sv};

template <typename Words>
bool holds(const Words& words, std::string_view word) {
    return std::ranges::find(words, word) != words.end();
}

}  // namespace

Severity severity_of(const Condition& c) {
    const bool good = holds(kGood, c.type);
    if (good == c.status) return Severity::well;
    if (good) return holds(kSteps, c.reason) ? Severity::step : Severity::trouble;
    return holds(kNotes, c.type) ? Severity::note : Severity::trouble;
}

bool is_trouble(const Condition& c) {
    return severity_of(c) == Severity::trouble;
}

std::string name_of(const Condition& c) {
    const std::string& word = holds(kGood, c.type) && !c.reason.empty() ? c.reason : c.type;
    std::string out;
    bool upper = true;
    for (const char letter : word) {
        if (letter == '-') {
            upper = true;
            continue;
        }
        out += upper && letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 'a' + 'A') : letter;
        upper = false;
    }
    return out;
}

}  // namespace axle
