// Forms of whole objects, and what can be said of two of them.
#include "common/model/object.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "common/model/pointer.hpp"

namespace axle {
namespace {

constexpr int kStoreVersion = 1;

// Where a walk stands. Its pointer is made only where somebody asks: most of what is walked over is no reference.
struct Path {
    const Path* up;
    std::string_view key;  // of the first: the pointer that the walk began at
    std::string pointer() const { return up == nullptr ? std::string(key) : child_pointer(up->pointer(), key); }
};

using RefCall = std::function<void(const std::string&, Kind, Ref&)>;
void walk_refs(const Type& type, void* value, const Path& at, const FieldOptions& field, const RefCall& call) {
    switch (type.shape) {
        case Shape::reference:
            if (field.ref != nullptr) call(at.pointer(), find_kind(field.ref)->kind, *static_cast<Ref*>(value));
            return;
        case Shape::object:
            for (const Field& f : type.fields) walk_refs(*f.type, field_of(value, f), {&at, f.name}, f.options, call);
            return;
        case Shape::list:
            for (std::size_t i = 0, n = type.size(value); i < n; ++i) {
                const std::string number = std::to_string(i);
                walk_refs(*type.element, const_cast<void*>(type.at(value, i)), {&at, number}, field, call);
            }
            return;
        case Shape::map: {
            struct Context {
                const Type& element;
                const Path& at;
                const FieldOptions& field;
                const RefCall& found;
            } context{*type.element, at, field, call};
            type.each(value, &context, [](void* c, const std::string& key, const void* v) {
                auto& ctx = *static_cast<Context*>(c);
                walk_refs(ctx.element, const_cast<void*>(v), {&ctx.at, key}, ctx.field, ctx.found);
            });
            return;
        }
        case Shape::optional:
            if (const void* inner = type.value(value))
                walk_refs(*type.element, const_cast<void*>(inner), at, field, call);
            return;
        default:
            return;
    }
}

// Leaves of an object by pointer, in API form. Lists are leaves: they have no names to differ by.
using Leaves = std::map<std::string, std::pair<std::string, Change>>;
void collect(const Type& type, const void* value, const std::string& at, const FieldOptions& field, Change inherited,
             Leaves& leaves) {
    const Change change = field.change != Change::live ? field.change : inherited;
    if (type.shape == Shape::object) {
        for (const Field& f : type.fields)
            if (!f.options.internal)
                collect(*f.type, field_of(value, f), child_pointer(at, f.name), f.options, change, leaves);
    } else if (type.shape == Shape::map) {
        struct Context {
            const Type& element;
            const std::string& at;
            const FieldOptions& field;
            Change change;
            Leaves& leaves;
        } context{*type.element, at, field, change, leaves};
        type.each(value, &context, [](void* c, const std::string& key, const void* v) {
            auto& ctx = *static_cast<Context*>(c);
            collect(ctx.element, v, child_pointer(ctx.at, key), ctx.field, ctx.change, ctx.leaves);
        });
    } else if (type.shape == Shape::optional) {
        if (const void* inner = type.value(value)) collect(*type.element, inner, at, field, change, leaves);
    } else {
        std::string text;
        write_value(type, value, Audience::api, nullptr, text);
        if (text != "\"\"" && text != "[]") leaves[at] = {std::move(text), change};
    }
}

using Entries = std::vector<std::pair<std::string_view, const void*>>;
Entries entries_of(const Type& type, const void* map) {
    Entries out;
    type.each(map, &out,
              [](void* c, const std::string& key, const void* v) { static_cast<Entries*>(c)->emplace_back(key, v); });
    return out;
}

// Without writing either down: nearly all of an object is as it was before a change.
bool same_value(const Type& type, const void* a, const void* b) {
    switch (type.shape) {
        case Shape::boolean:
        case Shape::integer:
        case Shape::choice:
            return type.get_integer(a) == type.get_integer(b);
        case Shape::number:
            return *static_cast<const double*>(a) == *static_cast<const double*>(b);
        case Shape::text:
            return *static_cast<const std::string*>(a) == *static_cast<const std::string*>(b);
        case Shape::uuid:
            return *static_cast<const Uuid*>(a) == *static_cast<const Uuid*>(b);
        case Shape::reference:
            return *static_cast<const Ref*>(a) == *static_cast<const Ref*>(b);
        case Shape::secret:
            return *static_cast<const Secret*>(a) == *static_cast<const Secret*>(b);
        case Shape::list:
            if (type.size(a) != type.size(b)) return false;
            for (std::size_t i = 0, n = type.size(a); i < n; ++i) {
                if (!same_value(*type.element, type.at(a, i), type.at(b, i))) return false;
            }
            return true;
        case Shape::map: {
            if (type.size(a) != type.size(b)) return false;
            const Entries here = entries_of(type, a), there = entries_of(type, b);
            return std::ranges::equal(here, there, [&](const auto& one, const auto& other) {
                return one.first == other.first && same_value(*type.element, one.second, other.second);
            });
        }
        case Shape::object:
            return std::ranges::all_of(
                type.fields, [&](const Field& f) { return same_value(*f.type, field_of(a, f), field_of(b, f)); });
        case Shape::optional: {
            const void* one = type.value(a);
            const void* other = type.value(b);
            if (one == nullptr || other == nullptr) return one == other;
            return same_value(*type.element, one, other);
        }
    }
    return false;
}

// Leaves of what is not the same in both.
void collect_differing(const Type& type, const void* before, const void* after, const std::string& at,
                       Leaves& old_leaves, Leaves& new_leaves) {
    if (type.shape != Shape::object) {
        collect(type, before, at, {}, Change::live, old_leaves);
        collect(type, after, at, {}, Change::live, new_leaves);
        return;
    }
    for (const Field& f : type.fields) {
        if (f.options.internal) continue;
        const void* was = field_of(before, f);
        const void* is = field_of(after, f);
        if (same_value(*f.type, was, is)) continue;
        const std::string here = child_pointer(at, f.name);
        collect(*f.type, was, here, f.options, Change::live, old_leaves);
        collect(*f.type, is, here, f.options, Change::live, new_leaves);
    }
}

bool is_secret(const Type& type, std::string_view pointer, std::string_view at) {
    pointer.remove_prefix(at.size() + 1);
    const Field* f = type.find(pointer.substr(0, pointer.find('/')));
    return f != nullptr && (f->options.sensitive || f->type->shape == Shape::secret);
}

}  // namespace

void write_object(const Object& object, std::string& out) {
    const KindInfo& info = info_of(object.kind());
    out += fmt::format(R"({{"apiVersion":"axle/v1","kind":"{}",)", info.name);
    std::string meta;
    write_value(type_of<Meta>(), &object.meta, Audience::api, nullptr, meta);
    out.append(meta, 1, meta.size() - 2);
    out += ",\"spec\":";
    write_value(*info.spec, object.spec_data(), Audience::api, nullptr, out);
    if (!info.status->fields.empty()) {
        out += ",\"status\":";
        write_value(*info.status, object.status_data(), Audience::api, nullptr, out);
    }
    out += '}';
}

static std::string place_of(const Object& object) {
    return fmt::format("{}/{}", text_of(object.kind()), object.meta.id.str());
}

std::string store_form(const Object& object, const SecretCodec& secrets) {
    const KindInfo& info = info_of(object.kind());
    SecretCodec codec = secrets;
    codec.place = place_of(object);
    std::string out = fmt::format(R"({{"v":{},"meta":)", kStoreVersion);
    write_value(type_of<Meta>(), &object.meta, Audience::store, &codec, out);
    out += ",\"spec\":";
    write_value(*info.spec, object.spec_data(), Audience::store, &codec, out);
    out += ",\"status\":";
    write_value(*info.status, object.status_data(), Audience::store, &codec, out);
    out += '}';
    return out;
}

Result<std::unique_ptr<Object>> from_store_form(Kind kind, std::string_view text, const SecretCodec& secrets) {
    // Our own words: neither bounds nor keys that come twice are looked for, which takes twice the time.
    nlohmann::json record = nlohmann::json::parse(text, nullptr, false);
    if (record.is_discarded()) TRY_VOID(parse_json(text));
    const int version = record.is_object() ? record.value("v", 0) : 0;
    if (version < 1 || version > kStoreVersion)
        return fail(Code::corrupt,
                    "a stored {} is of form {}, this release knows up to {}: install the newer release again",
                    text_of(kind), version, kStoreVersion);
    const KindInfo& info = info_of(kind);
    auto object = info.make();
    std::vector<FieldError> errors;
    SecretCodec codec = secrets;
    const ReadOptions options{.audience = Audience::store, .secrets = &codec};
    read_value(type_of<Meta>(), &object->meta, record["meta"], options, "/meta", errors);
    codec.place = place_of(*object);
    read_value(*info.spec, object->spec_data(), record["spec"], options, "/spec", errors);
    read_value(*info.status, object->status_data(), record["status"], options, "/status", errors);
    if (errors.empty()) return object;
    Error e = fields_error(std::move(errors));
    e.code = Code::corrupt;
    return fail(std::move(e).in(fmt::format("stored {}", text_of(kind))));
}

void for_each_ref(Object& object, const std::function<void(const std::string&, Kind, Ref&)>& call) {
    walk_refs(*info_of(object.kind()).spec, object.spec_data(), {nullptr, "/spec"}, {}, call);
}

std::vector<FieldChange> diff_values(const Type& type, const void* before, const void* after, const std::string& at) {
    Leaves old_leaves, new_leaves;
    collect_differing(type, before, after, at, old_leaves, new_leaves);
    std::vector<FieldChange> changes;
    const auto add = [&](const std::string& pointer, std::string was, std::string is, Change change) {
        const bool secret = is_secret(type, pointer, at);
        changes.push_back({pointer, secret && !was.empty() ? "\"***\"" : std::move(was),
                           secret && !is.empty() ? "\"***\"" : std::move(is), change});
    };
    // What goes together with all around it was not changed: an entry of a map was taken away.
    const auto entry_is_gone = [&](const std::string& pointer) {
        const std::string parent = pointer.substr(0, pointer.rfind('/') + 1);
        if (parent.size() == at.size() + 1) return false;  // a field of the whole, and no entry
        const auto next = new_leaves.lower_bound(parent);
        return next == new_leaves.end() || !next->first.starts_with(parent);
    };
    for (const auto& [pointer, leaf] : old_leaves) {
        const auto now = new_leaves.find(pointer);
        if (now == new_leaves.end())
            add(pointer, leaf.first, "",
                leaf.second == Change::never && entry_is_gone(pointer) ? Change::live : leaf.second);
        else if (now->second.first != leaf.first)
            add(pointer, leaf.first, now->second.first, leaf.second);
    }
    for (const auto& [pointer, leaf] : new_leaves) {
        if (!old_leaves.contains(pointer)) add(pointer, "", leaf.first, leaf.second);
    }
    return changes;
}

}  // namespace axle
