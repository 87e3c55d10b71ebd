// Reading what a request brings: JSON or YAML, then each document's syntax against the table of its kind. Pure; on
// workers. The core checks again what it relies on, and what only it can know: references, quota, state.
#pragma once
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/http/message.hpp"
#include "common/model/object.hpp"

namespace axle::api {

struct Body {
    std::vector<nlohmann::json> documents;
    bool text_scalars = false;  // YAML: scalars are text, the field's type says what they are
};
// By Content-Type; without one, JSON. Error: Code::malformed with line and column, or reason "unsupported-media-type".
Result<Body> read_body(const http::Request& request);
Result<Body> read_one(const http::Request& request);          // exactly one document, an object
Result<Body> read_one_or_none(const http::Request& request);  // an empty body is {}

struct Document {
    const KindInfo* kind = nullptr;
    std::string project;  // empty for cluster-wide kinds
    std::string name;     // may be empty: then `errors` says so, or the path named it
    nlohmann::json body;  // kind, name, project, labels, annotations, spec: what we make ourselves is left out
};
struct Expected {
    const KindInfo* kind = nullptr;  // null: the document says
    std::string project;             // where the document names none
    std::string name;                // of the path; empty: the document says
    bool project_is_fixed = false;   // by the path: another one in the document is a mistake
};
// Checks all that can be known without the world; every mistake goes to `errors` with its pointer below `at`.
Document check_document(nlohmann::json document, const Expected& expected, bool text_scalars, const std::string& at,
                        std::vector<FieldError>& errors);
// Of a merge patch only what doesn't depend on the object: known fields at the top, and that what we make stays ours.
void check_patch(const nlohmann::json& patch, const KindInfo& kind, std::vector<FieldError>& errors);

}  // namespace axle::api
