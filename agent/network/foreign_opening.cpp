// Opening others' firewalls with the user's word, and closing them again.
#include <set>

#include <nlohmann/json.hpp>

#include "agent/network/foreign_firewall.hpp"
#include "common/base/file.hpp"
#include "common/base/process.hpp"

namespace axle {
namespace {

using Opened = std::set<std::pair<std::string, std::string>>;  // program, interface

Result<Opened> recorded(const std::string& record) {
    auto text = read_file(record);
    if (!text && text.error().code == Code::not_found) return Opened{};
    if (!text) return fail(std::move(text.error()));
    const auto parsed = nlohmann::json::parse(*text, nullptr, false);
    if (!parsed.is_array())
        return fail(Code::corrupt, "{} can't be read: it says which firewalls were opened for guests", record);
    Opened out;
    for (const auto& each : parsed) {
        if (each.is_array() && each.size() == 2 && each[0].is_string() && each[1].is_string())
            out.insert({each[0].get<std::string>(), each[1].get<std::string>()});
    }
    return out;
}

ProcessSpec spec_of(const std::vector<std::string>& words) {
    return {.program = words.front(), .arguments = {words.begin() + 1, words.end()}};
}

bool succeeds(const std::vector<std::string>& words) {
    const auto ended = run_process(spec_of(words));
    return ended && ended->ok();
}

}  // namespace

Result<> open_foreign_firewalls(const std::string& record, const std::vector<std::string>& programs,
                                const std::vector<std::string>& interfaces) {
    TRY(opened, recorded(record));
    for (const std::string& program : programs) {
        for (const std::string& interface : interfaces) opened.insert({program, interface});
    }
    TRY_VOID(make_directories(parent_of(record)));
    TRY_VOID(write_file_durably(record, nlohmann::json(opened).dump() + "\n"));
    for (const auto& [program, interface] : opened) {
        for (const Opening& opening : openings(program, interface)) {
            if (!opening.check.empty() && succeeds(opening.check)) continue;
            if (auto added = run_checked(spec_of(opening.add)); !added)
                return fail(std::move(added.error()).in("opening the firewall of " + program));
        }
    }
    return {};
}

Result<> close_foreign_firewalls(const std::string& record) {
    TRY(opened, recorded(record));
    for (const auto& [program, interface] : opened) {
        for (const Opening& opening : openings(program, interface)) {
            if (!opening.check.empty() && !succeeds(opening.check)) continue;
            const auto ended = run_process(spec_of(opening.remove));
            if (!ended && ended.error().code != Code::not_found)
                return fail(Error(ended.error()).in("closing the firewall of " + program));
            // ufw without the rule says so and fails; a rule that stays would be seen by the next look at its rules.
            if (ended && !ended->ok() && !opening.check.empty())
                return fail(Code::unavailable, "closing the firewall of {}: {}", program,
                            describe_end(spec_of(opening.remove), *ended));
        }
    }
    return remove_file_durably(record);
}

}  // namespace axle
