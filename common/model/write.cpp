// Writing of described values as JSON text, straight into a string: lists of many objects are the hot path.
#include "common/base/units.hpp"
#include "common/model/codec.hpp"

namespace axle {
namespace {

struct Writer {
    Audience audience;
    const SecretCodec* secrets;
    std::string& out;

    bool is_absent(const Field& f, const void* value) const {
        if (audience == Audience::api && (f.options.internal || f.options.sensitive || f.type->shape == Shape::secret))
            return true;
        switch (f.type->shape) {
            case Shape::text:
                return static_cast<const std::string*>(value)->empty();
            case Shape::uuid:
                return *static_cast<const Uuid*>(value) == Uuid{};
            case Shape::reference:
                return !static_cast<bool>(*static_cast<const Ref*>(value));
            case Shape::secret:
                return static_cast<const Secret*>(value)->plain.empty();
            case Shape::list:
            case Shape::map:
                return f.type->size(value) == 0;
            case Shape::optional:
                return f.type->value(value) == nullptr;
            default:
                return false;
        }
    }

    void object(const Type& type, const void* value) {
        out += '{';
        bool first = true;
        for (const Field& f : type.fields) {
            const void* v = field_of(value, f);
            if (is_absent(f, v)) continue;
            if (!first) out += ',';
            first = false;
            out += '"';
            out += f.name;
            out += "\":";
            write(*f.type, v, f.options);
        }
        out += '}';
    }

    void reference(const Ref& ref) {
        if (audience != Audience::store) return write_json_string(out, ref.name.empty() ? ref.id.str() : ref.name);
        out += "{\"id\":";
        write_json_string(out, ref.id.str());
        out += ",\"name\":";
        write_json_string(out, ref.name);
        out += '}';
    }

    void integer(std::int64_t value, const FieldOptions& field) {
        if (audience == Audience::api && field.unit == Unit::time) return write_json_string(out, format_time({value}));
        const fmt::format_int digits(value);
        out.append(digits.data(), digits.size());
    }

    void list(const Type& type, const void* value, const FieldOptions& field) {
        out += '[';
        for (std::size_t i = 0, n = type.size(value); i < n; ++i) {
            if (i > 0) out += ',';
            write(*type.element, type.at(value, i), field);
        }
        out += ']';
    }

    void map(const Type& type, const void* value, const FieldOptions& field) {
        struct Context {
            Writer& writer;
            const Type& element;
            const FieldOptions& field;
            bool first = true;
        } context{*this, *type.element, field};
        out += '{';
        type.each(value, &context, [](void* c, const std::string& key, const void* v) {
            auto& ctx = *static_cast<Context*>(c);
            if (!ctx.first) ctx.writer.out += ',';
            ctx.first = false;
            write_json_string(ctx.writer.out, key);
            ctx.writer.out += ':';
            ctx.writer.write(ctx.element, v, ctx.field);
        });
        out += '}';
    }

    void write(const Type& type, const void* value, const FieldOptions& field) {
        switch (type.shape) {
            case Shape::boolean:
                out += type.get_integer(value) != 0 ? "true" : "false";
                return;
            case Shape::integer:
                return integer(type.get_integer(value), field);
            case Shape::number:
                fmt::format_to(std::back_inserter(out), "{}", *static_cast<const double*>(value));
                return;
            case Shape::text:
                return write_json_string(out, *static_cast<const std::string*>(value));
            case Shape::uuid:
                return write_json_string(out, static_cast<const Uuid*>(value)->str());
            case Shape::reference:
                return reference(*static_cast<const Ref*>(value));
            case Shape::secret: {
                const auto& plain = static_cast<const Secret*>(value)->plain;
                return write_json_string(out, audience == Audience::store && secrets != nullptr
                                                  ? secrets->seal(plain, secrets->place)
                                                  : plain);
            }
            case Shape::choice:
                return write_json_string(out, type.choices[static_cast<std::size_t>(type.get_integer(value))]);
            case Shape::list:
                return list(type, value, field);
            case Shape::map:
                return map(type, value, field);
            case Shape::object:
                return object(type, value);
            case Shape::optional:
                if (const void* inner = type.value(value)) return write(*type.element, inner, field);
                out += "null";
                return;
        }
    }
};

}  // namespace

void write_value(const Type& type, const void* value, Audience audience, const SecretCodec* secrets, std::string& out) {
    Writer{audience, secrets, out}.write(type, value, {});
}

// Runs of characters that stand for themselves, which is nearly all, go over whole.
void write_json_string(std::string& out, std::string_view text) {
    out += '"';
    std::size_t from = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\') continue;
        out.append(text, from, i - from);
        from = i + 1;
        switch (c) {
            case '"':
                out += "\\\"";
                break;
            case '\\':
                out += "\\\\";
                break;
            case '\n':
                out += "\\n";
                break;
            case '\r':
                out += "\\r";
                break;
            case '\t':
                out += "\\t";
                break;
            default:
                fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
        }
    }
    out.append(text, from);
    out += '"';
}

}  // namespace axle
