#include "orchestrator/api/openapi.hpp"

#include <nlohmann/json.hpp>

#include "common/channel/unclaimed.hpp"
#include "orchestrator/api/route.hpp"
#include "orchestrator/core/actions.hpp"

namespace axle::api {
namespace {

using nlohmann::json;

json schema_ref(const std::string& schema) {
    return {{"$ref", "#/components/schemas/" + schema}};
}
json content(json schema, const char* type = "application/json") {
    return {{type, {{"schema", std::move(schema)}}}};
}
json answer(const std::string& description, json schema) {
    return {{"description", description}, {"content", content(std::move(schema))}};
}
json path_parameter(const char* name, const char* description) {
    return {{"name", name},
            {"in", "path"},
            {"required", true},
            {"description", description},
            {"schema", {{"type", "string"}}}};
}
json query_parameter(const char* name, const char* description, const char* type = "string") {
    return {{"name", name}, {"in", "query"}, {"description", description}, {"schema", {{"type", type}}}};
}

json problem_schema() {
    const json text = {{"type", "string"}};
    return {
        {"type", "object"},
        {"required", {"status", "code", "detail", "requestId", "retryable"}},
        {"properties",
         {{"type", text},
          {"title", text},
          {"status", {{"type", "integer"}}},
          {"code", {{"type", "string"}, {"description", "Stable word for programs."}}},
          {"detail", {{"type", "string"}, {"description", "Subject, reason and numbers, for people."}}},
          {"hint", {{"type", "string"}, {"description", "What to do about it."}}},
          {"requestId", text},
          {"retryable", {{"type", "boolean"}}},
          {"errors",
           {{"type", "array"},
            {"items", {{"type", "object"}, {"properties", {{"pointer", text}, {"code", text}, {"detail", text}}}}}}}}}};
}

json object_schema(const KindInfo& kind) {
    json meta = schema_of(type_of<Meta>(), {});
    json properties = std::move(meta["properties"]);
    properties["apiVersion"] = {{"const", "axle/v1"}};
    properties["kind"] = {{"const", kind.name}};
    properties["spec"] = schema_ref(std::string(kind.name) + "Spec");
    if (kind.cluster_wide) properties.erase("project");
    if (!kind.status->fields.empty()) {
        properties["status"] = schema_ref(std::string(kind.name) + "Status");
        properties["status"]["readOnly"] = true;
    }
    for (const char* ours : {"id", "revision", "generation", "created", "deletion"})
        properties[ours]["readOnly"] = true;
    return {{"type", "object"}, {"description", kind.doc}, {"required", {"name"}}, {"properties", properties}};
}

json list_schema(const KindInfo& kind) {
    return {{"type", "object"},
            {"required", {"items"}},
            {"properties",
             {{"kind", {{"const", std::string(kind.name) + "List"}}},
              {"revision", {{"type", "integer"}, {"description", "A watch may begin here."}}},
              {"history", {{"type", "string"}}},
              {"continue", {{"type", "string"}, {"description", "Give it back for the next page."}}},
              {"items", {{"type", "array"}, {"items", schema_ref(kind.name)}}}}}};
}

json operation(const std::string& id, const std::string& summary, const char* tag, json responses) {
    responses["default"] = {{"description", "What went wrong."},
                            {"content", content(schema_ref("problem"), "application/problem+json")}};
    return {{"operationId", id}, {"summary", summary}, {"tags", {tag}}, {"responses", std::move(responses)}};
}

json body_of(json schema, bool required = true) {
    json types = content(schema);
    types["application/yaml"] = {{"schema", schema}};
    return {{"required", required}, {"content", std::move(types)}};
}

json list_operation(const KindInfo& kind, const std::string& id) {
    json op = operation(id, fmt::format("List {}", kind.plural), kind.plural,
                        {{"200", answer("A page.", schema_ref(std::string(kind.name) + "List"))}});
    op["parameters"] = {query_parameter("limit", "At most so many, 1 to 1000.", "integer"),
                        query_parameter("continue", "Of the page before."),
                        query_parameter("filter", "Such as status.phase=running,labels.tier in (web,db)."),
                        query_parameter("fields", "Fields to give, such as name,status.phase.")};
    if (kind.kind == Kind::task) return op;
    for (json& more : json::array({query_parameter("sort", "Such as status.phase,-created."),
                                   query_parameter("labels", "Such as tier=web: a filter on labels."),
                                   query_parameter("deleted", "Also what can still be restored.", "boolean")}))
        op["parameters"].push_back(std::move(more));
    return op;
}

void add_mutation_parameters(json& op) {
    op["parameters"].push_back(query_parameter("dryRun", "Answer the plan, change nothing.", "boolean"));
    op["parameters"].push_back(query_parameter("wait", "Hold the reply until the task has ended, such as 60s."));
}

json mutation(const KindInfo& kind, const char* verb, const std::string& summary) {
    json op = operation(fmt::format("{}_{}", kind.name, verb), summary, kind.plural,
                        {{"200", answer("Done.", schema_ref(kind.name))},
                         {"201", answer("Created.", schema_ref(kind.name))},
                         {"202", answer("Taken; Location names the task.", schema_ref(kind.name))}});
    op["parameters"] = json::array();
    add_mutation_parameters(op);
    return op;
}

json collection(const KindInfo& kind) {
    json out = {{"get", list_operation(kind, fmt::format("{}_list", kind.name))}};
    if (!may_create(kind.kind)) return out;
    out["post"] = mutation(kind, "create", fmt::format("Create a {}", kind.name));
    out["post"]["requestBody"] = body_of(schema_ref(kind.name));
    out["post"]["parameters"].push_back(
        {{"name", "Idempotency-Key"},
         {"in", "header"},
         {"schema", {{"type", "string"}, {"maxLength", 255}}},
         {"description", "Repeating the request with the same key gives the first answer again."}});
    return out;
}

json member(const KindInfo& kind) {
    json get = operation(fmt::format("{}_get", kind.name), fmt::format("Get a {}", kind.name), kind.plural,
                         {{"200", answer("It.", schema_ref(kind.name))}});
    if (kind.kind == Kind::task) {
        get["parameters"] = {query_parameter("wait", "Answer when it has ended, at the latest after this time.")};
        return {{"get", std::move(get)}};
    }
    json out = {{"get", std::move(get)},
                {"put", mutation(kind, "replace", fmt::format("Replace a {}", kind.name))},
                {"patch", mutation(kind, "patch", fmt::format("Change a {} (merge patch)", kind.name))},
                {"delete", mutation(kind, "delete", fmt::format("Delete a {}", kind.name))}};
    out["put"]["requestBody"] = body_of(schema_ref(kind.name));
    out["patch"]["requestBody"] = {{"required", true},
                                   {"content", content({{"type", "object"}}, "application/merge-patch+json")}};
    for (const char* verb : {"put", "patch", "delete"})
        out[verb]["parameters"].push_back({{"name", "If-Match"},
                                           {"in", "header"},
                                           {"schema", {{"type", "string"}}},
                                           {"description", "ETag that it must still have."}});
    if (kind.soft_delete)
        out["delete"]["parameters"].push_back(query_parameter("now", "Don't keep it for the retention.", "boolean"));
    if (kind.kind == Kind::host)
        out["delete"]["parameters"].push_back(query_parameter(
            "lost", "It is dead for good: guests on shared disks are placed anew, others are lost.", "boolean"));
    return out;
}

void add_kind(json& paths, const KindInfo& kind) {
    const std::string base = kind.cluster_wide ? fmt::format("/v1/{}", kind.plural)
                                               : fmt::format("/v1/projects/{{project}}/{}", kind.plural);
    const auto add = [&](const std::string& path, json item, bool named) {
        json parameters = json::array();
        if (!kind.cluster_wide) parameters.push_back(path_parameter("project", "Name or id of the project."));
        if (named) parameters.push_back(path_parameter("name", "Name or id."));
        if (!parameters.empty()) item["parameters"] = std::move(parameters);
        paths[path] = std::move(item);
    };
    add(base, collection(kind), false);
    add(base + "/{name}", member(kind), true);
    if (!kind.cluster_wide)
        paths[fmt::format("/v1/{}", kind.plural)] = {
            {"get", list_operation(kind, fmt::format("{}_list_everywhere", kind.name))}};
    for (const ActionInfo& action : all_actions()) {
        if (action.kind != kind.kind) continue;
        json op = mutation(kind, action.name, action.doc);
        op["requestBody"] = body_of(schema_of(*action.arguments, {}), false);
        add(fmt::format("{}/{{name}}/actions/{}", base, action.name), {{"post", std::move(op)}}, true);
    }
}

void add_fixed(json& paths) {
    const json any = {{"type", "object"}};
    const auto get = [&](const char* path, const char* id, const char* summary, json parameters = json::array()) {
        json op = operation(id, summary, "cluster", {{"200", answer("It.", any)}});
        op["parameters"] = std::move(parameters);
        paths[path] = {{"get", std::move(op)}};
    };
    get("/v1/version", "version", "The version of this server");
    get("/v1/status", "status", "How the cloud is, and what isn't well");
    get("/v1/events", "events", "What happened, newest first",
        {query_parameter("limit", "At most so many.", "integer"), query_parameter("continue", "Of the page before."),
         query_parameter("after", "latest of an earlier answer: what has happened since, oldest first."),
         query_parameter("kind", "Only of this kind."), query_parameter("name", "Only of this name or id."),
         query_parameter("project", "Only of this project."), query_parameter("type", "normal or warning."),
         query_parameter("reason", "Only with this reason, such as Placed.")});
    get("/v1/watch", "watch", "Changes as server-sent events",
        {query_parameter("since", "Revision of a list, or id of the last event."),
         query_parameter("kinds", "Such as vms,tasks."), query_parameter("project", "Only of this project."),
         query_parameter("filter", "Only what matches; what ceases to is told as gone.")});
    get("/v1/explain/{path}", "explain", "What a field is, such as vm.spec.nics",
        {path_parameter("path", "Dotted path, beginning with a kind.")});
    get("/v1/capacity", "capacity", "How many more of a size fit, and where",
        {query_parameter("flavor", "Gives what isn't stated."), query_parameter("cpus", "Virtual CPUs.", "integer"),
         query_parameter("memory", "Such as 4GiB."), query_parameter("disk", "Such as 20GiB; none if left out."),
         query_parameter("pool", "Of the disk; the default one if left out."),
         query_parameter("without", "A host that is thought away: where would its guests go, and what fits then?")});
    json unclaimed = schema_of(type_of<UnclaimedThing>(), {});
    for (const char* more : {"host", "why", "obstacle", "task"}) unclaimed["properties"][more] = {{"type", "string"}};
    for (const char* inner : {"held", "epoch", "elsewhere", "document"}) unclaimed["properties"].erase(inner);
    json listing = operation(
        "unclaimed", "What lies on hosts and no record knows; an administrator adopts or removes it (actions of host)",
        "hosts",
        {{"200", answer("It.", {{"type", "object"},
                                {"required", {"items"}},
                                {"properties",
                                 {{"items", {{"type", "array"}, {"items", std::move(unclaimed)}}},
                                  {"untold", {{"type", "integer"}, {"description", "So many more there are."}}},
                                  {"hostsAway",
                                   {{"type", "integer"},
                                    {"description", "Hosts that are not connected: nothing is known of them."}}}}}})}});
    listing["parameters"] = {query_parameter("host", "Only on this host."),
                             query_parameter("kind", "Only vm, volume, network or pool."),
                             query_parameter("limit", "At most so many, 1 to 10000.", "integer")};
    paths["/v1/unclaimed"] = {{"get", std::move(listing)}};
    get("/v1/join-info", "join_info", "Where a new host finds this cloud, beside a join token's secret");
    get("/healthz", "healthz", "Whether the process answers");
    get("/readyz", "readyz", "Whether it takes changes");
    json apply = operation("apply", "Apply many documents", "cluster", {{"200", answer("What became of each.", any)}});
    apply["requestBody"] = body_of(any);
    apply["parameters"] = {query_parameter("dryRun", "Answer the plan, change nothing.", "boolean"),
                           query_parameter("set", "Name of the set of fields that is applied."),
                           query_parameter("force", "Take fields that another set holds.", "boolean"),
                           query_parameter("prune", "Delete what this set made and doesn't name.", "boolean"),
                           query_parameter("project", "Of documents that name none.")};
    paths["/v1/apply"] = {{"post", std::move(apply)}};
    paths["/v1/store/accept-loss"] = {{"post", operation("accept_loss", "Accept that the end of the history is lost",
                                                         "cluster", {{"200", answer("The store's state.", any)}})}};
    paths["/v1/clock/accept"] = {{"post", operation("accept_clock", "Accept that the machine's clock is right",
                                                    "cluster", {{"200", answer("Both clocks.", any)}})}};
}

void add_streams(json& paths) {
    const auto add = [&](const char* name, const char* summary, const char* type, json parameters) {
        parameters.push_back(path_parameter("project", "Name or id of the project."));
        parameters.push_back(path_parameter("name", "Name or id of the VM."));
        json op = operation(fmt::format("vm_{}", name), summary, "vms",
                            {{"200", {{"description", "It."}, {"content", content({{"type", "string"}}, type)}}}});
        op["parameters"] = std::move(parameters);
        paths[fmt::format("/v1/projects/{{project}}/vms/{{name}}/{}", name)] = {{"get", std::move(op)}};
    };
    const char* binary = "application/octet-stream";
    add("console", "Serial console (WebSocket)", binary, json::array());
    add("vnc", "Screen, keyboard and mouse: VNC (WebSocket)", binary, json::array());
    add("forward", "A TCP connection to a port of the guest (WebSocket)", binary,
        {query_parameter("port", "The guest's port.", "integer")});
    add("log", "What the guest wrote to its serial port", "text/plain",
        {query_parameter("follow", "Go on with what comes.", "boolean"),
         query_parameter("tail", "Only so many bytes from the end.", "integer")});
    add("screenshot", "The screen as a picture", "image/png", json::array());
    add("explain", "Why it is on its host, or on none", "application/json", json::array());
    json upload = operation("image_upload", "Upload an image's content", "images",
                            {{"202", answer("Taken; Location names the task.", schema_ref("image"))}});
    upload["parameters"] = {path_parameter("project", "Name or id of the project."),
                            path_parameter("name", "Name or id of the image.")};
    upload["requestBody"] = {{"required", true}, {"content", content({{"type", "string"}}, binary)}};
    paths["/v1/projects/{project}/images/{name}/content"] = {{"put", std::move(upload)}};
}

}  // namespace

json openapi_document() {
    json schemas = {{"problem", problem_schema()}};
    json paths = json::object();
    for (const KindInfo& kind : all_kinds()) {
        schemas[kind.name] = object_schema(kind);
        schemas[std::string(kind.name) + "Spec"] = schema_of(*kind.spec, {});
        schemas[std::string(kind.name) + "List"] = list_schema(kind);
        if (!kind.status->fields.empty()) schemas[std::string(kind.name) + "Status"] = schema_of(*kind.status, {});
        add_kind(paths, kind);
    }
    add_fixed(paths);
    add_streams(paths);
    return {
        {"openapi", "3.1.0"},
        {"info",
         {{"title", "Axle"}, {"version", AXLE_VERSION}, {"description", "A private cloud for Linux machines."}}},
        {"paths", std::move(paths)},
        {"components",
         {{"schemas", std::move(schemas)}, {"securitySchemes", {{"token", {{"type", "http"}, {"scheme", "bearer"}}}}}}},
        {"security", json::array({{{"token", json::array()}}})}};
}

}  // namespace axle::api
