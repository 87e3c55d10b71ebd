// What users say of where VMs go: near or far from others, spread or packed.
#pragma once
#include <map>
#include <string>

#include "common/model/object.hpp"

namespace axle {

enum class Strategy { spread, pack };
constexpr EnumNames<Strategy, 2> names(Strategy) {
    return {{{Strategy::spread, "spread"}, {Strategy::pack, "pack"}}};
}
enum class Affinity { apart, together };
constexpr EnumNames<Affinity, 2> names(Affinity) {
    return {{{Affinity::apart, "apart"}, {Affinity::together, "together"}}};
}
// What it is that VMs share or don't.
enum class Domain { host, zone };
constexpr EnumNames<Domain, 2> names(Domain) {
    return {{{Domain::host, "host"}, {Domain::zone, "zone"}}};
}

struct AffinityTerm {
    Affinity policy = Affinity::apart;
    std::map<std::string, std::string> selector;
    Domain over = Domain::host;
    bool required = true;
};
template <class V>
void describe(AffinityTerm& v, V&& field) {
    field("policy", v.policy, {.doc = "apart: not where such VMs are; together: where one is.", .required = true});
    field("selector", v.selector,
          {.doc = "Labels of the VMs that it is about, in the same project; all of them must match.",
           .required = true,
           .min = 1,
           .max = 8});
    field("over", v.over, {.doc = "What is shared or isn't: a host or a zone."});
    field("required", v.required,
          {.doc = "It waits where this can't be; else it is no more than a wish, which weighs more than room."});
}

struct PlacementGroupSpec {
    Affinity policy = Affinity::apart;
    Domain over = Domain::host;
    bool required = true;
    std::string description;
};
template <class V>
void describe(PlacementGroupSpec& v, V&& field) {
    field("policy", v.policy, {.doc = "apart: no two of its VMs share one; together: all are on the same."});
    field("over", v.over, {.doc = "What is shared or isn't: a host or a zone."});
    field("required", v.required,
          {.doc = "A VM waits where this can't be; else it is no more than a wish, which weighs more than room."});
    field("description", v.description, {.doc = "For people.", .max = 1024});
}

}  // namespace axle
