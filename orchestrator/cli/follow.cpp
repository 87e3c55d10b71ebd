// Waiting for a task: long polls, a progress line, letting go without harm.
#include "common/base/now.hpp"
#include "common/base/units.hpp"
#include "orchestrator/cli/session.hpp"

namespace axle::cli {
namespace {

std::string at(const json& object, const char* pointer) {
    const json* found = find_at(object, pointer);
    return found != nullptr && found->is_string() ? found->get<std::string>() : std::string{};
}

std::string line_of(const json& task) {
    std::string line = fmt::format("{} {}: {}", at(task, "/spec/target/kind"), at(task, "/spec/target/name"),
                                   at(task, "/status/phase"));
    if (const std::string reason = at(task, "/status/reason"); !reason.empty()) line += " (" + reason + ")";
    const auto status = task.find("status");
    if (status == task.end()) return line;
    if (const std::string step = at(task, "/status/step"); !step.empty()) line += " (" + step + ")";
    if (const auto percent = status->value("percent", std::int64_t{0}); percent > 0)
        line += fmt::format(", {} %", percent);
    if (const auto bytes = status->value("bytes", std::int64_t{0}); bytes > 0) line += ", " + format_bytes(bytes);
    return line;
}

bool has_ended(const std::string& phase) {
    return phase == "succeeded" || phase == "failed" || phase == "cancelled" || phase == "superseded";
}

Error error_of_task(const json& task, const std::string& phase) {
    Error e = error(Code::conflict, "{} {}: the task {}", at(task, "/spec/target/kind"), at(task, "/spec/target/name"),
                    phase == "failed" ? "failed" : "was " + phase);
    e.reason = "task-" + phase;
    if (const std::string why = at(task, "/status/error/message"); !why.empty()) e.message += ": " + why;
    e.hint = at(task, "/status/error/hint");
    return e;
}

// The creation's own.
bool is_first(const json& task) {
    const json::json_pointer generation("/spec/generation");
    return task.contains(generation) && task[generation] == 1;
}

// A wish is taken back by the opposite wish; work that only goes on can be cancelled.
std::string way_back(const json& task, const std::string& id) {
    const std::string goal = at(task, "/spec/goal"), name = at(task, "/spec/target/name");
    if (goal == "vm-running") return (is_first(task) ? "axle vm delete " : "axle vm stop ") + name;
    if (goal == "vm-stopped" || goal == "vm-paused") return "axle vm start " + name;
    if (goal == "vm-deleted") return fmt::format("axle vm restore {}, unless it was deleted with --now", name);
    if (goal == "host-drain") return "axle host undrain " + name;
    if (goal == "host-return") return "axle host cordon " + name;
    return "axle task cancel " + id;
}

Error let_go(const json& task, const std::string& id, bool by_person) {
    Error e = by_person ? error(Code::timeout, "let go of task {}: it goes on", id).with_reason("detached")
                        : error(Code::timeout, "the time is over, task {} goes on", id);
    e.hint = fmt::format("follow it: axle task wait {}; take it back: {}", id, way_back(task, id));
    return e;
}

// What a task that succeeded has to say beyond that: where a VM is now, and how long it stood still for it; where a
// volume will be.
std::string last_words(const json& task) {
    const json* log = find_at(task, "/status/log");
    const std::string goal = at(task, "/spec/goal");
    if ((goal != "vm-migrate" && goal != "volume-ready") || log == nullptr || !log->is_array() || log->empty())
        return {};
    return log->back().is_string() ? log->back().get<std::string>() : std::string{};
}

}  // namespace

Result<std::string> follow_task(Session& session, const std::string& location) {
    if (location.empty()) return std::string{};
    const Terminal& terminal = session.terminal();
    const std::string id = location.substr(location.rfind('/') + 1);
    const InterruptGuard guard;
    const BootTime end = boot_now() + session.flags().timeout;
    std::string last_line;
    json known;              // of the last answer
    milliseconds wait{300};  // the first answer soon: a task that waits says why within a second
    while (true) {
        auto task = session.get(fmt::format("{}?wait={}ms", location, wait.count()));
        if (was_interrupted()) return fail(let_go(known, id, true));
        if (!task && task.error().code == Code::unavailable && boot_now() < end) {
            terminal.progress("the server doesn't answer; the task goes on, waiting for it");  // a restart, say
            pause_for(500);
            continue;
        }
        if (!task) return fail(std::move(task.error()));
        known = *task;
        const std::string phase = at(known, "/status/phase");
        if (has_ended(phase)) {
            terminal.progress("");
            if (phase == "succeeded") return last_words(known);
            return fail(error_of_task(*task, phase));
        }
        const std::string line = line_of(*task);
        if (terminal.err_is_tty)
            terminal.progress(line);
        else if (line != last_line && (phase == "waiting" || last_line.empty()))
            terminal.say(line);
        last_line = line;
        const milliseconds left = end - boot_now();
        if (left.count() <= 0) return fail(let_go(known, id, false));
        wait = std::min(milliseconds{1000}, left);
    }
}

}  // namespace axle::cli
