// Reading of described values: every mistake is found and named, none stops the reading of the rest.
#include <charconv>
#include <cmath>

#include <nlohmann/json.hpp>

#include "common/base/units.hpp"
#include "common/model/codec.hpp"
#include "common/model/format.hpp"

namespace axle {
namespace {

using nlohmann::json;

const char* what_is(const json& j) {
    switch (j.type()) {
        case json::value_t::null:
            return "null";
        case json::value_t::object:
            return "an object";
        case json::value_t::array:
            return "a list";
        case json::value_t::string:
            return "a string";
        case json::value_t::boolean:
            return "a boolean";
        case json::value_t::number_float:
            return "a fraction";
        default:
            return "a number";
    }
}

struct Reader {
    const ReadOptions& options;
    std::vector<FieldError>& errors;

    void refuse(const std::string& at, const char* code, std::string detail) {
        errors.push_back({at, code, std::move(detail)});
    }
    void wrong_type(const std::string& at, const char* wanted, const json& in) {
        refuse(at, "wrong-type", fmt::format("must be {}, is {}", wanted, what_is(in)));
    }

    void read(const Type& type, void* out, const json& in, const std::string& at, const FieldOptions& field);
    void read_integer(const Type& type, void* out, const json& in, const std::string& at, const FieldOptions& field);
    void read_number(double& out, const json& in, const std::string& at, const FieldOptions& field);
    void read_boolean(const Type& type, void* out, const json& in, const std::string& at);
    void read_text(std::string& out, const json& in, const std::string& at, const FieldOptions& field);
    void read_choice(const Type& type, void* out, const json& in, const std::string& at);
    void read_reference(Ref& out, const json& in, const std::string& at);
    void read_secret(Secret& out, const json& in, const std::string& at, const FieldOptions& field);
    void read_list(const Type& type, void* out, const json& in, const std::string& at, const FieldOptions& field);
    void read_map(const Type& type, void* out, const json& in, const std::string& at, const FieldOptions& field);
    void read_object(const Type& type, void* out, const json& in, const std::string& at);
    std::optional<std::int64_t> number_in(const json& in, const std::string& at, const FieldOptions& field);
    void check_count(std::size_t count, const char* what, const std::string& at, const FieldOptions& field);
};

std::optional<std::int64_t> Reader::number_in(const json& in, const std::string& at, const FieldOptions& field) {
    if (in.is_number_unsigned() && in.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) {
        refuse(at, "out-of-range", "is over 2^63 - 1");
        return std::nullopt;
    }
    if (in.is_number_integer()) return in.get<std::int64_t>();
    if (in.is_string() && field.unit != Unit::none) {
        const auto& text = in.get_ref<const std::string&>();
        const auto bytes = field.unit == Unit::bytes ? parse_bytes(text) : parse_duration(text).map([](milliseconds d) {
            return static_cast<std::int64_t>(d.count());
        });
        if (bytes) return *bytes;
        refuse(at, "malformed", bytes.error().message);
        return std::nullopt;
    }
    if (in.is_string() && options.text_scalars) {
        const auto& text = in.get_ref<const std::string&>();
        std::int64_t value = 0;
        const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
        if (parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size()) return value;
        refuse(at, "wrong-type", fmt::format("must be an integer, is \"{}\"", text));
        return std::nullopt;
    }
    wrong_type(at, field.unit == Unit::bytes ? "a size such as \"2GiB\" or a number of bytes" : "an integer", in);
    return std::nullopt;
}

void Reader::read_integer(const Type& type, void* out, const json& in, const std::string& at,
                          const FieldOptions& field) {
    const auto value = number_in(in, at, field);
    if (!value) return;
    if (options.audience == Audience::api && (*value < field.min || *value > field.max)) {
        const auto show = [&](std::int64_t v) {
            return field.unit == Unit::bytes      ? format_bytes(v)
                   : field.unit == Unit::duration ? format_duration(milliseconds{v})
                                                  : std::to_string(v);
        };
        if (field.max == INT64_MAX)
            return refuse(at, "out-of-range", fmt::format("must be at least {}, is {}", show(field.min), show(*value)));
        return refuse(at, "out-of-range",
                      fmt::format("must be {} to {}, is {}", show(field.min), show(field.max), show(*value)));
    }
    type.set_integer(out, *value);
}

void Reader::read_number(double& out, const json& in, const std::string& at, const FieldOptions& field) {
    double value = 0;
    if (in.is_number()) {
        value = in.get<double>();
    } else if (!in.is_string() || !options.text_scalars) {
        return wrong_type(at, "a number", in);
    } else {
        const auto& text = in.get_ref<const std::string&>();
        const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
        if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size() || !std::isfinite(value))
            return refuse(at, "wrong-type", fmt::format("must be a number, is \"{}\"", text.substr(0, 80)));
    }
    const bool bounded = options.audience == Audience::api && field.most > field.least;
    if (bounded && (value < field.least || value > field.most))
        return refuse(at, "out-of-range", fmt::format("must be {} to {}, is {}", field.least, field.most, value));
    out = value;
}

void Reader::read_boolean(const Type& type, void* out, const json& in, const std::string& at) {
    if (in.is_boolean()) return type.set_integer(out, in.get<bool>() ? 1 : 0);
    if (in.is_string() && options.text_scalars) {
        const auto& text = in.get_ref<const std::string&>();
        if (text == "true" || text == "false") return type.set_integer(out, text == "true" ? 1 : 0);
        return refuse(at, "wrong-type", fmt::format("must be true or false, is \"{}\"", text));
    }
    wrong_type(at, "true or false", in);
}

void Reader::check_count(std::size_t count, const char* what, const std::string& at, const FieldOptions& field) {
    if (options.audience != Audience::api) return;  // what was once admitted stays readable
    const auto n = static_cast<std::int64_t>(count);
    if (field.max != INT64_MAX && n > field.max)
        refuse(at, "out-of-range", fmt::format("has {} {}, at most {} are allowed", n, what, field.max));
    if (field.min > 0 && n < field.min)
        refuse(at, "out-of-range", fmt::format("has {} {}, at least {} are needed", n, what, field.min));
}

void Reader::read_text(std::string& out, const json& in, const std::string& at, const FieldOptions& field) {
    if (!in.is_string()) return wrong_type(at, "a string", in);
    const auto& text = in.get_ref<const std::string&>();
    if (options.audience == Audience::api) {
        const std::size_t before = errors.size();
        if (!is_valid_utf8(text)) refuse(at, "malformed", "is not UTF-8");
        const std::int64_t limit = field.max == INT64_MAX ? 4096 : field.max;
        if (static_cast<std::int64_t>(text.size()) > limit)
            refuse(at, "out-of-range",
                   fmt::format("is {} characters long, at most {} are allowed", text.size(), limit));
        if (field.min > 0 && static_cast<std::int64_t>(text.size()) < field.min)
            refuse(at, "required", "must not be empty");
        if (!text.empty()) {
            if (auto why = why_not(field.format, text))
                refuse(at, "malformed", fmt::format("{}, is \"{}\"", *why, text.substr(0, 80)));
        }
        if (errors.size() > before) return;
    }
    out = text;
}

void Reader::read_choice(const Type& type, void* out, const json& in, const std::string& at) {
    if (!in.is_string()) return wrong_type(at, "a string", in);
    const auto& text = in.get_ref<const std::string&>();
    for (std::size_t i = 0; i < type.choices.size(); ++i) {
        if (text == type.choices[i]) return type.set_integer(out, static_cast<std::int64_t>(i));
    }
    if (options.audience != Audience::api) return;  // a value of a newer release: keep the default
    refuse(at, "unknown-value",
           fmt::format("must be one of {}; is \"{}\"", fmt::join(type.choices, ", "), text.substr(0, 80)));
}

void Reader::read_reference(Ref& out, const json& in, const std::string& at) {
    if (options.audience == Audience::store && in.is_object()) {
        out.name = in.value("name", "");
        if (const auto id = Uuid::parse(in.value("id", ""))) out.id = *id;
        return;
    }
    if (!in.is_string()) return wrong_type(at, "a name or an id", in);
    out = {};
    const auto& text = in.get_ref<const std::string&>();
    if (text.size() > 320) return refuse(at, "out-of-range", "is too long for a name");
    const std::size_t slash = text.find('/');
    const bool fine =
        Uuid::parse(text) || (is_dotted_name(slash == std::string::npos ? text : text.substr(slash + 1)) &&
                              (slash == std::string::npos || is_label(text.substr(0, slash))));
    if (!fine)
        return refuse(at, "malformed",
                      fmt::format("must be a name, project/name or an id, is \"{}\"", text.substr(0, 80)));
    out.name = text;  // resolved when admitted
}

void Reader::read_secret(Secret& out, const json& in, const std::string& at, const FieldOptions& field) {
    if (options.audience != Audience::store) return read_text(out.plain, in, at, field);
    if (!in.is_string()) return wrong_type(at, "a string", in);
    if (options.secrets == nullptr) return;
    auto plain = options.secrets->open(in.get_ref<const std::string&>(), options.secrets->place);
    if (!plain) return refuse(at, "corrupt", plain.error().message);
    out.plain = std::move(*plain);
}

void Reader::read_list(const Type& type, void* out, const json& in, const std::string& at, const FieldOptions& field) {
    if (!in.is_array()) return wrong_type(at, "a list", in);
    check_count(in.size(), "items", at, field);
    type.clear(out);
    FieldOptions item = field;
    item.min = INT64_MIN;
    item.max = INT64_MAX;
    for (std::size_t i = 0; i < in.size(); ++i)
        read(*type.element, type.append(out), in[i], at + "/" + std::to_string(i), item);
}

void Reader::read_map(const Type& type, void* out, const json& in, const std::string& at, const FieldOptions& field) {
    if (!in.is_object()) return wrong_type(at, "an object", in);
    check_count(in.size(), "entries", at, field);
    if (!options.merge) type.clear(out);
    FieldOptions item = field;
    item.min = INT64_MIN;
    item.max = INT64_MAX;
    for (const auto& [key, value] : in.items()) {
        if (options.merge && value.is_null()) {
            type.remove(out, key);
            continue;
        }
        const std::string here = child_pointer(at, key);
        const bool object = type.element->shape == Shape::object;
        if (options.audience == Audience::api && object && !is_label(key)) {
            refuse(here, "malformed", "the name must be 1 to 63 of a-z, 0-9 and '-'");
            continue;
        }
        read(*type.element, type.insert(out, key), value, here, item);
    }
    if (options.merge) check_count(type.size(out), "entries", at, field);
}

void Reader::read_object(const Type& type, void* out, const json& in, const std::string& at) {
    if (!in.is_object()) return wrong_type(at, "an object", in);
    const bool strict = options.audience == Audience::api;
    for (const auto& [key, value] : in.items()) {
        const Field* f = type.find(key);
        if (f == nullptr || (strict && f->options.internal)) {
            if (strict) {
                std::vector<const char*> known;
                for (const Field& k : type.fields) {
                    if (!k.options.internal) known.push_back(k.name);
                }
                refuse(child_pointer(at, key), "unknown-field",
                       fmt::format("is not a field here; known are {}", fmt::join(known, ", ")));
            }
            continue;
        }
        if (!value.is_null())
            read(*f->type, field_of(out, *f), value, at + "/" + f->name, f->options);
        else if (options.merge)
            f->type->assign(field_of(out, *f), field_of(type.defaults(), *f));
    }
    if (!strict || options.merge) return;  // a merge is checked as a whole afterwards
    for (const Field& f : type.fields) {
        if (!f.options.required) continue;
        const auto found = in.find(f.name);
        if (found == in.end() || found->is_null() ||
            (found->is_string() && found->get_ref<const std::string&>().empty()))
            refuse(at + "/" + f.name, "required", "is required");
    }
}

void Reader::read(const Type& type, void* out, const json& in, const std::string& at, const FieldOptions& field) {
    switch (type.shape) {
        case Shape::boolean:
            return read_boolean(type, out, in, at);
        case Shape::integer:
            return read_integer(type, out, in, at, field);
        case Shape::number:
            return read_number(*static_cast<double*>(out), in, at, field);
        case Shape::text:
            return read_text(*static_cast<std::string*>(out), in, at, field);
        case Shape::uuid: {
            const auto id = in.is_string() ? Uuid::parse(in.get_ref<const std::string&>()) : std::nullopt;
            if (!id) return refuse(at, "malformed", "must be a UUID");
            *static_cast<Uuid*>(out) = *id;
            return;
        }
        case Shape::reference:
            return read_reference(*static_cast<Ref*>(out), in, at);
        case Shape::secret:
            return read_secret(*static_cast<Secret*>(out), in, at, field);
        case Shape::choice:
            return read_choice(type, out, in, at);
        case Shape::list:
            return read_list(type, out, in, at, field);
        case Shape::map:
            return read_map(type, out, in, at, field);
        case Shape::object:
            return read_object(type, out, in, at);
        case Shape::optional:
            return read(
                *type.element,
                options.merge && type.value(out) != nullptr ? const_cast<void*>(type.value(out)) : type.emplace(out),
                in, at, field);
    }
}

}  // namespace

const Field* Type::find(std::string_view field) const {
    for (const Field& f : fields) {
        if (field == f.name) return &f;
    }
    return nullptr;
}

void read_value(const Type& type, void* out, const json& in, const ReadOptions& options, const std::string& at,
                std::vector<FieldError>& errors, const FieldOptions& field) {
    Reader{options, errors}.read(type, out, in, at, field);
}

Error fields_error(std::vector<FieldError> errors) {
    Error e{.code = Code::invalid, .message = "the document breaks a rule"};
    if (!errors.empty()) {
        const std::string path = dotted(errors.front().pointer);
        e.message = path.empty() ? errors.front().detail : fmt::format("{}: {}", path, errors.front().detail);
        if (errors.size() > 1) e.message += fmt::format(" (and {} more)", errors.size() - 1);
    }
    e.fields = std::move(errors);
    return e;
}

Result<> read_text(const Type& type, void* out, std::string_view json_text, const ReadOptions& options) {
    TRY(parsed, parse_json(json_text));
    std::vector<FieldError> errors;
    read_value(type, out, parsed, options, "", errors);
    if (!errors.empty()) return fail(fields_error(std::move(errors)));
    return {};
}

}  // namespace axle
