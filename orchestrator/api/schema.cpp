// Schemas of described values.
#include <nlohmann/json.hpp>

#include "orchestrator/api/openapi.hpp"

namespace axle::api {
namespace {

using nlohmann::json;

json schema_of_integer(const FieldOptions& o) {
    if (o.unit == Unit::time) return {{"type", "string"}, {"format", "date-time"}};
    json out = {{"type", "integer"}, {"format", "int64"}};
    if (o.unit == Unit::bytes || o.unit == Unit::duration) {
        out["type"] = json::array({"integer", "string"});
        out["examples"] = o.unit == Unit::bytes ? json::array({"2GiB", 2147483648}) : json::array({"90s", 90000});
    }
    if (o.min != INT64_MIN) out["minimum"] = o.min;
    if (o.max != INT64_MAX) out["maximum"] = o.max;
    return out;
}

json schema_of_text(const FieldOptions& o) {
    json out = {{"type", "string"}};
    static constexpr const char* kFormats[] = {nullptr, "hostname", "hostname", nullptr, "ipv4", nullptr,
                                               "uri",   nullptr,    nullptr,    nullptr, nullptr};
    static constexpr const char* kPatterns[] = {nullptr, "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
                                                nullptr, "^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$",
                                                nullptr, "^[0-9.]+/[0-9]+$",
                                                nullptr, "^[0-9a-f]{64}$",
                                                nullptr, nullptr,
                                                "^/"};
    if (const char* format = kFormats[static_cast<std::size_t>(o.format)]) out["format"] = format;
    if (const char* pattern = kPatterns[static_cast<std::size_t>(o.format)]) out["pattern"] = pattern;
    if (o.min > 0) out["minLength"] = o.min;
    if (o.max != INT64_MAX) out["maxLength"] = o.max;
    return out;
}

json schema_of_object(const Type& type) {
    json out = {{"type", "object"}, {"properties", json::object()}, {"additionalProperties", false}};
    for (const Field& f : type.fields) {
        if (f.options.internal) continue;
        out["properties"][f.name] = schema_of(*f.type, f.options);
        if (f.options.required) out["required"].push_back(f.name);
    }
    return out;
}

json bare_schema(const Type& type, const FieldOptions& o) {
    switch (type.shape) {
        case Shape::boolean:
            return {{"type", "boolean"}};
        case Shape::integer:
            return schema_of_integer(o);
        case Shape::number:
            if (o.most > o.least) return {{"type", "number"}, {"minimum", o.least}, {"maximum", o.most}};
            return {{"type", "number"}};
        case Shape::text:
            if (o.unit == Unit::time) return {{"type", "string"}, {"format", "date-time"}};
            return schema_of_text(o);
        case Shape::uuid:
            return {{"type", "string"}, {"format", "uuid"}};
        case Shape::reference:
            return {{"type", "string"}, {"maxLength", 320}};
        case Shape::secret:
            return schema_of_text(o);
        case Shape::choice:
            return {{"type", "string"}, {"enum", type.choices}};
        case Shape::list: {
            FieldOptions item = o;
            item.min = INT64_MIN;
            item.max = INT64_MAX;
            json out = {{"type", "array"}, {"items", bare_schema(*type.element, item)}};
            if (o.max != INT64_MAX) out["maxItems"] = o.max;
            return out;
        }
        case Shape::map: {
            FieldOptions item = o;
            item.min = INT64_MIN;
            item.max = INT64_MAX;
            json out = {{"type", "object"}, {"additionalProperties", bare_schema(*type.element, item)}};
            if (o.max != INT64_MAX) out["maxProperties"] = o.max;
            return out;
        }
        case Shape::object:
            return schema_of_object(type);
        case Shape::optional:
            return bare_schema(*type.element, o);
    }
    return json::object();
}

}  // namespace

json schema_of(const Type& type, const FieldOptions& o) {
    json out = bare_schema(type, o);
    if (*o.doc != '\0') out["description"] = o.doc;
    if (o.ref != nullptr) out["x-axle-ref"] = o.ref;
    if (o.sensitive || type.shape == Shape::secret) out["writeOnly"] = true;
    static constexpr const char* kChanges[] = {"live", "reboot", "never"};
    if (o.change != Change::live) out["x-axle-change"] = kChanges[static_cast<std::size_t>(o.change)];
    return out;
}

}  // namespace axle::api
