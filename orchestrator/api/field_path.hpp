// Finds fields by dotted path ("spec.nics.eth0.network", "labels.tier", "status.conditions.type"), in objects and in
// their JSON form. `*` stands for every entry of a map or list; a list is passed through without a step. Pure.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "common/base/result.hpp"
#include "common/model/object.hpp"

namespace axle::api {

using Path = std::vector<std::string>;

// What stands at the end of a path; monostate: an object, list or map. Absent and empty texts aren't told at all.
using Scalar = std::variant<std::monostate, bool, std::int64_t, double, std::string>;
using Found = std::function<void(const Scalar& value)>;

// Splits; what follows "labels." or "annotations." is one key, whatever stands in it.
Path split_path(std::string_view dotted);

struct Leaf {
    const Type* type = nullptr;  // null: kind, apiVersion
    FieldOptions options;
};
// The field that a path leads to in objects of this kind. Secrets are there only for who wants to know of them, not for
// who compares values. Error: Code::invalid, naming the step and what is known there.
Result<Leaf> resolve(const KindInfo& kind, const Path& path, bool secrets_too = false);

// Calls for each value that the path leads to. References are told as their names.
void values_at(const Object& object, const Path& path, const Found& found);
void values_at(const nlohmann::json& object, const Path& path, const Found& found);

}  // namespace axle::api
