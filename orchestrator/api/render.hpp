// Objects as answers: JSON text, chosen fields, ETags. Pure; on workers.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "common/http/message.hpp"
#include "orchestrator/api/field_path.hpp"
#include "orchestrator/core/service.hpp"

namespace axle::api {

http::Response json_response(int status, std::string body);
// "4711-0123456789abcdef": the revision, and the history that it belongs to.
std::string etag_of(Revision revision, std::string_view history);
// An If-Match header: nullopt for "*". Error: Code::precondition when it is of another history, malformed.
Result<std::optional<Revision>> parse_if_match(std::string_view header, std::string_view history);

// ?fields=name,status.phase: nothing else is written but kind, name and project. Empty: everything.
Result<std::vector<Path>> parse_fields(std::string_view text, const KindInfo& kind);
void write_chosen(const Object& object, const std::vector<Path>& fields, std::string& out);

// ?sort=status.phase,-created
struct SortKey {
    Path path;
    bool descending = false;
};
Result<std::vector<SortKey>> parse_sort(std::string_view text, const KindInfo& kind);
void sort_objects(std::vector<ObjectPtr>& objects, const std::vector<SortKey>& keys);

// {pointer, before, after, effect}: effect says what a change needs: "live", "reboot", "replace".
nlohmann::json changes_json(const std::vector<FieldChange>& changes);
std::string task_location(const Uuid& task);

}  // namespace axle::api
