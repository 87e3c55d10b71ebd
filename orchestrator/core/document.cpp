// A document as users send it: {apiVersion, kind, name, project, labels, annotations, spec}; what only we write (id,
// status, …) is taken and ignored, so that what was read can be sent back.
#include <nlohmann/json.hpp>

#include "common/model/format.hpp"
#include "orchestrator/core/commands.hpp"

namespace axle {
namespace {

using nlohmann::json;

constexpr const char* kOurs[] = {"apiVersion", "kind", "id", "revision", "generation", "created", "deletion", "status"};

void leaves(const json& value, const std::string& at, std::vector<std::string>& out) {
    if (!value.is_object()) {
        out.push_back(at);
        return;
    }
    for (const auto& [key, item] : value.items()) leaves(item, child_pointer(at, key), out);
}

void read_name(const json& value, Object& into, const KindInfo& info, bool merge, Mistakes& mistakes) {
    if (!value.is_string()) return mistakes.push_back({"/name", "wrong-type", "must be a string"});
    const auto& name = value.get_ref<const std::string&>();
    if (merge && name != into.meta.name)
        return mistakes.push_back(
            {"/name", "unchangeable", fmt::format("names don't change; it is \"{}\"", into.meta.name)});
    if (auto why = why_no_name(info, name)) return mistakes.push_back({"/name", "malformed", *why});
    into.meta.name = name;
}

}  // namespace

std::optional<std::string> why_no_name(const KindInfo& kind, const std::string& name) {
    if (Uuid::parse(name)) return "must not look like an id";
    const auto why = why_not(kind.dotted_names ? Format::dotted_name : Format::label, name);
    return why ? std::optional(fmt::format("{}, is \"{}\"", *why, name.substr(0, 80))) : std::nullopt;
}

Result<> read_document(const Mutation& m, Object& into, bool merge) {
    const KindInfo& info = info_of(m.target.kind);
    if (!m.body || !m.body->is_object())
        return fail(Code::malformed, "the body must be an object: a {} with name and spec", info.name);
    const json& body = *m.body;
    const ReadOptions options{.audience = Audience::api, .text_scalars = m.text_scalars, .merge = merge};
    Mistakes mistakes;
    const auto is = [&](const char* key, const char* wanted) {
        const auto found = body.find(key);
        if (found != body.end() && *found != wanted)
            mistakes.push_back({fmt::format("/{}", key), "unknown-value", fmt::format("must be {} here", wanted)});
    };
    is("apiVersion", "axle/v1");
    is("kind", info.name);
    for (const auto& [key, value] : body.items()) {
        if (key == "name")
            read_name(value, into, info, merge, mistakes);
        else if (key == "labels")
            read_value(type_of<std::map<std::string, std::string>>(), &into.meta.labels, value, options, "/labels",
                       mistakes, {.max = 64});
        else if (key == "annotations")
            read_value(type_of<std::map<std::string, std::string>>(), &into.meta.annotations, value, options,
                       "/annotations", mistakes, {.max = 64});
        else if (key == "spec")
            read_value(*info.spec, into.spec_data(), value, options, "/spec", mistakes);
        else if (key != "project" && std::ranges::find(kOurs, key) == std::end(kOurs))
            mistakes.push_back({child_pointer("", key), "unknown-field",
                                "is not a field here; known are name, project, labels, annotations, spec"});
    }
    if (!merge && into.meta.name.empty() && mistakes.empty()) mistakes.push_back({"/name", "required", "is required"});
    if (!merge && !body.contains("spec"))
        read_value(*info.spec, into.spec_data(), json::object(), options, "/spec", mistakes);
    if (merge && mistakes.empty()) {  // what came out must itself be a document that could be created
        std::string text;
        write_value(*info.spec, into.spec_data(), Audience::api, nullptr, text);
        auto scratch = info.make();
        read_value(*info.spec, scratch->spec_data(), *parse_json(text), {.audience = Audience::api}, "/spec", mistakes);
    }
    if (!mistakes.empty()) return fail(fields_error(std::move(mistakes)));
    return {};
}

std::vector<std::string> fields_named(const json& document) {
    std::vector<std::string> out;
    for (const char* part : {"labels", "annotations", "spec"}) {
        const auto found = document.find(part);
        if (found != document.end() && found->is_object()) leaves(*found, std::string("/") + part, out);
    }
    return out;
}

}  // namespace axle
