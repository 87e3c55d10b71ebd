#include "orchestrator/api/field_path.hpp"

#include <algorithm>
#include <span>

#include <nlohmann/json.hpp>

namespace axle::api {
namespace {

using Steps = std::span<const std::string>;

bool is_index(const std::string& step) {
    return !step.empty() && std::ranges::all_of(step, [](char c) { return c >= '0' && c <= '9'; });
}

struct Resolver {
    bool secrets_too;

    bool shows(const Field& f) const {
        const bool secret = f.options.sensitive || f.type->shape == Shape::secret;
        return !f.options.internal && (secrets_too || !secret);
    }

    Result<Leaf> in(const Type& type, Steps steps, const FieldOptions& options, const std::string& so_far) const {
        switch (type.shape) {
            case Shape::optional:
                return in(*type.element, steps, options, so_far);
            case Shape::list:
                if (!steps.empty() && (steps[0] == "*" || is_index(steps[0]))) steps = steps.subspan(1);
                return steps.empty() && type.element->shape == Shape::object
                           ? Leaf{&type, options}
                           : in(*type.element, steps, options, so_far);
            case Shape::map:
                if (steps.empty()) return Leaf{&type, options};
                return in(*type.element, steps.subspan(1), options, so_far + "." + steps[0]);
            case Shape::object:
                return in_object(type, steps, options, so_far);
            default:
                if (steps.empty()) return Leaf{&type, options};
                return fail(Code::invalid, "{} is a single value, there is no {} in it", so_far, steps[0]);
        }
    }

    Result<Leaf> in_object(const Type& type, Steps steps, const FieldOptions& options,
                           const std::string& so_far) const {
        if (steps.empty()) return Leaf{&type, options};
        const Field* f = type.find(steps[0]);
        if (f != nullptr && shows(*f)) return in(*f->type, steps.subspan(1), f->options, so_far + "." + steps[0]);
        std::vector<const char*> known;
        for (const Field& k : type.fields) {
            if (shows(k)) known.push_back(k.name);
        }
        return fail(error(Code::invalid, "there is no field {}.{}", so_far, steps[0])
                        .with_hint(fmt::format("known there: {}", fmt::join(known, ", "))));
    }
};

void tell(const Type& type, const void* value, const Found& found) {
    switch (type.shape) {
        case Shape::boolean:
            return found(type.get_integer(value) != 0);
        case Shape::integer:
            return found(type.get_integer(value));
        case Shape::number:
            return found(*static_cast<const double*>(value));
        case Shape::text:
            if (const auto& text = *static_cast<const std::string*>(value); !text.empty()) found(text);
            return;
        case Shape::uuid:
            if (const auto& id = *static_cast<const Uuid*>(value)) found(id.str());
            return;
        case Shape::reference:
            if (const auto& ref = *static_cast<const Ref*>(value)) found(ref.name.empty() ? ref.id.str() : ref.name);
            return;
        case Shape::choice:
            return found(std::string(type.choices[static_cast<std::size_t>(type.get_integer(value))]));
        case Shape::secret:
            return;
        default:
            return found(std::monostate{});
    }
}

void walk(const Type& type, const void* value, Steps steps, const Found& found);

void walk_map(const Type& type, const void* value, Steps steps, const Found& found) {
    struct Context {
        const Type& element;
        const std::string& wanted;
        Steps rest;
        const Found& found;
    } context{*type.element, steps[0], steps.subspan(1), found};
    type.each(value, &context, [](void* c, const std::string& key, const void* v) {
        const auto& ctx = *static_cast<Context*>(c);
        if (ctx.wanted == "*" || ctx.wanted == key) walk(ctx.element, v, ctx.rest, ctx.found);
    });
}

void walk_list(const Type& type, const void* value, Steps steps, const Found& found) {
    const std::size_t n = type.size(value);
    if (steps.empty() && type.element->shape == Shape::object) {
        if (n > 0) found(std::monostate{});
        return;
    }
    std::size_t from = 0, until = n;
    if (!steps.empty() && is_index(steps[0])) {
        from = steps[0].size() > 9 ? n : std::min<std::size_t>(n, std::stoul(steps[0]));
        until = std::min(n, from + 1);
    }
    const bool consumed = !steps.empty() && (steps[0] == "*" || is_index(steps[0]));
    for (std::size_t i = from; i < until; ++i)
        walk(*type.element, type.at(value, i), consumed ? steps.subspan(1) : steps, found);
}

void walk(const Type& type, const void* value, Steps steps, const Found& found) {
    switch (type.shape) {
        case Shape::optional:
            if (const void* inner = type.value(value)) walk(*type.element, inner, steps, found);
            return;
        case Shape::list:
            return walk_list(type, value, steps, found);
        case Shape::map:
            if (!steps.empty()) return walk_map(type, value, steps, found);
            if (type.size(value) > 0) found(std::monostate{});
            return;
        case Shape::object: {
            if (steps.empty()) return found(std::monostate{});
            const Field* f = type.find(steps[0]);
            if (f == nullptr || f->options.internal || f->options.sensitive) return;
            return walk(*f->type, field_of(value, *f), steps.subspan(1), found);
        }
        default:
            if (steps.empty()) tell(type, value, found);
    }
}

void walk_json(const nlohmann::json& value, Steps steps, const Found& found) {
    if (value.is_array()) {
        if (!steps.empty() && is_index(steps[0]) && steps[0].size() < 10) {
            const std::size_t i = std::stoul(steps[0]);
            if (i < value.size()) walk_json(value[i], steps.subspan(1), found);
            return;
        }
        const bool consumed = !steps.empty() && steps[0] == "*";
        for (const auto& item : value) walk_json(item, consumed ? steps.subspan(1) : steps, found);
    } else if (value.is_object()) {
        if (steps.empty()) {
            if (!value.empty()) found(std::monostate{});
        } else if (steps[0] == "*") {
            for (const auto& item : value) walk_json(item, steps.subspan(1), found);
        } else if (const auto next = value.find(steps[0]); next != value.end()) {
            walk_json(*next, steps.subspan(1), found);
        }
    } else if (!steps.empty() || value.is_null()) {
        return;
    } else if (value.is_boolean()) {
        found(value.get<bool>());
    } else if (value.is_number_float()) {
        found(value.get<double>());
    } else if (value.is_number()) {
        found(value.get<std::int64_t>());
    } else if (!value.get_ref<const std::string&>().empty()) {
        found(value.get_ref<const std::string&>());
    }
}

}  // namespace

Path split_path(std::string_view dotted) {
    Path out;
    for (const std::string_view one_key : {"labels.", "annotations."}) {
        if (dotted.starts_with(one_key))
            return {std::string(one_key.substr(0, one_key.size() - 1)), std::string(dotted.substr(one_key.size()))};
    }
    while (true) {
        const std::size_t dot = dotted.find('.');
        out.emplace_back(dotted.substr(0, dot));
        if (dot == std::string_view::npos) return out;
        dotted.remove_prefix(dot + 1);
    }
}

Result<Leaf> resolve(const KindInfo& kind, const Path& path, bool secrets_too) {
    const Steps steps(path);
    const Resolver resolver{secrets_too};
    if (steps.empty() || steps[0].empty()) return fail(Code::invalid, "a field's name is missing");
    if (steps[0] == "kind" && steps.size() == 1) return Leaf{};
    const std::string so_far = std::string(kind.name) + "." + steps[0];
    if (steps[0] == "spec") return resolver.in(*kind.spec, steps.subspan(1), {}, so_far);
    if (steps[0] == "status") return resolver.in(*kind.status, steps.subspan(1), {}, so_far);
    auto leaf = resolver.in(type_of<Meta>(), steps, {}, kind.name);
    if (!leaf && !leaf.error().hint.empty()) leaf.error().hint += ", spec, status, kind";
    return leaf;
}

void values_at(const Object& object, const Path& path, const Found& found) {
    const Steps steps(path);
    if (steps.empty()) return;
    const KindInfo& kind = info_of(object.kind());
    if (steps[0] == "kind") return found(std::string(kind.name));
    if (steps[0] == "spec") return walk(*kind.spec, object.spec_data(), steps.subspan(1), found);
    if (steps[0] == "status") return walk(*kind.status, object.status_data(), steps.subspan(1), found);
    walk(type_of<Meta>(), &object.meta, steps, found);
}

void values_at(const nlohmann::json& object, const Path& path, const Found& found) {
    walk_json(object, path, found);
}

}  // namespace axle::api
