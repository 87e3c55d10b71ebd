// Kinds of which users make, label and delete things, with little more to say of them. Each has the verbs
// PREFIX-create, PREFIX-patch and PREFIX-delete.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/cloud/acts.hpp"

namespace axle::test {

struct PlainKind {
    const char* prefix;
    Kind kind;
    std::string (*spec)(const Act& act);
};
const std::vector<PlainKind>& plain_kinds();
// Of a verb; null: it is of none.
const PlainKind* plain_kind_of(std::string_view verb);
std::string plain_name(std::string_view prefix, int number);  // "flavor1"
bool is_plain_name(std::string_view prefix, std::string_view name);

std::optional<Mutation> plain_mutation(const Act& act);

}  // namespace axle::test
