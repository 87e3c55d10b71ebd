// How a struct says what its fields are. Each struct of the model and of the channel has one function, found by ADL:
//
//     template <class Visitor>
//     void describe(VmNic& v, Visitor&& field) {
//         field("network", v.network, {.doc = "Network that the NIC is on.", .required = true, .ref = "network"});
//     }
//
// From it come reading, writing, validation, OpenAPI, `axle explain`, merge-patch (type.hpp). Enums have
// `constexpr auto names(E)`, an array of {value, "kebab-case"}. Light on purpose: no JSON here.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "common/base/id.hpp"

namespace axle {

// When a change of the field takes effect on a running guest.
enum class Change { live, reboot, never };
// How an integer or text is read and shown.
enum class Unit { none, bytes, duration, time };
// What a text must look like. `any` still refuses control characters but for tab and newline.
enum class Format { any, label, dotted_name, mac, ipv4, cidr, url, sha256, ssh_key, multiline, path };

struct FieldOptions {
    const char* doc = "";
    bool required = false;
    std::int64_t min = INT64_MIN;  // of an integer; of a text, list or map: least length (if positive)
    std::int64_t max = INT64_MAX;  // of an integer; of a text, list or map: greatest length
    double least = 0, most = 0;    // of a number, where most > least
    Unit unit = Unit::none;
    Format format = Format::any;
    const char* ref = nullptr;  // kind that a Ref names
    bool sensitive = false;     // never shown again; sealed in the store
    Change change = Change::live;
    bool internal = false;          // kept in the store, absent from the API
    const char* feature = nullptr;  // agents must have it (scheduler filters on it)
};

// A reference to another object. Read from the API as a name, "project/name" or an id; resolved when admitted; kept as
// both. Names of objects don't change, so the name kept is the name shown.
struct Ref {
    Uuid id{};
    std::string name;
    bool operator==(const Ref&) const = default;
    explicit operator bool() const { return static_cast<bool>(id) || !name.empty(); }
};

// A text that is never shown: sealed in the store, absent everywhere else.
struct Secret {
    std::string plain;
    bool operator==(const Secret&) const = default;
};

template <typename E, std::size_t N>
using EnumNames = std::array<std::pair<E, const char*>, N>;

// Name of an enum's value.
template <typename E>
constexpr const char* text_of(E value) {
    for (const auto& [e, text] : names(E{})) {
        if (e == value) return text;
    }
    return "?";
}

}  // namespace axle
