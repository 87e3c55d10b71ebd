// The OpenAPI 3.1 document and the explanation of single fields, both from the tables of the model. Pure.
#pragma once
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "common/base/result.hpp"
#include "common/model/type.hpp"

namespace axle::api {

nlohmann::json openapi_document();
// JSON Schema of a described value, as the API reads and writes it.
nlohmann::json schema_of(const Type& type, const FieldOptions& options);

// "vm", "vm.spec.nics", "vm.spec.nics.eth0.network": what it is, its default and bounds, and what is in it.
Result<nlohmann::json> explain_field(const std::string& dotted);

}  // namespace axle::api
