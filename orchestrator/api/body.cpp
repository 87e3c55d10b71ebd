#include "orchestrator/api/body.hpp"

#include <algorithm>
#include <array>

#include "common/model/format.hpp"

namespace axle::api {
namespace {

using nlohmann::json;
constexpr std::size_t kValuesMax = 100'000;

// What an answer holds beside what people write: taken back without a word, so that `get -o yaml | apply -f -` works.
constexpr std::array<std::string_view, 7> kOurs = {"id",       "revision", "generation", "created",
                                                   "deletion", "status",   "apiVersion"};
constexpr std::array<std::string_view, 6> kTheirs = {"kind", "name", "project", "labels", "annotations", "spec"};

template <std::size_t N>
bool is_among(const std::array<std::string_view, N>& words, std::string_view word) {
    return std::ranges::find(words, word) != words.end();
}

std::string media_type(const http::Request& request) {
    std::string type = request.headers.value("Content-Type");
    type.resize(std::min(type.size(), type.find(';')));
    while (type.ends_with(' ')) type.pop_back();
    std::ranges::transform(type, type.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
    return type;
}

bool is_yaml(std::string_view type) {
    return type == "application/yaml" || type == "text/yaml" || type == "application/x-yaml" || type == "text/x-yaml";
}
bool is_json(std::string_view type) {
    return type.empty() || type == "application/json" || type == "application/merge-patch+json" || type == "text/json";
}

std::string text_of_field(const json& document, const char* field) {
    const auto found = document.find(field);
    return found != document.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

void check_name(const std::string& name, const KindInfo& kind, const std::string& at, std::vector<FieldError>& errors) {
    if (name.empty()) return;  // "required" has been said
    if (Uuid::parse(name))
        errors.push_back({at, "malformed", "must not look like a UUID: those are ids"});
    else if (kind.dotted_names && !is_dotted_name(name))
        errors.push_back(
            {at, "malformed",
             fmt::format("must be labels of a-z, 0-9 and '-' joined by dots, is \"{}\"", name.substr(0, 80))});
    else if (!kind.dotted_names && !is_label(name))
        errors.push_back({at, "malformed",
                          fmt::format("must be 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or "
                                      "digit, is \"{}\"",
                                      name.substr(0, 80))});
}

const KindInfo* check_kind(const json& document, const Expected& expected, const std::string& at,
                           std::vector<FieldError>& errors) {
    const auto version = document.find("apiVersion");
    if (version != document.end() && *version != "axle/v1")
        errors.push_back({at + "/apiVersion", "unknown-value", "must be axle/v1"});
    const auto said = document.find("kind");
    if (said == document.end()) {
        if (expected.kind == nullptr) errors.push_back({at + "/kind", "required", "is required"});
        return expected.kind;
    }
    const KindInfo* kind = said->is_string() ? find_kind(said->get_ref<const std::string&>()) : nullptr;
    std::vector<const char*> known;
    for (const KindInfo& k : all_kinds()) {
        if (k.kind != Kind::task) known.push_back(k.name);
    }
    if (kind == nullptr || (expected.kind == nullptr && kind->kind == Kind::task)) {
        errors.push_back({at + "/kind", "unknown-value", fmt::format("must be one of {}", fmt::join(known, ", "))});
        return expected.kind;
    }
    if (expected.kind != nullptr && kind != expected.kind) {
        errors.push_back({at + "/kind", "conflict",
                          fmt::format("is {}, but this path is for a {}", kind->name, expected.kind->name)});
        return expected.kind;
    }
    return kind;
}

void check_project(Document& out, const json& document, const Expected& expected, const std::string& at,
                   std::vector<FieldError>& errors) {
    const std::string said = text_of_field(document, "project");
    if (out.kind->cluster_wide) {
        if (!said.empty())
            errors.push_back(
                {at + "/project", "unknown-field", fmt::format("a {} belongs to no project", out.kind->name)});
        return;
    }
    out.project = said.empty() || expected.project_is_fixed ? expected.project : said;
    // An id in the path can't be compared with a name here; the core knows.
    if (expected.project_is_fixed && !said.empty() && said != expected.project && !Uuid::parse(expected.project))
        errors.push_back(
            {at + "/project", "conflict", fmt::format("is {}, but the path says {}", said, expected.project)});
    if (out.project.empty()) errors.push_back({at + "/project", "required", "is required"});
}

void check_fields(const json& document, const Document& out, bool named, bool text_scalars, const std::string& at,
                  std::vector<FieldError>& errors) {
    const ReadOptions options{.audience = Audience::api, .text_scalars = text_scalars};
    json meta = json::object();
    for (const auto& [key, value] : document.items()) {
        if (!is_among(kOurs, key) && !is_among(kTheirs, key))
            errors.push_back({at + "/" + key, "unknown-field",
                              fmt::format("is not a field here; known are {}", fmt::join(kTheirs, ", "))});
        if (key == "name" || key == "project" || key == "labels" || key == "annotations") meta[key] = value;
    }
    if (named && !meta.contains("name")) meta["name"] = out.name;
    Meta ignored;
    read_value(type_of<Meta>(), &ignored, meta, options, at, errors);
    const auto fresh = out.kind->make();
    const auto spec = document.find("spec");
    const json none = json::object();
    const bool absent = spec == document.end() || spec->is_null();
    read_value(*out.kind->spec, fresh->spec_data(), absent ? none : *spec, options, at + "/spec", errors);
}

}  // namespace

namespace {

// Of lists and objects, by what stands between them: known before memory is spent on a tree.
std::size_t count_of_values(std::string_view text) {
    std::size_t count = 1;
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (quoted && text[i] == '\\')
            ++i;
        else if (text[i] == '"')
            quoted = !quoted;
        else if (!quoted && (text[i] == ',' || text[i] == '[' || text[i] == '{'))
            ++count;
    }
    return count;
}

}  // namespace

Result<Body> read_body(const http::Request& request) {
    const std::string type = media_type(request);
    Body body;
    if (is_yaml(type)) {
        body.text_scalars = true;
        TRY(documents, parse_yaml(request.body));
        body.documents = std::move(documents);
        return body;
    }
    if (is_json(type)) {
        if (count_of_values(request.body) > kValuesMax)
            return fail(Code::too_large, "the JSON has more than {} values", kValuesMax);
        TRY(document, parse_json(request.body));
        body.documents.push_back(std::move(document));
        return body;
    }
    Error e = error(Code::malformed, "a body of type {} is not taken", type.substr(0, 80))
                  .with_reason("unsupported-media-type");
    e.hint = type == "application/x-www-form-urlencoded" ? "with curl add: -H 'Content-Type: application/json'"
                                                         : "send application/json or application/yaml";
    return fail(std::move(e));
}

Result<Body> read_one(const http::Request& request) {
    TRY(body, read_body(request));
    if (body.documents.size() != 1)
        return fail(error(Code::malformed, "the body has {} documents, one is expected here", body.documents.size())
                        .with_hint("POST /v1/apply takes many"));
    if (!body.documents.front().is_object()) return fail(Code::malformed, "the body must be an object");
    return body;
}

Result<Body> read_one_or_none(const http::Request& request) {
    if (request.body.empty()) return Body{{json::object()}, false};
    return read_one(request);
}

Document check_document(json document, const Expected& expected, bool text_scalars, const std::string& at,
                        std::vector<FieldError>& errors) {
    Document out;
    if (!document.is_object()) {
        errors.push_back({at, "wrong-type", "a document must be an object"});
        return out;
    }
    out.kind = check_kind(document, expected, at, errors);
    if (out.kind == nullptr) return out;
    out.name = text_of_field(document, "name");
    const bool named = !expected.name.empty();
    if (named && !out.name.empty() && out.name != expected.name && !Uuid::parse(expected.name))
        errors.push_back(
            {at + "/name", "conflict", fmt::format("is {}, but the path says {}", out.name, expected.name)});
    if (named) out.name = expected.name;
    check_project(out, document, expected, at, errors);
    check_fields(document, out, named, text_scalars, at, errors);
    if (!named) check_name(out.name, *out.kind, at + "/name", errors);
    for (const auto& key : kOurs) document.erase(std::string(key));
    document["kind"] = out.kind->name;
    if (!out.name.empty() && !Uuid::parse(out.name)) document["name"] = out.name;
    if (!out.project.empty()) document["project"] = out.project;
    if (!document.contains("spec") || document["spec"].is_null()) document["spec"] = json::object();
    out.body = std::move(document);
    return out;
}

void check_patch(const json& patch, const KindInfo& kind, std::vector<FieldError>& errors) {
    for (const auto& [key, value] : patch.items()) {
        const std::string at = "/" + key;
        if (key == "spec" || key == "labels" || key == "annotations") {
            if (!value.is_object() && !(value.is_null() && key != "spec"))
                errors.push_back({at, "wrong-type", "must be an object"});
            continue;
        }
        if (key == "name" || key == "project" || key == "kind" || key == "apiVersion")
            continue;  // compared by the core
        errors.push_back({at, is_among(kOurs, key) ? "read-only" : "unknown-field",
                          is_among(kOurs, key) ? "is made by the cloud and can't be set"
                                               : fmt::format("is not a field of a {}; labels, annotations and spec can "
                                                             "be patched",
                                                             kind.name)});
    }
    if (!patch.contains("spec") || !patch["spec"].is_object()) return;
    for (const auto& [key, value] : patch["spec"].items()) {
        const Field* f = kind.spec->find(key);
        if (f != nullptr && !f->options.internal) continue;
        std::vector<const char*> known;
        for (const Field& k : kind.spec->fields) {
            if (!k.options.internal) known.push_back(k.name);
        }
        errors.push_back({"/spec/" + key, "unknown-field",
                          fmt::format("is not a field here; known are {}", fmt::join(known, ", "))});
    }
}

}  // namespace axle::api
