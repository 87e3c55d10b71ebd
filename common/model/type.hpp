// A description of a C++ type at run time, built once from its describe() (describe.hpp). All work on it (reading,
// writing, comparing, documenting) is ordinary code on Type and void*, so that a kind costs little to compile.
#pragma once
#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "common/model/describe.hpp"

namespace axle {

enum class Shape { boolean, integer, number, text, uuid, reference, secret, choice, list, map, object, optional };

struct Type;
struct Field {
    const char* name;
    std::size_t offset;  // in the object
    const Type* type;
    FieldOptions options;
};

struct Type {
    Shape shape = Shape::text;
    std::vector<Field> fields;         // object
    std::vector<const char*> choices;  // choice: names by index
    const Type* element = nullptr;     // list, map, optional

    void (*assign)(void* to, const void* from) = nullptr;  // always set
    const void* (*defaults)() = nullptr;                   // object: a default one

    // Which of these are set depends on the shape.
    std::int64_t (*get_integer)(const void*) = nullptr;  // boolean, integer, choice (index)
    void (*set_integer)(void*, std::int64_t) = nullptr;
    std::size_t (*size)(const void*) = nullptr;  // list, map
    const void* (*at)(const void*, std::size_t) = nullptr;
    void* (*append)(void*) = nullptr;
    void (*clear)(void*) = nullptr;  // list, map, optional
    void* (*insert)(void*, const std::string& key) = nullptr;
    void (*remove)(void*, const std::string& key) = nullptr;  // map
    void (*each)(const void*, void* context,
                 void (*call)(void* context, const std::string& key, const void* value)) = nullptr;
    const void* (*value)(const void*) = nullptr;  // optional: null when empty
    void* (*emplace)(void*) = nullptr;

    const Field* find(std::string_view field) const;
};

inline const void* field_of(const void* object, const Field& f) {
    return static_cast<const char*>(object) + f.offset;
}
inline void* field_of(void* object, const Field& f) {
    return static_cast<char*>(object) + f.offset;
}

template <typename T>
const Type& type_of();

namespace detail {

template <typename T>
struct ListOf : std::false_type {};
template <typename T>
struct ListOf<std::vector<T>> : std::true_type {
    using Element = T;
};
template <typename T>
struct MapOf : std::false_type {};
template <typename T>
struct MapOf<std::map<std::string, T>> : std::true_type {
    using Element = T;
};
template <typename T>
struct OptionalOf : std::false_type {};
template <typename T>
struct OptionalOf<std::optional<T>> : std::true_type {
    using Element = T;
};

template <typename T>
void describe_list(Type& t) {
    using E = typename ListOf<T>::Element;
    t.shape = Shape::list;
    t.element = &type_of<E>();
    t.size = [](const void* v) { return static_cast<const T*>(v)->size(); };
    t.at = [](const void* v, std::size_t i) -> const void* { return &(*static_cast<const T*>(v))[i]; };
    t.append = [](void* v) -> void* { return &static_cast<T*>(v)->emplace_back(); };
    t.clear = [](void* v) { static_cast<T*>(v)->clear(); };
}
template <typename T>
void describe_map(Type& t) {
    using E = typename MapOf<T>::Element;
    t.shape = Shape::map;
    t.element = &type_of<E>();
    t.size = [](const void* v) { return static_cast<const T*>(v)->size(); };
    t.insert = [](void* v, const std::string& key) -> void* { return &(*static_cast<T*>(v))[key]; };
    t.remove = [](void* v, const std::string& key) { static_cast<T*>(v)->erase(key); };
    t.clear = [](void* v) { static_cast<T*>(v)->clear(); };
    t.each = [](const void* v, void* context, void (*call)(void*, const std::string&, const void*)) {
        for (const auto& [key, value] : *static_cast<const T*>(v)) call(context, key, &value);
    };
}
template <typename T>
void describe_optional(Type& t) {
    using E = typename OptionalOf<T>::Element;
    t.shape = Shape::optional;
    t.element = &type_of<E>();
    t.value = [](const void* v) -> const void* {
        const auto& o = *static_cast<const T*>(v);
        return o ? &*o : nullptr;
    };
    t.emplace = [](void* v) -> void* { return &static_cast<T*>(v)->emplace(); };
    t.clear = [](void* v) { static_cast<T*>(v)->reset(); };
}
template <typename T>
void describe_choice(Type& t) {
    t.shape = Shape::choice;
    for (const auto& [value, text] : names(T{})) t.choices.push_back(text);
    t.get_integer = [](const void* v) -> std::int64_t {
        std::int64_t i = 0;
        for (const auto& [value, text] : names(T{})) {
            if (value == *static_cast<const T*>(v)) return i;
            ++i;
        }
        return 0;
    };
    t.set_integer = [](void* v, std::int64_t i) {
        *static_cast<T*>(v) = names(T{})[static_cast<std::size_t>(i)].first;
    };
}
template <typename T>
void describe_object(Type& t) {
    t.shape = Shape::object;
    t.defaults = []() -> const void* {
        static const T value{};
        return &value;
    };
    T object{};
    describe(object, [&]<typename F>(const char* name, F& field, const FieldOptions& options) {
        const auto offset =
            static_cast<std::size_t>(reinterpret_cast<const char*>(&field) - reinterpret_cast<const char*>(&object));
        t.fields.push_back({name, offset, &type_of<F>(), options});
    });
}

template <typename T>
Type make_type() {
    Type t;
    t.assign = [](void* to, const void* from) { *static_cast<T*>(to) = *static_cast<const T*>(from); };
    if constexpr (std::same_as<T, bool> || std::integral<T>) {
        t.shape = std::same_as<T, bool> ? Shape::boolean : Shape::integer;
        t.get_integer = [](const void* v) { return static_cast<std::int64_t>(*static_cast<const T*>(v)); };
        t.set_integer = [](void* v, std::int64_t i) { *static_cast<T*>(v) = static_cast<T>(i); };
    } else if constexpr (std::same_as<T, double>) {
        t.shape = Shape::number;
    } else if constexpr (std::same_as<T, std::string>) {
        t.shape = Shape::text;
    } else if constexpr (std::derived_from<T, Uuid>) {
        t.shape = Shape::uuid;
    } else if constexpr (std::same_as<T, Ref>) {
        t.shape = Shape::reference;
    } else if constexpr (std::same_as<T, Secret>) {
        t.shape = Shape::secret;
    } else if constexpr (std::is_enum_v<T>) {
        describe_choice<T>(t);
    } else if constexpr (ListOf<T>::value) {
        describe_list<T>(t);
    } else if constexpr (MapOf<T>::value) {
        describe_map<T>(t);
    } else if constexpr (OptionalOf<T>::value) {
        describe_optional<T>(t);
    } else {
        describe_object<T>(t);
    }
    return t;
}

}  // namespace detail

template <typename T>
const Type& type_of() {
    static const Type type = detail::make_type<T>();
    return type;
}

}  // namespace axle
