// What a change did, as it is answered.
#pragma once
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "common/model/fleet.hpp"
#include "orchestrator/core/service.hpp"

namespace axle::api {

// The object, with the secret of a new token beside it (the only time that it is shown).
std::string object_text(const Mutated& mutated);
// {dryRun, action: create|change|none|delete, kind, name, project, id, changes[], task, consequences[],
// placement (of a VM that a dry run would create)}
nlohmann::json plan_json(const Mutated& mutated, bool dry_run);
// Why a task didn't succeed, as an error of the request that waited for it.
Error error_of_task(const Task& task);

}  // namespace axle::api
