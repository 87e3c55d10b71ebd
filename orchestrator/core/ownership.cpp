#include "orchestrator/core/ownership.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "orchestrator/core/commands.hpp"

namespace axle {
namespace {

using nlohmann::json;
using Fields = std::vector<std::string>;

// Entries of maps of objects, such as /spec/nics/eth0, the outer before the inner.
void entries(const Type& type, const json& value, const std::string& at, Fields& out) {
    if (type.shape == Shape::optional) return entries(*type.element, value, at, out);
    if (!value.is_object()) return;
    for (const auto& [key, item] : value.items()) {
        const Field* f = type.shape == Shape::object ? type.find(key) : nullptr;
        if (f != nullptr) entries(*f->type, item, child_pointer(at, key), out);
        if (type.shape != Shape::map || type.element->shape != Shape::object || !item.is_object()) continue;
        out.push_back(child_pointer(at, key));
        entries(*type.element, item, child_pointer(at, key), out);
    }
}

json spec_of(const Object& object) {
    std::string text;
    write_value(*info_of(object.kind()).spec, object.spec_data(), Audience::api, nullptr, text);
    auto spec = parse_json(text);
    return json{{"spec", spec ? std::move(*spec) : json::object()}};
}

// Can't be unset alone: it stays with the entry that others made.
bool is_required(const KindInfo& info, const std::string& pointer) {
    const auto keys = pointer_keys(pointer);
    const Type* type = keys.front() == "spec" ? info.spec : nullptr;
    const Field* field = nullptr;
    for (std::size_t i = 1; i < keys.size() && type != nullptr; ++i) {
        while (type->shape == Shape::optional) type = type->element;
        field = type->shape == Shape::object ? type->find(keys[i]) : nullptr;
        type = field != nullptr ? field->type : type->shape == Shape::map ? type->element : nullptr;
    }
    return field != nullptr && field->options.required;
}

}  // namespace

Fields owned_fields(const json& document, const Object& object, const Object* before, const Fields& owned) {
    Fields out;
    if (const auto spec = document.find("spec"); spec != document.end())
        entries(*info_of(object.kind()).spec, *spec, "/spec", out);
    if (before != nullptr && !out.empty()) {  // what was there before without the set is not its own
        const json was = spec_of(*before);
        std::erase_if(out, [&](const std::string& entry) {
            return std::ranges::find(owned, entry) == owned.end() && find_at(was, entry) != nullptr;
        });
    }
    for (std::string& leaf : fields_named(document)) out.push_back(std::move(leaf));
    return out;
}

void unset_unnamed(json& document, const KindInfo& info, const Fields& owned) {
    for (const std::string& pointer : owned) {  // entries come before their fields, for which nothing is left then
        if (find_at(document, pointer) != nullptr || is_required(info, pointer)) continue;
        put_at(document, pointer, nullptr);  // not where the document has made something else of what is on the way
    }
}

}  // namespace axle
