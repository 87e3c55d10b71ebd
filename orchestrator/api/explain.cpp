// What `axle explain vm.spec.nics` shows.
#include <nlohmann/json.hpp>

#include "common/model/object.hpp"
#include "orchestrator/api/field_path.hpp"
#include "orchestrator/api/openapi.hpp"

namespace axle::api {
namespace {

using nlohmann::json;

std::string type_text(const Type& type, const FieldOptions& o) {
    switch (type.shape) {
        case Shape::boolean:
            return "boolean";
        case Shape::integer:
            return o.unit == Unit::bytes      ? "size"
                   : o.unit == Unit::duration ? "duration"
                   : o.unit == Unit::time     ? "time"
                                              : "integer";
        case Shape::number:
            return "number";
        case Shape::text:
            return "string";
        case Shape::uuid:
            return "uuid";
        case Shape::reference:
            return o.ref != nullptr ? fmt::format("name of a {}", o.ref) : "name";
        case Shape::secret:
            return "secret";
        case Shape::choice:
            return fmt::format("{}", fmt::join(type.choices, " | "));
        case Shape::list:
            return "list of " + type_text(*type.element, o);
        case Shape::map:
            return "map of name to " + type_text(*type.element, o);
        case Shape::object:
            return "object";
        case Shape::optional:
            return type_text(*type.element, o);
    }
    return "?";
}

const Type& innermost(const Type& type) {
    const bool wraps = type.shape == Shape::optional || type.shape == Shape::list || type.shape == Shape::map;
    return wraps ? innermost(*type.element) : type;
}

json describe_field(const std::string& name, const Type& type, const FieldOptions& o) {
    json out = {{"name", name}, {"type", type_text(type, o)}, {"doc", o.doc}};
    if (o.required) out["required"] = true;
    if (o.min != INT64_MIN) out["min"] = o.min;
    if (o.max != INT64_MAX) out["max"] = o.max;
    if (o.most > o.least) {
        out["min"] = o.least;
        out["max"] = o.most;
    }
    if (o.ref != nullptr) out["ref"] = o.ref;
    if (o.sensitive || innermost(type).shape == Shape::secret) out["sensitive"] = true;
    static constexpr const char* kChanges[] = {"while it runs", "takes effect at the next start", "never after create"};
    out["change"] = kChanges[static_cast<std::size_t>(o.change)];
    return out;
}

// defaults: an object fresh from the table; null where there is none, inside maps and lists.
void add_fields(json& out, const Type& type, const void* defaults) {
    if (type.shape != Shape::object) return;
    out["fields"] = json::array();
    for (const Field& f : type.fields) {
        if (f.options.internal) continue;
        json field = describe_field(f.name, *f.type, f.options);
        if (defaults != nullptr && innermost(*f.type).shape != Shape::object) {
            std::string text;
            write_value(*f.type, field_of(defaults, f), Audience::api, nullptr, text);
            const json value = json::parse(text, nullptr, false);
            const bool says_something = !value.is_discarded() && !value.is_null() && value != "" &&
                                        !(value.is_array() && value.empty()) && !(value.is_object() && value.empty());
            if (says_something && !f.options.required) field["default"] = value;
        }
        out["fields"].push_back(std::move(field));
    }
}

json explain_kind(const KindInfo& kind, const std::string& path) {
    json out = {{"path", path}, {"type", "kind"}, {"doc", kind.doc}, {"fields", json::array()}};
    out["scope"] = kind.cluster_wide ? "cluster" : "project";
    json meta;
    add_fields(meta, type_of<Meta>(), nullptr);
    for (json& field : meta["fields"]) {
        if (kind.cluster_wide && field["name"] == "project") continue;
        out["fields"].push_back(std::move(field));
    }
    out["fields"].push_back({{"name", "spec"}, {"type", "object"}, {"doc", "What it should be."}});
    if (!kind.status->fields.empty())
        out["fields"].push_back({{"name", "status"}, {"type", "object"}, {"doc", "What it is; written by the cloud."}});
    return out;
}

}  // namespace

Result<json> explain_field(const std::string& dotted) {
    const std::size_t dot = dotted.find('.');
    const std::string word = dotted.substr(0, dot);
    const KindInfo* kind = find_kind(word);
    if (kind == nullptr) {
        std::vector<const char*> known;
        for (const KindInfo& k : all_kinds()) known.push_back(k.name);
        return fail(error(Code::not_found, "there is no kind \"{}\"", word.substr(0, 80))
                        .with_hint(fmt::format("there is: {}", fmt::join(known, ", "))));
    }
    if (dot == std::string::npos) return explain_kind(*kind, dotted);
    const Path path = split_path(std::string_view(dotted).substr(dot + 1));
    auto leaf = resolve(*kind, path, true);
    if (!leaf) {
        leaf.error().code = Code::not_found;
        return fail(std::move(leaf.error()));
    }
    if (leaf->type == nullptr) return json{{"path", dotted}, {"type", "string"}, {"doc", "The kind."}};
    json out = describe_field(path.back(), *leaf->type, leaf->options);
    out["path"] = dotted;
    const auto fresh = kind->make();
    const void* defaults = path == Path{"spec"}     ? static_cast<const Object&>(*fresh).spec_data()
                           : path == Path{"status"} ? static_cast<const Object&>(*fresh).status_data()
                                                    : nullptr;
    if (path == Path{"spec"}) out["doc"] = "What it should be.";
    if (path == Path{"status"}) out["doc"] = "What it is; written by the cloud.";
    add_fields(out, innermost(*leaf->type), path == Path{"status"} ? nullptr : defaults);
    return out;
}

}  // namespace axle::api
