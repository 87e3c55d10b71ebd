#include "orchestrator/api/mutated.hpp"

#include <nlohmann/json.hpp>

#include "orchestrator/api/render.hpp"

namespace axle::api {

std::string object_text(const Mutated& mutated) {
    std::string out;
    write_object(*mutated.object, out);
    if (!mutated.secret.empty()) {
        out.pop_back();
        out += ",\"secret\":";
        write_json_string(out, mutated.secret);
        out += '}';
    }
    return out;
}

nlohmann::json plan_json(const Mutated& mutated, bool dry_run) {
    const Object& object = *mutated.object;
    const bool removes = object.is_deleted();
    nlohmann::json out = {{"kind", info_of(object.kind()).name},
                          {"name", object.meta.name},
                          {"id", object.meta.id.str()},
                          {"dryRun", dry_run},
                          {"action", mutated.created              ? "create"
                                     : removes && mutated.changed ? "delete"
                                     : mutated.changed            ? "change"
                                                                  : "none"},
                          {"changes", changes_json(mutated.plan)}};
    if (object.meta.project) out["project"] = object.meta.project.name;
    if (mutated.task && !dry_run) out["task"] = mutated.task.str();
    if (mutated.replayed) out["replayed"] = true;
    if (!mutated.notes.empty()) out["consequences"] = mutated.notes;
    if (mutated.placement) {
        std::string text;
        write_value(type_of<Decision>(), &*mutated.placement, Audience::api, nullptr, text);
        out["placement"] = nlohmann::json::parse(text);
    }
    return out;
}

Error error_of_task(const Task& task) {
    Error e = error(Code::conflict, "task {} {}", task.meta.id.str(), text_of(task.status.phase));
    e.reason = fmt::format("task-{}", text_of(task.status.phase));
    if (task.status.phase == TaskPhase::superseded && !task.status.superseded_by.empty())
        e.message += " by task " + task.status.superseded_by;
    if (!task.status.error) return e;
    e.message += ": " + task.status.error->message;
    e.hint = task.status.error->hint;
    if (!task.status.error->code.empty()) e.reason = task.status.error->code;
    return e;
}

}  // namespace axle::api
